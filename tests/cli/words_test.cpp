#include "cli/demo/words.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/meter/meter.h"
#include "tests/support/scratch.h"

using namespace quarry;
using namespace quarry::cli::demo;

namespace {

/// A list in which "ab" and "ac" come equally often, with words that must be left out.
Words made_up() {
  std::string list;
  for (int i = 0; i < kBatch; ++i) list += "ab\nac\n";
  const quarry::test::Scratch scratch;
  auto words = read_words(scratch.write("words", list + "Zürich\nit's\nNASA\n"));
  REQUIRE(words.ok());
  return std::move(words).value();
}

}  // namespace

TEST_CASE("only words of the letters a to z count, and every pair of each is there") {
  const Words words = made_up();
  CHECK(words.words.size() == 2 * kBatch);
  CHECK(words.pairs.size() == 2 * kBatch);
}

TEST_CASE("the exact optimum of a fair choice between two letters is ln 2") {
  CHECK(exact_optimum(made_up()) == Approx(std::log(2.0)).epsilon(1e-9));
}

TEST_CASE("the training step is a valid graph of a few kernels whose logits are billed as a gather") {
  const auto step = training_step();
  REQUIRE(step.ok());
  const auto count = meter::count(graph::normalise(step.value()), {{{"weights", "weights_next"}}, {"pairs"}});
  REQUIRE(count.ok());
  CHECK(count->stored_values <= 10);
  // The gradient's contraction alone is 2 x 32,768 x 26 x 26 FLOPs in f32.
  CHECK(count->flops.count > UInt128{2} * kBatch * kLetters * kLetters);
  // Were the logits billed as a contraction, the weighted work would hold another 4 x 32,768 x 26 x 26.
  CHECK(count->weighted_total().count < UInt128{2} * 4 * kBatch * kLetters * kLetters);
}

TEST_CASE("invented words follow the table: a letter of weight minus infinity never comes") {
  const Words words = made_up();
  std::vector<float> weights(kLetters * kLetters, -INFINITY);
  for (int i = 0; i < kLetters; ++i) weights[static_cast<size_t>(i * kLetters + 3)] = 0;  // only 'd' may follow
  Words longer = words;
  longer.words.assign(8, "abcde");
  for (const auto& word : invent_words(longer, weights, 5, 1)) CHECK(word == "adddd");
}
