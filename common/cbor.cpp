#include "common/cbor.h"

#include <bit>
#include <cmath>
#include <optional>

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

}  // namespace quarry
