// Counts of floating-point operations: exact, 128-bit, refused and never wrapped. In JSON a decimal string.
#pragma once

#include <compare>
#include <optional>
#include <string>

#include "common/uint128.h"

namespace quarry {

struct Flops {
  UInt128 count = 0;

  constexpr auto operator<=>(const Flops&) const = default;
  std::string to_string() const { return to_decimal(count); }
};

/// The unit of sale: 10^15 metered FLOPs.
inline constexpr UInt128 kFlopsPerPflop = 1'000'000'000'000'000;

inline std::optional<Flops> checked_add(Flops a, Flops b) {
  auto sum = checked_add<UInt128>(a.count, b.count);
  return sum ? std::optional(Flops{*sum}) : std::nullopt;
}
inline std::optional<Flops> checked_mul(Flops a, UInt128 factor) {
  auto product = checked_mul<UInt128>(a.count, factor);
  return product ? std::optional(Flops{*product}) : std::nullopt;
}

}  // namespace quarry
