// The main job: from the real word list, learn which letter follows which, by softmax regression written in the twelve
// ops.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/graph/graph.h"

namespace quarry::cli::demo {

inline constexpr int kLetters = 26;
inline constexpr int kBatch = 32'768;  ///< letter pairs a step
inline constexpr int kSteps = 300;
inline constexpr float kLearningRate =
    40;  ///< measured: 0.2 % above the optimum after 300 steps; 20 gives 0.5 %, 60 starts to swing

using LetterTable = std::array<std::array<double, kLetters>, kLetters>;

struct Words {
  std::vector<std::string> words;             ///< those of the letters a to z only
  std::vector<std::array<uint8_t, 2>> pairs;  ///< every (letter, next letter), in shuffled order
};

/// Reads a word list, one word a line; shuffled with a fixed seed so that two runs learn the same.
Result<Words> read_words(const std::filesystem::path& path);

/// The least loss any letter-pair model can have: the conditional entropy of the bigram counts, in nats.
double exact_optimum(const Words& words);

/// One training step: INPUTs "weights" f32 [26, 26] and "pairs" u8 [32768, 2]; outputs "weights_next" and "loss" (mean,
/// f32 [1, 1, 1]).
Result<graph::Graph> training_step();

/// The job's data: "weights" (zeros) and "pairs" u8 [n, 32768, 2], the last batch filled up from the first; n is
/// returned.
Result<int64_t> write_data(const Words& words, const std::filesystem::path& file);

/// Words drawn from the table exp(weights), normalised by row: first letters and lengths as in the list, the rest from
/// the table.
std::vector<std::string> invent_words(const Words& words, const std::vector<float>& weights, int count, uint64_t seed);

}  // namespace quarry::cli::demo
