#include "engine/graph/const_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/text.h"
#include "engine/graph/number.h"

namespace quarry::graph {

namespace {

/// Integers up to here are exact in every client's f64.
constexpr int64_t kMaxExactInteger = int64_t{1} << 53;

Problem invalid(DType dtype, const std::string& detail) {
  return {"invalid_value", "CONST of " + std::string(name(dtype)) + ": " + detail, "",
          "A value is a number, \"nan\", \"inf\", \"-inf\", a decimal integer as a string, or \"0x\" and the bits."};
}

Result<uint64_t> from_integer_checked(DType dtype, int64_t value) {
  if (value >= lowest_integer(dtype) && value <= highest_integer(dtype)) return from_integer(dtype, value);
  return invalid(dtype, std::to_string(value) + " is not within " + std::to_string(lowest_integer(dtype)) + " to " +
                            std::to_string(highest_integer(dtype)));
}

Result<uint64_t> from_float_checked(DType dtype, double value) {
  if (!is_float(dtype)) {
    if (value != std::trunc(value) || std::abs(value) > static_cast<double>(kMaxExactInteger))
      return invalid(dtype, "the value must be a whole number; write those beyond 2^53 as strings");
    return from_integer_checked(dtype, static_cast<int64_t>(value));
  }
  if (!std::isfinite(value)) return invalid(dtype, "write \"nan\", \"inf\" or \"-inf\" as strings");
  const uint64_t bits = from_double(dtype, value);
  if (std::isinf(to_double(dtype, bits)))
    return invalid(dtype, "the value is past the greatest finite one; write \"inf\" or \"-inf\" if that is meant");
  return bits;
}

Result<uint64_t> from_hexadecimal(DType dtype, std::string_view digits) {
  uint64_t bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16);
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size())
    return invalid(dtype, "\"0x\" must be followed by hexadecimal digits only");
  if (error != std::errc() || (bits & ~bit_mask(dtype)) != 0)
    return invalid(dtype, "0x" + std::string(digits.substr(0, 32)) + " has more bits than the dtype");
  return bits;
}

Result<uint64_t> from_decimal(DType dtype, std::string_view digits) {
  if (is_float(dtype)) {
    const auto value = parse_number<double>(digits);
    if (!value) return invalid(dtype, quote(digits) + " is past the greatest f64");
    return from_float_checked(dtype, *value);
  }
  const auto value = parse_number<int64_t>(digits);
  if (!value) return invalid(dtype, quote(digits) + " is not within 64 bits");
  return from_integer_checked(dtype, *value);
}

Result<uint64_t> from_text(DType dtype, std::string_view text) {
  if (text == "nan" || text == "inf" || text == "-inf") {
    if (!is_float(dtype)) return invalid(dtype, quote(text) + " needs a floating-point dtype");
    return text == "nan" ? nan_bits(dtype) : infinity_bits(dtype, text.front() == '-');
  }
  if (text.starts_with("0x")) return from_hexadecimal(dtype, text.substr(2));
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  const bool is_decimal = !digits.empty() && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (!is_decimal) return invalid(dtype, quote(text) + " is no value");
  return from_decimal(dtype, text);
}

}  // namespace

Result<uint64_t> parse_const_value(DType dtype, const WireValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return from_text(dtype, *text);
  if (const auto* number = std::get_if<double>(&value)) return from_float_checked(dtype, *number);
  if (is_float(dtype)) {
    const auto* integer = std::get_if<int64_t>(&value);
    return from_float_checked(dtype,
                              integer ? static_cast<double>(*integer) : static_cast<double>(std::get<uint64_t>(value)));
  }
  if (const auto* integer = std::get_if<int64_t>(&value)) return from_integer_checked(dtype, *integer);
  const uint64_t magnitude = std::get<uint64_t>(value);
  if (magnitude > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return invalid(dtype, std::to_string(magnitude) + " is not within 64 bits");
  return from_integer_checked(dtype, static_cast<int64_t>(magnitude));
}

WireValue to_wire_value(DType dtype, uint64_t bits) {
  if (!is_float(dtype)) {
    const int64_t value = to_integer(dtype, bits);
    if (value <= kMaxExactInteger && value >= -kMaxExactInteger) return value;
    return std::to_string(value);
  }
  const double value = to_double(dtype, bits);
  if (std::isfinite(value)) return value;
  if (std::isinf(value)) return std::string(value < 0 ? "-inf" : "inf");
  if (bits == nan_bits(dtype)) return std::string("nan");
  char digits[17];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, bits, 16);
  return "0x" + std::string(digits, end);
}

}  // namespace quarry::graph
