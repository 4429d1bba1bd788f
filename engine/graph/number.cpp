#include "engine/graph/number.h"

#include <bit>
#include <cmath>
#include <limits>

namespace quarry::graph {

namespace {

struct FloatFormat {
  int mantissa_bits, bias, width;
  uint64_t infinity() const { return uint64_t(2 * bias + 1) << mantissa_bits; }
};

constexpr FloatFormat float_format(DType dtype) {
  switch (dtype) {
    case DType::F16:
      return {10, 15, 16};
    case DType::BF16:
      return {7, 127, 16};
    case DType::F32:
      return {23, 127, 32};
    default:
      return {52, 1023, 64};
  }
}

uint64_t shift_right_to_nearest_even(uint64_t value, int shift) {
  if (shift > 64) return 0;
  const uint64_t kept = shift == 64 ? 0 : value >> shift;
  const uint64_t rest = shift == 64 ? value : value & ((uint64_t{1} << shift) - 1);
  const uint64_t half = uint64_t{1} << (shift - 1);
  return kept + (rest > half || (rest == half && (kept & 1)) ? 1 : 0);
}

/// magnitude * 2^exponent in the format, rounded once. A carry out of the mantissa runs into the exponent field, up to
/// infinity.
uint64_t pack(const FloatFormat& format, bool negative, uint64_t magnitude, int exponent) {
  const uint64_t sign = uint64_t{negative} << (format.width - 1);
  if (magnitude == 0) return sign;
  const int top = 63 - std::countl_zero(magnitude);
  const int scale =
      std::max(top + exponent, 1 - format.bias);  // subnormals share the exponent of the least normal number
  const int shift = scale - format.mantissa_bits - exponent;
  const uint64_t mantissa = shift <= 0 ? magnitude << -shift : shift_right_to_nearest_even(magnitude, shift);
  const uint64_t bits = (uint64_t(scale + format.bias - 1) << format.mantissa_bits) + mantissa;
  return sign | std::min(bits, format.infinity());
}

uint64_t pack_double(const FloatFormat& format, double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const bool negative = bits >> 63;
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
  const uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (exponent == 0x7ff) return uint64_t{negative} << (format.width - 1) | format.infinity();
  if (exponent == 0) return pack(format, negative, mantissa, -1074);
  return pack(format, negative, mantissa | uint64_t{1} << 52, exponent - 1075);
}

double half_to_double(uint64_t bits) {
  const auto magnitude = static_cast<uint32_t>(bits & 0x7fff);
  // Moved to f32's places the exponent is 112 too small; the product puts that right, for subnormals too.
  double value = static_cast<double>(std::bit_cast<float>(magnitude << 13)) * 0x1p112;
  if (magnitude >= 0x7c00) value = magnitude == 0x7c00 ? std::numeric_limits<double>::infinity() : std::nan("");
  return bits & 0x8000 ? -value : value;
}

}  // namespace

int64_t lowest_integer(DType dtype) {
  switch (dtype) {
    case DType::I8:
      return std::numeric_limits<int8_t>::min();
    case DType::I32:
      return std::numeric_limits<int32_t>::min();
    case DType::I64:
      return std::numeric_limits<int64_t>::min();
    default:
      return 0;
  }
}

int64_t highest_integer(DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return 1;
    case DType::I8:
      return std::numeric_limits<int8_t>::max();
    case DType::U8:
      return std::numeric_limits<uint8_t>::max();
    case DType::I32:
      return std::numeric_limits<int32_t>::max();
    case DType::I64:
      return std::numeric_limits<int64_t>::max();
    default:
      return 0;
  }
}

double to_double(DType dtype, uint64_t bits) {
  switch (dtype) {
    case DType::F16:
      return half_to_double(bits);
    case DType::BF16:
      return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    case DType::F32:
      return std::bit_cast<float>(static_cast<uint32_t>(bits));
    case DType::F64:
      return std::bit_cast<double>(bits);
    default:
      return static_cast<double>(to_integer(dtype, bits));
  }
}

uint64_t from_double(DType dtype, double value) {
  if (dtype == DType::Bool) return value != 0;
  if (is_float(dtype)) {
    if (std::isnan(value)) return nan_bits(dtype);
    if (dtype == DType::F64) return std::bit_cast<uint64_t>(value);
    if (dtype == DType::F32) return std::bit_cast<uint32_t>(static_cast<float>(value));
    return pack_double(float_format(dtype), value);
  }
  if (std::isnan(value)) return 0;
  // The doubles nearest to the limits of i64 are -2^63 and 2^63: comparing before the conversion keeps it defined.
  if (value <= static_cast<double>(lowest_integer(dtype))) return from_integer(dtype, lowest_integer(dtype));
  if (value >= static_cast<double>(highest_integer(dtype))) return from_integer(dtype, highest_integer(dtype));
  return from_integer(dtype, static_cast<int64_t>(value));
}

int64_t to_integer(DType dtype, uint64_t bits) {
  switch (dtype) {
    case DType::I8:
      return static_cast<int8_t>(bits);
    case DType::I32:
      return static_cast<int32_t>(bits);
    default:
      return static_cast<int64_t>(bits);
  }
}

uint64_t from_integer(DType dtype, int64_t value) {
  switch (dtype) {
    case DType::Bool:
      return value != 0;
    case DType::F64:
      return std::bit_cast<uint64_t>(static_cast<double>(value));
    case DType::F32:
      return std::bit_cast<uint32_t>(static_cast<float>(value));
    case DType::F16:
    case DType::BF16: {
      const bool negative = value < 0;
      const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
      return pack(float_format(dtype), negative, magnitude, 0);
    }
    default:
      return static_cast<uint64_t>(value) & bit_mask(dtype);
  }
}

uint64_t cast_bits(DType from, DType to, uint64_t bits) {
  if (from == to) return bits;
  return is_float(from) ? from_double(to, to_double(from, bits)) : from_integer(to, to_integer(from, bits));
}

uint64_t nan_bits(DType dtype) {
  const FloatFormat format = float_format(dtype);
  return format.infinity() | uint64_t{1} << (format.mantissa_bits - 1);
}

uint64_t infinity_bits(DType dtype, bool negative) {
  const FloatFormat format = float_format(dtype);
  return format.infinity() | uint64_t{negative} << (format.width - 1);
}

bool is_nan(DType dtype, uint64_t bits) {
  if (!is_float(dtype)) return false;
  const FloatFormat format = float_format(dtype);
  return (bits & ((uint64_t{1} << (format.width - 1)) - 1)) > format.infinity();
}

}  // namespace quarry::graph
