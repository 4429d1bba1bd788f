// The `value` of a CONST as a client writes it, and the bits that it stands for.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/result.h"
#include "engine/graph/dtype.h"

namespace quarry::graph {

/// A number (an integer where it was written as one, else a double), or a string: "nan", "inf", "-inf", a decimal
/// integer, "0x" and bits.
using WireValue = std::variant<int64_t, uint64_t, double, std::string>;

/// Refuses what the dtype cannot hold. A number for a float is read as f64 and then rounded to nearest even, but never
/// to infinity.
Result<uint64_t> parse_const_value(DType dtype, const WireValue& value);

/// A value that parses back to the same bits: a number where that is exact in every client's f64, else a string.
WireValue to_wire_value(DType dtype, uint64_t bits);

}  // namespace quarry::graph
