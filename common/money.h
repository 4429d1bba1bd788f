// Amounts of money: integers of 10^-12 dollars in 128 bits. No floating point ever touches an amount.
// JSON and SQL form: a decimal string with exactly twelve decimals, e.g. "0.002500000000" (numeric(38,12)).
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "common/uint128.h"

namespace quarry {

class Money {
 public:
  constexpr Money() = default;
  static constexpr Money from_pico(Int128 pico) {
    Money money;
    money.pico_ = pico;
    return money;
  }
  /// "12", "-0.5", "0.000000000001"; nullopt when malformed, with more than 12 decimals, or past numeric(38,12).
  static std::optional<Money> parse(std::string_view text);

  constexpr Int128 pico() const { return pico_; }
  std::string to_string() const;

  constexpr auto operator<=>(const Money&) const = default;
  constexpr Money operator-() const { return from_pico(-pico_); }
  /// Sums past the range of numeric(38,12) are bugs and throw std::overflow_error: every input is range-checked.
  friend Money operator+(Money a, Money b);
  friend Money operator-(Money a, Money b);
  Money& operator+=(Money other) { return *this = *this + other; }
  Money& operator-=(Money other) { return *this = *this - other; }

 private:
  Int128 pico_ = 0;
};

}  // namespace quarry
