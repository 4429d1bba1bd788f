// Matrix instructions, one row each: shape, types, which thread's register holds which element, and how it adds. A new
// accelerator adds rows here and their text to a printer.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/graph/dtype.h"
#include "engine/tile/numerics.h"

namespace quarry::tile {

/// One bit of a row or column number: which bit of the lane, the warp (within the warpgroup) or the register it is.
/// All known matrix units spread elements by such permutations of bits.
struct Bit {
  enum class Of : uint8_t { Lane, Warp, Register } of;
  int bit;
};

/// Element (row, column) of an operand; bits from the least on. What `column` does not reach (wgmma's N / 8) repeats
/// with the next registers.
struct Layout {
  std::vector<Bit> row, column;
};
struct Place {
  int warp, lane, reg;
  bool operator==(const Place&) const = default;
};
Place place_of(const Layout& layout, int64_t row, int64_t column);
struct Element {
  int64_t row, column;
  bool operator==(const Element&) const = default;
};
Element element_at(const Layout& layout, const Place& place);

struct MatrixRow {
  std::string_view name;
  graph::DType in, accumulator;
  int m, n, k;           ///< n = 0: any multiple of 8 up to 256
  int warps;             ///< that work together: 1, or 4 for a warpgroup
  bool shared_operands;  ///< A and B are read from shared memory, asynchronously
  Numerics numerics;
  Layout a, b, c;  ///< b: row n, column k. Of operands that are held in registers
};

/// All rows; a row's number is its place here.
std::span<const MatrixRow> matrix_rows();
/// The row of that name. Asserts that it exists.
int matrix_row(std::string_view name);

/// c[m][n] += a[m][k] b[n][k], as the row computes it: `depth` elements of k in blocks of the row's k. A 16-bit row
/// takes bits of its dtype, an fma row bits of f32.
void multiply(const MatrixRow& row, int64_t m, int64_t n, int64_t depth, const uint32_t* a, const uint32_t* b,
              float* c);

}  // namespace quarry::tile
