#include "common/money.h"

#include <stdexcept>

namespace quarry {
namespace {

constexpr int kDecimals = 12;
constexpr Int128 kPicoPerDollar = 1'000'000'000'000;

constexpr Int128 power_of_ten(int exponent) {
  Int128 value = 1;
  for (int i = 0; i < exponent; ++i) value *= 10;
  return value;
}
constexpr Int128 kLimit = power_of_ten(38);  // numeric(38,12) holds amounts strictly below this many pico-dollars

Money checked(Int128 pico) {
  if (pico <= -kLimit || pico >= kLimit) throw std::overflow_error("an amount left the range of numeric(38,12)");
  return Money::from_pico(pico);
}

}  // namespace

std::optional<Money> Money::parse(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  const auto dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  const std::string_view fraction = dot == std::string_view::npos ? std::string_view{} : text.substr(dot + 1);
  if (dot != std::string_view::npos && fraction.empty()) return std::nullopt;
  if (fraction.size() > kDecimals) return std::nullopt;
  const auto pico =
      parse_uint128(std::string(whole) + std::string(fraction) + std::string(kDecimals - fraction.size(), '0'));
  if (whole.empty() || !pico || *pico >= static_cast<UInt128>(kLimit)) return std::nullopt;
  return from_pico(negative ? -static_cast<Int128>(*pico) : static_cast<Int128>(*pico));
}

std::string Money::to_string() const {
  const Int128 magnitude = pico_ < 0 ? -pico_ : pico_;
  const std::string fraction = to_decimal(static_cast<UInt128>(magnitude % kPicoPerDollar));
  return (pico_ < 0 ? "-" : "") + to_decimal(static_cast<UInt128>(magnitude / kPicoPerDollar)) + "." +
         std::string(kDecimals - fraction.size(), '0') + fraction;
}

Money operator+(Money a, Money b) {
  return checked(a.pico_ + b.pico_);
}
Money operator-(Money a, Money b) {
  return checked(a.pico_ - b.pico_);
}

}  // namespace quarry
