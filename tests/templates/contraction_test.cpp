// The contraction template through the tile interpreter: every layout, tail, dtype, tile form and order of events.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "engine/tile/interpret.h"

#include "tests/templates/contraction_case.h"

namespace quarry::test {

using graph::DType;
using templates::ContractionSchedule;

TEST_CASE("all four transposes of both 16-bit types are right at odd sizes") {
  uint64_t seed = 1;
  for (const char* layout : {"NN", "NT", "TN", "TT"}) {
    for (DType operand : {DType::BF16, DType::F16}) {
      check_contraction({129, 200, 127, layout, operand, DType::F32}, {.block_m = 128, .block_n = 128}, 3, seed++);
      check_contraction({7, 127, 200, layout, operand, operand}, {.block_m = 64, .block_n = 64}, 1, seed++);
    }
  }
}

TEST_CASE("every tile form gives the row's sums") {
  uint64_t seed = 100;
  for (int64_t block_m : {64, 128}) {
    for (int64_t block_n : {8, 16, 32, 64, 128, 192, 256}) {
      for (DType result : {DType::F32, DType::BF16}) {
        check_contraction({136, 264, 200, seed % 2 ? "NT" : "TN", DType::BF16, result},
                          {.block_m = block_m, .block_n = block_n, .stages = 3}, 2, seed);
        ++seed;
      }
    }
  }
}

TEST_CASE("tails of 1, 7, 127, 129 and 200 along each axis") {
  const int64_t sizes[] = {1, 7, 127, 129, 200};
  std::mt19937_64 random(5);
  for (int64_t m : sizes) {
    for (int64_t n : sizes) {
      const int64_t k = sizes[random() % 5];
      const char* const layouts[] = {"NN", "NT", "TN", "TT"};
      check_contraction({m, n, k, layouts[random() % 4], DType::BF16, random() % 2 ? DType::F32 : DType::BF16},
                        {.block_m = 64, .block_n = random() % 2 ? 64 : 16, .stages = 2}, 1, random());
    }
  }
}

TEST_CASE("batch axes, up to three, and more tiles than blocks") {
  check_contraction({40, 72, 64, "NT", DType::F16, DType::F16, {3}}, {.block_m = 64, .block_n = 64}, 2, 1);
  check_contraction({40, 72, 70, "TN", DType::BF16, DType::F32, {2, 3}}, {.block_m = 64, .block_n = 64}, 4, 2);
  check_contraction({9, 24, 64, "NN", DType::BF16, DType::F32, {2, 1, 2}}, {.block_m = 64, .block_n = 64}, 3, 3);
}

TEST_CASE("split sums are joined in the order of the parts by whoever comes last") {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    check_contraction({70, 136, 640, "NT", DType::BF16, DType::F32}, {.parts = 3, .block_m = 64, .block_n = 128}, 5,
                      seed);
    check_contraction({129, 40, 333, "TT", DType::F16, DType::F16}, {.parts = 2, .block_m = 128, .block_n = 64}, 3,
                      seed);
  }
}

TEST_CASE("a transposed result is stored element by element, inside its bounds") {
  check_contraction({127, 5, 200, "NT", DType::BF16, DType::BF16, {}, true}, {.block_m = 128, .block_n = 8}, 1, 9);
  check_contraction({200, 20, 129, "TT", DType::F16, DType::F32, {2}, true}, {.parts = 2, .block_m = 64, .block_n = 32},
                    4, 10);
}

TEST_CASE("a result whose rows start at odd addresses is stored element by element") {
  check_contraction({66, 127, 64, "NT", DType::BF16, DType::BF16}, {.block_m = 64, .block_n = 128}, 1, 11);
}

TEST_CASE("the sum's bits do not depend on blocks, stages or the order of the tiles") {
  // Each run is held against the row's sums, so equal inputs give equal bits.
  for (ContractionSchedule schedule :
       {ContractionSchedule{.block_m = 64, .block_n = 64, .stages = 2, .raster_rows = 1},
        ContractionSchedule{.block_m = 128, .block_n = 256, .stages = 3, .raster_rows = 4}}) {
    for (int64_t blocks : {1, 7}) check_contraction({300, 264, 130, "NN"}, schedule, blocks, 42);
  }
}

TEST_CASE("what the TMA engine cannot read is left to the loops") {
  auto problem = problem_of({64, 64, 64, "NT"});
  problem.left.row_stride = 63;
  CHECK_FALSE(templates::contraction(problem, {}).has_value());
  problem = problem_of({64, 64, 64, "NT"});
  problem.left.k_stride = 2;
  CHECK_FALSE(templates::contraction(problem, {}).has_value());
  problem = problem_of({64, 64, 64, "NT"});
  problem.operand = DType::I8;
  CHECK_FALSE(templates::contraction(problem, {}).has_value());
  CHECK_FALSE(templates::contraction(problem_of({64, 64, 64, "NT"}), {.stages = 8}).has_value());
  CHECK_FALSE(
      templates::contraction(problem_of({64, 64, 64, "NT", DType::BF16, DType::F32, {2, 2, 2, 2}}), {}).has_value());
}

namespace {

constexpr ContractionSchedule kSplit{.block_m = 128, .block_n = 128, .stages = 4};

}  // namespace

TEST_CASE("f32 sums by six products of bf16 parts are right in all transposes, at odd sizes, in batches and in parts") {
  uint64_t seed = 1;
  for (const char* layout : {"NN", "NT", "TN", "TT"}) {
    check_contraction({129, 136, 100, layout, DType::F32, DType::F32}, kSplit, 2, seed++);
  }
  check_contraction({7, 127, 33, "NN", DType::F32, DType::F32}, kSplit, 1, seed++);
  check_contraction({40, 24, 64, "NT", DType::F32, DType::BF16, {2}}, kSplit, 1, seed++);
  ContractionSchedule parts = kSplit;
  parts.parts = 3;
  check_contraction({130, 20, 300, "TN", DType::F32, DType::F32}, parts, 4, seed++);
}

TEST_CASE("three bf16 parts of an f32 are the number exactly, down to 2^-110") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!(std::abs(value) < 0x1.fep127f) || std::abs(value) < 0x1p-110f) continue;
    const tile::Parts parts = tile::split_bf16(value);
    double sum = 0;
    for (uint16_t bits : parts.bits) sum += double{std::bit_cast<float>(uint32_t{bits} << 16)};
    CHECK(sum == double{value});
    CHECK(parts.finite());
  }
}

TEST_CASE("an infinity or NaN among f32 operands gives what IEEE sums give, and leaves other elements as they are") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Form form{64, 64, 64, "NT", DType::F32, DType::F32};
  const auto problem = problem_of(form);
  const auto program = templates::contraction(problem, kSplit);
  REQUIRE(program.has_value());
  std::mt19937_64 random(8);
  std::normal_distribution<float> normal;
  std::vector<float> left(64 * 64), right(64 * 64), plain(64 * 64), result(64 * 64);
  for (float& x : left) x = normal(random);
  for (float& x : right) x = normal(random);
  const auto run = [&](std::vector<float>& into) {
    const auto bytes = [](std::vector<float>& values) { return std::as_writable_bytes(std::span(values)); };
    const std::span<std::byte> arguments[] = {bytes(into), bytes(left), bytes(right)};
    REQUIRE(tile::interpret(*program, arguments, {1, 1}) == "");
  };
  run(plain);
  left[3 * 64 + 5] = infinity;
  left[10 * 64 + 7] = nan;
  right[20 * 64 + 40] = -infinity;
  right[30 * 64 + 41] = 0x1.ffp127f;  // rounds to an infinite first part
  right[31 * 64 + 5] = 0;
  run(result);
  for (size_t i = 0; i < 64; ++i) {
    for (size_t j = 0; j < 64; ++j) {
      double sum = 0;
      for (size_t k = 0; k < 64; ++k) sum += double{left[i * 64 + k]} * double{right[j * 64 + k]};
      const float got = result[i * 64 + j];
      INFO(i << ", " << j << ": " << got << " for " << sum);
      if (j == 30) {
        if (i != 3 && i != 10) CHECK((std::isinf(got) && (got > 0) == (sum > 0)));  // S2: it may count as infinite
      } else if (i == 10 || i == 3 || j == 20) {
        CHECK((std::isnan(sum) ? std::isnan(got) : got == static_cast<float>(sum)));
      } else if (j != 31) {
        CHECK(got == plain[i * 64 + j]);
      }
    }
  }
}

}  // namespace quarry::test
