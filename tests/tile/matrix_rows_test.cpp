// Layouts of fragments, and that a product through them is a plain product.
#include <bit>
#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <tuple>

#include "engine/graph/number.h"
#include "engine/tile/matrix_rows.h"

namespace quarry::tile {

TEST_CASE("each element of a fragment has one place, and the place knows its element") {
  for (const MatrixRow& row : matrix_rows()) {
    if (row.numerics == Numerics::FmaChain) continue;
    const int64_t columns = row.n == 0 ? 256 : row.n;
    const struct {
      const Layout& layout;
      int64_t rows, columns;
    } operands[] = {{row.a, row.m, row.k}, {row.b, row.n, row.k}, {row.c, row.m, columns}};
    for (const auto& operand : operands) {
      std::set<std::tuple<int, int, int>> places;
      if (operand.layout.row.empty()) continue;  // read from shared memory only
      for (int64_t i = 0; i < operand.rows; ++i) {
        for (int64_t j = 0; j < operand.columns; ++j) {
          const Place place = place_of(operand.layout, i, j);
          CHECK(places.emplace(place.warp, place.lane, place.reg).second);
          CHECK(place.lane < 32);
          CHECK(place.warp < row.warps);
          CHECK(element_at(operand.layout, place) == Element{i, j});
        }
      }
      const auto registers = operand.rows * operand.columns / (32 * row.warps);
      for (const auto& [warp, lane, reg] : places) CHECK(reg < registers);
    }
  }
}

TEST_CASE("the accumulator of wgmma stands where the PTX manual draws it") {
  const MatrixRow& row = matrix_rows()[static_cast<size_t>(matrix_row("wgmma.m64k16.bf16"))];
  for (int warp = 0; warp < 4; ++warp) {
    for (int lane = 0; lane < 32; ++lane) {
      for (int reg = 0; reg < 128; ++reg) {
        const int e = reg % 2, h = reg / 2 % 2, i = reg / 4;
        const Element expected{16 * warp + lane / 4 + 8 * h, 8 * i + 2 * (lane % 4) + e};
        CHECK(element_at(row.c, {warp, lane, reg}) == expected);
      }
    }
  }
}

TEST_CASE("rows that add in aligned blocks keep the bound of a SUM, and the fma row is a chain of IEEE operations") {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  constexpr int64_t kM = 16, kN = 8, kDepth = 512;
  for (const MatrixRow& row : matrix_rows()) {
    const auto bits = [&](float value) {
      const uint64_t narrow = graph::from_double(row.in, value);
      return static_cast<uint32_t>(narrow);
    };
    const auto value = [&](uint32_t narrow) { return graph::to_double(row.in, narrow); };
    std::vector<uint32_t> a(kM * kDepth), b(kN * kDepth);
    for (uint32_t& x : a) x = bits(normal(random));
    for (uint32_t& x : b) x = bits(normal(random));
    std::vector<float> c(kM * kN);
    multiply(row, kM, kN, kDepth, a.data(), b.data(), c.data());
    for (size_t i = 0; i < kM; ++i) {
      for (size_t j = 0; j < kN; ++j) {
        double sum = 0, magnitudes = 0;
        for (size_t k = 0; k < kDepth; ++k) {
          const double product = value(a[i * kDepth + k]) * value(b[j * kDepth + k]);
          sum += product;
          magnitudes += std::abs(product);
        }
        CHECK(std::abs(double{c[i * kN + j]} - sum) <= double{kDepth + 64} * 0x1p-23 * magnitudes);
      }
    }
  }
}

}  // namespace quarry::tile
