#include "common/uint128.h"

#include <algorithm>

namespace quarry {

std::string to_decimal(UInt128 value) {
  std::string digits;
  do {
    digits.push_back(static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value != 0);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string to_decimal(Int128 value) {
  if (value >= 0) return to_decimal(static_cast<UInt128>(value));
  return "-" + to_decimal(UInt128{0} - static_cast<UInt128>(value));
}

std::optional<UInt128> parse_uint128(std::string_view text) {
  if (text.empty()) return std::nullopt;
  UInt128 value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    auto scaled = checked_mul<UInt128>(value, 10);
    if (!scaled) return std::nullopt;
    auto next = checked_add<UInt128>(*scaled, static_cast<UInt128>(c - '0'));
    if (!next) return std::nullopt;
    value = *next;
  }
  return value;
}

std::optional<Int128> parse_int128(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  auto magnitude = parse_uint128(negative ? text.substr(1) : text);
  constexpr UInt128 limit = UInt128{1} << 127;
  if (!magnitude || *magnitude > limit || (!negative && *magnitude == limit)) return std::nullopt;
  return negative ? static_cast<Int128>(UInt128{0} - *magnitude) : static_cast<Int128>(*magnitude);
}

}  // namespace quarry
