#include "engine/tile/matrix_rows.h"

#include <bit>
#include <cassert>
#include <cmath>

namespace quarry::tile {

namespace {

using graph::DType;
using enum Bit::Of;

// mma.sync and wgmma share these: a group of 8 rows is spread over lane / 4, pairs of columns over lane % 4.
const std::vector<Bit> kRowsOfC = {{Lane, 2}, {Lane, 3}, {Lane, 4}, {Register, 1}};
const std::vector<Bit> kColumnsOfC = {{Register, 0}, {Lane, 0}, {Lane, 1}};
const std::vector<Bit> kWarpgroupRows = {{Lane, 2}, {Lane, 3}, {Lane, 4}, {Register, 1}, {Warp, 0}, {Warp, 1}};
const std::vector<Bit> kDepthOfA = {{Register, 0}, {Lane, 0}, {Lane, 1}, {Register, 2}};
const Layout kSyncB = {{{Lane, 2}, {Lane, 3}, {Lane, 4}}, {{Register, 0}, {Lane, 0}, {Lane, 1}, {Register, 1}}};

MatrixRow sync(std::string_view name, DType in) {
  return {name,
          in,
          DType::F32,
          16,
          8,
          16,
          1,
          false,
          Numerics::AlignedSum,
          {kRowsOfC, kDepthOfA},
          kSyncB,
          {kRowsOfC, kColumnsOfC}};
}
MatrixRow group(std::string_view name, DType in) {
  return {name,
          in,
          DType::F32,
          64,
          0,
          16,
          4,
          true,
          Numerics::AlignedSum,
          {kWarpgroupRows, kDepthOfA},
          {},
          {kWarpgroupRows, kColumnsOfC}};
}

const std::vector<MatrixRow> kRows = {
    {"fma", DType::F32, DType::F32, 1, 1, 1, 1, false, Numerics::FmaChain, {}, {}, {}},
    sync("mma.sync.m16n8k16.bf16", DType::BF16),
    sync("mma.sync.m16n8k16.f16", DType::F16),
    group("wgmma.m64k16.bf16", DType::BF16),
    group("wgmma.m64k16.f16", DType::F16),
};

int bits_of(const Layout& layout, Bit::Of of) {
  int bits = 0;
  for (const auto* list : {&layout.row, &layout.column}) {
    for (const Bit& bit : *list) bits += bit.of == of;
  }
  return bits;
}

void scatter(const std::vector<Bit>& bits, int64_t value, Place& place) {
  for (size_t i = 0; i < bits.size(); ++i) {
    int& part = bits[i].of == Lane ? place.lane : bits[i].of == Warp ? place.warp : place.reg;
    part |= static_cast<int>(value >> i & 1) << bits[i].bit;
  }
}

int64_t gather(const std::vector<Bit>& bits, const Place& place) {
  int64_t value = 0;
  for (size_t i = 0; i < bits.size(); ++i) {
    const int part = bits[i].of == Lane ? place.lane : bits[i].of == Warp ? place.warp : place.reg;
    value |= int64_t{part >> bits[i].bit & 1} << i;
  }
  return value;
}

}  // namespace

Place place_of(const Layout& layout, int64_t row, int64_t column) {
  Place place{0, 0, 0};
  scatter(layout.row, row, place);
  scatter(layout.column, column, place);
  const int64_t repeat = column >> layout.column.size();
  place.reg |= static_cast<int>(repeat << bits_of(layout, Register));
  return place;
}

Element element_at(const Layout& layout, const Place& place) {
  const int64_t repeat = place.reg >> bits_of(layout, Register);
  return {gather(layout.row, place), gather(layout.column, place) | repeat << layout.column.size()};
}

std::span<const MatrixRow> matrix_rows() {
  return kRows;
}

int matrix_row(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<int>(i);
  }
  assert(!"no such matrix row");
  return -1;
}

void multiply(const MatrixRow& row, int64_t m, int64_t n, int64_t depth, const uint32_t* a, const uint32_t* b,
              float* c) {
  if (row.numerics == Numerics::FmaChain) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        for (int64_t k = 0; k < depth; ++k) {
          c[i * n + j] =
              std::fma(std::bit_cast<float>(a[i * depth + k]), std::bit_cast<float>(b[j * depth + k]), c[i * n + j]);
        }
      }
    }
    return;
  }
  std::vector<Factor> left(static_cast<size_t>(m * depth)), right(static_cast<size_t>(n * depth));
  for (size_t i = 0; i < left.size(); ++i) left[i] = factor(row.in, static_cast<uint16_t>(a[i]));
  for (size_t i = 0; i < right.size(); ++i) right[i] = factor(row.in, static_cast<uint16_t>(b[i]));
  const size_t block = static_cast<size_t>(row.k);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t k = 0; k < depth; k += row.k) {
        c[i * n + j] = aligned_sum(row.in, c[i * n + j], std::span(&left[static_cast<size_t>(i * depth + k)], block),
                                   std::span(&right[static_cast<size_t>(j * depth + k)], block));
      }
    }
  }
}

}  // namespace quarry::tile
