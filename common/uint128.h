// 128-bit integers: exact counts and amounts. Decimal text, checked arithmetic, nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quarry {

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;

std::string to_decimal(Int128 value);
std::string to_decimal(UInt128 value);

/// Decimal digits only, with an optional leading '-' for Int128; nullopt when malformed or out of range.
std::optional<Int128> parse_int128(std::string_view text);
std::optional<UInt128> parse_uint128(std::string_view text);

/// The sum or product, or nullopt when it does not fit.
template <class T>
std::optional<T> checked_add(T a, T b) {
  T out;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}
template <class T>
std::optional<T> checked_mul(T a, T b) {
  T out;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

}  // namespace quarry
