// Elements as bits: exact conversions between every dtype and the host's numbers, and the CAST of
// docs/graph-format.md, section 4.
//
// An element's bits stand in the low bytes of a uint64_t, the rest 0; bool is 0 or 1. The host's rounding mode must be
// the default one. A NaN that changes its dtype becomes the target's canonical quiet NaN: payloads and signs of NaNs
// are no part of the semantics.
#pragma once

#include <cstdint>

#include "engine/graph/dtype.h"

namespace quarry::graph {

/// All bits of an element of this dtype.
constexpr uint64_t bit_mask(DType dtype) {
  if (dtype == DType::Bool) return 1;
  return byte_size(dtype) == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * byte_size(dtype))) - 1;
}

/// The least and the greatest value of an integer dtype; bool is 0 to 1. 0 for floats.
int64_t lowest_integer(DType dtype);
int64_t highest_integer(DType dtype);

/// The value. Exact, except that an i64 beyond 2^53 is rounded to the nearest double.
double to_double(DType dtype, uint64_t bits);
/// A double as CAST from f64 would convert it: floats round to nearest even, integers truncate and saturate, bool is
/// value != 0.
uint64_t from_double(DType dtype, double value);

/// The value of a bool or integer, sign-extended. Not for floats.
int64_t to_integer(DType dtype, uint64_t bits);
/// An integer as CAST from i64 would convert it: integers wrap, bool is value != 0, floats are rounded once, to nearest
/// even.
uint64_t from_integer(DType dtype, int64_t value);

/// CAST of one element. Equal dtypes keep every bit.
uint64_t cast_bits(DType from, DType to, uint64_t bits);

/// The canonical quiet NaN (only its sign, exponent and quiet bits: 0x7fc00000 for f32), infinity, and whether bits are
/// a NaN.
uint64_t nan_bits(DType dtype);
uint64_t infinity_bits(DType dtype, bool negative);
bool is_nan(DType dtype, uint64_t bits);

}  // namespace quarry::graph
