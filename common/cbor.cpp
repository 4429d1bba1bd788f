#include "common/cbor.h"

#include <bit>
#include <cmath>
#include <limits>

#include "common/text.h"

namespace quarry {

namespace {

/// The binary16 bits of a finite or infinite value that binary16 holds exactly.
std::optional<uint16_t> exact_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127;
  const uint32_t mantissa = bits & 0x7fffff;
  if (exponent == 128) return static_cast<uint16_t>(sign | 0x7c00);
  if (exponent == -127) return mantissa == 0 ? std::optional(sign) : std::nullopt;
  if (exponent > 15 || exponent < -24) return std::nullopt;
  if (exponent >= -14) {
    if (mantissa & 0x1fff) return std::nullopt;
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent + 15) << 10 | mantissa >> 13);
  }
  const int shift = -1 - exponent;  // subnormal: value = m * 2^-24 with m = (2^23 + mantissa) >> shift
  const uint32_t significand = mantissa | 0x800000;
  if (significand & ((uint32_t{1} << shift) - 1)) return std::nullopt;
  return static_cast<uint16_t>(sign | significand >> shift);
}

double from_half(uint64_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const auto mantissa = static_cast<double>(bits & 0x3ff);
  double value;
  if (exponent == 0)
    value = std::ldexp(mantissa, -24);
  else if (exponent != 31)
    value = std::ldexp(mantissa + 1024, exponent - 25);
  else
    value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  return bits & 0x8000 ? -value : value;
}

}  // namespace

void CborWriter::big_endian(uint64_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) put(value >> shift & 0xff);
}

void CborWriter::head(uint8_t major, uint64_t argument) {
  const uint64_t type = uint64_t{major} << 5;
  if (argument < 24) return put(type | argument);
  const int size = argument <= 0xff ? 1 : argument <= 0xffff ? 2 : argument <= 0xffffffff ? 4 : 8;
  put(type | static_cast<uint64_t>(24 + std::countr_zero(static_cast<unsigned>(size))));
  big_endian(argument, size);
}

void CborWriter::integer(int64_t value) {
  if (value >= 0)
    head(0, static_cast<uint64_t>(value));
  else
    head(1, ~static_cast<uint64_t>(value));
}

void CborWriter::bytes(std::span<const uint8_t> value) {
  head(2, value.size());
  const auto data = std::as_bytes(value);
  data_.insert(data_.end(), data.begin(), data.end());
}

void CborWriter::text(std::string_view value) {
  head(3, value.size());
  const auto data = std::as_bytes(std::span(value));
  data_.insert(data_.end(), data.begin(), data.end());
}

void CborWriter::floating(double value) {
  if (std::isnan(value)) {
    put(0xf9);
    return big_endian(0x7e00, 2);
  }
  const auto narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) != value) {
    put(0xfb);
    return big_endian(std::bit_cast<uint64_t>(value), 8);
  }
  if (const auto half = exact_half(narrow)) {
    put(0xf9);
    return big_endian(*half, 2);
  }
  put(0xfa);
  big_endian(std::bit_cast<uint32_t>(narrow), 4);
}

std::nullopt_t CborReader::broken(const char* what) {
  error_ = "byte " + std::to_string(item_at_) + ": " + what;
  return std::nullopt;
}

std::optional<CborItem> CborReader::next() {
  item_at_ = at_;
  if (at_end()) return broken("the text ends too early");
  const auto initial = static_cast<uint8_t>(input_[at_++]);
  const uint8_t major = initial >> 5, info = initial & 31;
  if (info > 27) return broken(info == 31 ? "indefinite lengths are not taken" : "a reserved length");
  uint64_t argument = info;
  if (info >= 24) {
    const size_t size = size_t{1} << (info - 24);
    if (input_.size() - at_ < size) return broken("the text ends too early");
    argument = 0;
    for (size_t i = 0; i < size; ++i) argument = argument << 8 | static_cast<uint8_t>(input_[at_++]);
  }
  const size_t left = input_.size() - at_;
  switch (major) {
    case 0:
      return CborItem{.kind = CborItem::Kind::Unsigned, .number = argument};
    case 1:
      if (argument >> 63) return broken("an integer below -2^63");
      return CborItem{.kind = CborItem::Kind::Negative, .negative = static_cast<int64_t>(~argument)};
    case 2:
    case 3: {
      if (argument > left) return broken("a string that is longer than the text");
      const std::string_view bytes(reinterpret_cast<const char*>(input_.data()) + at_, argument);
      if (major == 3 && !is_utf8(bytes)) return broken("a string that is not UTF-8");
      at_ += argument;
      return CborItem{.kind = major == 2 ? CborItem::Kind::Bytes : CborItem::Kind::Text, .bytes = bytes};
    }
    case 4:
    case 5:
      if (argument > left / (major - 3)) return broken("an array or map with more items than the text has bytes");
      return CborItem{.kind = major == 4 ? CborItem::Kind::Array : CborItem::Kind::Map, .number = argument};
    case 6:
      return broken("tags are not taken");
    default:
      return simple(info, argument);
  }
}

std::optional<CborItem> CborReader::simple(uint8_t info, uint64_t argument) {
  const auto floating = [](double value) { return CborItem{.kind = CborItem::Kind::Floating, .floating = value}; };
  switch (info) {
    case 20:
    case 21:
      return CborItem{.kind = CborItem::Kind::Boolean, .number = argument - 20};
    case 22:
      return CborItem{};
    case 25:
      return floating(from_half(argument));
    case 26:
      return floating(static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(argument))));
    case 27:
      return floating(std::bit_cast<double>(argument));
    default:
      return broken("a simple value other than true, false and null");
  }
}

}  // namespace quarry
