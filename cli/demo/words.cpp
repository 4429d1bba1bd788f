#include "cli/demo/words.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <unordered_set>

#include "engine/io/safetensors.h"

namespace quarry::cli::demo {
namespace {

using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

constexpr uint64_t kShuffleSeed = 20'261'122;

/// [batch, letters, 1]: 1 where the letter in `column` of the pairs is the letter of that row, else 0.
NodeId one_hot(Builder& b, NodeId pairs, int column, const Shape& shape, int letter_axis, const char* label) {
  const graph::Pair ranges[] = {{0, kBatch}, {column, column + 1}};
  const NodeId letter = b.cast(b.shrink(pairs, ranges), DType::I32);
  Shape thin(shape.size(), 1);
  thin[0] = kBatch;
  const NodeId wide = b.expand(b.reshape(letter, thin), shape);
  const NodeId mask = b.cast(b.binary(Op::CmpEq, b.iota(DType::I32, shape, letter_axis), wide), DType::F32);
  b.label(mask, label);
  return mask;
}

uint64_t below(std::mt19937_64& random, uint64_t bound) {
  return random() % bound;
}

}  // namespace

Result<Words> read_words(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in)
    return Problem{"cannot_read", "cannot read the word list " + path.string(), "",
                   "Install Debian's package wamerican."};
  Words words;
  for (std::string word; std::getline(in, word);) {
    if (!std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; })) continue;
    for (size_t i = 0; i + 1 < word.size(); ++i)
      words.pairs.push_back({static_cast<uint8_t>(word[i] - 'a'), static_cast<uint8_t>(word[i + 1] - 'a')});
    if (!word.empty()) words.words.push_back(word);
  }
  if (words.pairs.size() < static_cast<size_t>(kBatch))
    return Problem{"bad_word_list", path.string() + " has fewer than 32,768 letter pairs", "", "Use a longer list."};
  std::mt19937_64 random(kShuffleSeed);  // own Fisher-Yates: std::shuffle may differ between libraries
  for (size_t i = words.pairs.size() - 1; i > 0; --i) std::swap(words.pairs[i], words.pairs[below(random, i + 1)]);
  return words;
}

double exact_optimum(const Words& words) {
  LetterTable counts{};
  std::array<double, kLetters> rows{};
  for (const auto& [first, second] : words.pairs) {
    ++counts[first][second];
    ++rows[first];
  }
  double nats = 0;
  for (int i = 0; i < kLetters; ++i)
    for (int j = 0; j < kLetters; ++j)
      if (const double n = counts[i][j]; n > 0) nats -= n * std::log(n / rows[i]);
  return nats / static_cast<double>(words.pairs.size());
}

Result<graph::Graph> training_step() {
  Builder b;
  const Shape per_letter{kBatch, 1, kLetters}, table{kBatch, kLetters, kLetters}, row{kBatch, 1, 1};
  const NodeId weights = b.input("weights", DType::F32, Shape{kLetters, kLetters});
  const NodeId pairs = b.input("pairs", DType::U8, Shape{kBatch, 2});
  const int64_t over_letters[] = {2}, over_previous[] = {1}, over_batch[] = {0};

  // logits[b, 0, j] = weights[previous letter of b, j]: a gather.
  const NodeId previous_wide = one_hot(b, pairs, 0, table, 1, "previous letter");
  const NodeId weights_wide = b.expand(b.reshape(weights, Shape{1, kLetters, kLetters}), table);
  const NodeId logits = b.reduce(Op::ReduceSum, b.binary(Op::Mul, previous_wide, weights_wide), over_previous);
  b.label(logits, "logits");

  const NodeId highest = b.reduce(Op::ReduceMax, logits, over_letters);
  const NodeId exps = b.unary(Op::Exp, b.binary(Op::Sub, logits, b.expand(highest, per_letter)));
  const NodeId sum = b.reduce(Op::ReduceSum, exps, over_letters);
  const NodeId probabilities = b.binary(Op::Div, exps, b.expand(sum, per_letter));
  const NodeId target = one_hot(b, pairs, 1, per_letter, 2, "next letter");

  // loss = mean over the batch of log(sum) + highest - logit of the letter that came
  const NodeId hit = b.reduce(Op::ReduceSum, b.binary(Op::Mul, target, logits), over_letters);
  const NodeId nats = b.binary(Op::Sub, b.binary(Op::Add, b.unary(Op::Log, sum), highest), hit);
  const NodeId total = b.reduce(Op::ReduceSum, nats, over_batch);
  const NodeId loss = b.binary(Op::Mul, total, b.constant_f64(DType::F32, Shape{1, 1, 1}, 1.0 / kBatch));

  // The gradient by hand: d loss / d logits = (P - Y) / batch; d logits / d weights is the one-hot of the previous
  // letter.
  const NodeId error = b.binary(Op::Sub, probabilities, target);
  const NodeId previous = one_hot(b, pairs, 0, Shape{kBatch, kLetters, 1}, 1, "previous letter");
  const NodeId product = b.binary(Op::Mul, b.expand(previous, table), b.expand(error, table));
  const NodeId gradient = b.reshape(b.reduce(Op::ReduceSum, product, over_batch), Shape{kLetters, kLetters});
  const NodeId rate =
      b.constant_f64(DType::F32, Shape{kLetters, kLetters}, static_cast<double>(kLearningRate) / kBatch);
  const NodeId next = b.binary(Op::Sub, weights, b.binary(Op::Mul, gradient, rate));
  b.label(gradient, "gradient");
  b.output("weights_next", next);
  b.output("loss", loss);
  return b.finish();
}

Result<int64_t> write_data(const Words& words, const std::filesystem::path& file) {
  const auto count = static_cast<int64_t>((words.pairs.size() + kBatch - 1) / kBatch);
  std::vector<std::array<uint8_t, 2>> pairs = words.pairs;
  for (size_t i = 0; pairs.size() < static_cast<size_t>(count * kBatch); ++i) pairs.push_back(words.pairs[i]);
  const std::vector<float> zeros(kLetters * kLetters);
  const io::NamedTensor tensors[] = {{"weights", DType::F32, {kLetters, kLetters}, zeros.size() * sizeof(float)},
                                     {"pairs", DType::U8, {count, kBatch, 2}, pairs.size() * 2}};
  const auto header = io::write_header(tensors);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(header.data()), static_cast<std::streamsize>(header.size()));
  out.write(reinterpret_cast<const char*>(zeros.data()), static_cast<std::streamsize>(zeros.size() * sizeof(float)));
  out.write(reinterpret_cast<const char*>(pairs.data()), static_cast<std::streamsize>(pairs.size() * 2));
  out.close();
  if (!out) return Problem{"cannot_write", "cannot write " + file.string(), "", "Is the disk full?"};
  return count;
}

std::vector<std::string> invent_words(const Words& words, const std::vector<float>& weights, int count, uint64_t seed) {
  const std::unordered_set<std::string> known(words.words.begin(), words.words.end());
  std::mt19937_64 random(seed);
  std::vector<std::string> invented;
  while (invented.size() < static_cast<size_t>(count)) {
    const std::string& model = words.words[below(random, words.words.size())];
    if (model.size() < 4 || model.size() > 10) continue;
    std::string word(1, words.words[below(random, words.words.size())][0]);
    while (word.size() < model.size()) {
      const auto* row = weights.data() + (word.back() - 'a') * kLetters;
      std::array<double, kLetters> chances;
      std::transform(row, row + kLetters, chances.begin(), [](float w) { return std::exp(static_cast<double>(w)); });
      word.push_back(static_cast<char>('a' + std::discrete_distribution<int>(chances.begin(), chances.end())(random)));
    }
    if (!known.contains(word)) invented.push_back(word);
  }
  return invented;
}

}  // namespace quarry::cli::demo
