// Quotes and charges in exact integers. A price is per PFLOP or GiB, so an amount is a whole number of pico-dollars and
// two fractions, over 10^15 and over 2^30; they are carried along and rounded up once.
#include <algorithm>
#include <array>

#include "market/market.h"

namespace quarry::market {

namespace {

constexpr UInt128 kBytesPerGib = UInt128{1} << 30;
constexpr Int128 kPartsPerMillion = 1'000'000;
constexpr UInt128 kGreatestPico = [] {  // of numeric(38,12)
  UInt128 value = 1;
  for (int i = 0; i < 38; ++i) value *= 10;
  return value - 1;
}();

Problem overflow() {
  return {"amount_overflow", "the amount is past 10^26 dollars, the greatest that is kept", "", "ask for less work"};
}

/// whole + pflop_rest / 10^15 + gib_rest / 2^30, each rest below its divisor.
struct ExactAmount {
  UInt128 whole = 0, pflop_rest = 0, gib_rest = 0;
};

/// quantity * price / unit as a whole number and a rest.
std::optional<std::pair<UInt128, UInt128>> priced(UInt128 quantity, Money price, UInt128 unit) {
  const auto pico = static_cast<UInt128>(price.pico());
  const auto units = checked_mul<UInt128>(quantity / unit, pico);
  const auto rest = checked_mul<UInt128>(quantity % unit, pico);
  const auto whole = units && rest ? checked_add<UInt128>(*units, *rest / unit) : std::nullopt;
  if (!whole) return std::nullopt;
  return std::pair(*whole, *rest % unit);
}

bool add_compute(ExactAmount& sum, UInt128 flops, Money price) {
  const auto amount = priced(flops, price, kFlopsPerPflop);
  const auto whole = amount ? checked_add<UInt128>(sum.whole, amount->first) : std::nullopt;
  if (!whole) return false;
  sum.whole = *whole;
  sum.pflop_rest = amount->second;
  return true;
}

bool add_bytes(ExactAmount& sum, UInt128 bytes, Money price) {
  const auto amount = priced(bytes, price, kBytesPerGib);
  if (!amount) return false;
  const UInt128 rest = sum.gib_rest + amount->second;
  const auto carried = checked_add<UInt128>(amount->first, rest / kBytesPerGib);
  const auto whole = carried ? checked_add<UInt128>(sum.whole, *carried) : std::nullopt;
  if (!whole) return false;
  sum.whole = *whole;
  sum.gib_rest = rest % kBytesPerGib;
  return true;
}

/// The least whole number of pico-dollars that covers the amount.
std::optional<Money> rounded_up(const ExactAmount& amount) {
  const UInt128 divisor = kFlopsPerPflop * kBytesPerGib;
  const UInt128 rest = amount.pflop_rest * kBytesPerGib + amount.gib_rest * kFlopsPerPflop;
  const auto pico = checked_add<UInt128>(amount.whole, (rest + divisor - 1) / divisor);
  if (!pico || *pico > kGreatestPico) return std::nullopt;
  return Money::from_pico(static_cast<Int128>(*pico));
}

Status check(const Prices& prices) {
  for (Money price : {prices.per_pflop, prices.per_gib_in, prices.per_gib_out, prices.per_gib_hour}) {
    if (price < Money{})
      return Problem{"invalid_price", "a price is negative: " + price.to_string(), "", "set it to 0 or more"};
  }
  if (prices.take_ppm > kPartsPerMillion) {
    return Problem{"invalid_take", "the take is over 1,000,000 parts per million", "", "set it to 1,000,000 or less"};
  }
  return {};
}

/// One thing that is charged for.
struct Item {
  std::string_view name, unit, per;
  UInt128 quantity;
  Money price;
};

std::array<Item, 4> items(const Work& work, const Prices& prices) {
  return {{{"compute", "flop", "pflop", work.metered.count, prices.per_pflop},
           {"transfer_in", "byte", "gib", work.bytes_in, prices.per_gib_in},
           {"transfer_out", "byte", "gib", work.bytes_out, prices.per_gib_out},
           {"retention", "byte_hour", "gib_hour", work.byte_hours, prices.per_gib_hour}}};
}

bool add(ExactAmount& sum, const Item& item) {
  return item.per == "pflop" ? add_compute(sum, item.quantity, item.price) : add_bytes(sum, item.quantity, item.price);
}

}  // namespace

Result<Quote> quote(const Work& work, const Prices& prices, int64_t segments) {
  QUARRY_TRY(check(prices));
  if (segments < 1) return Problem{"invalid_segments", "a job has at least one segment", "", ""};
  Quote out;
  ExactAmount sum;
  for (const Item& item : items(work, prices)) {
    if (!add(sum, item)) return overflow();
    const auto total = rounded_up(sum);
    if (!total) return overflow();
    // Each line is what it adds to the rounded total, so that the lines sum to it exactly.
    out.lines.push_back({std::string(item.name), to_decimal(item.quantity), std::string(item.unit), item.price,
                         std::string(item.per), *total - out.total});
    out.total = *total;
  }
  // Each segment after the first may round up once more.
  const auto limit = checked_add<UInt128>(static_cast<UInt128>(out.total.pico()), static_cast<UInt128>(segments - 1));
  if (!limit || *limit > kGreatestPico) return overflow();
  out.limit = Money::from_pico(static_cast<Int128>(*limit));
  return out;
}

Result<Charge> charge(const Work& segment, const Prices& prices) {
  QUARRY_TRY(check(prices));
  ExactAmount sum;
  for (const Item& item : items(segment, prices)) {
    if (!add(sum, item)) return overflow();
  }
  const auto renter = rounded_up(sum);
  if (!renter) return overflow();
  // floor(renter * kept / 10^6) without a product that could overflow
  const Int128 kept = kPartsPerMillion - static_cast<Int128>(prices.take_ppm);
  const Int128 owner =
      renter->pico() / kPartsPerMillion * kept + renter->pico() % kPartsPerMillion * kept / kPartsPerMillion;
  return Charge{*renter, Money::from_pico(owner), *renter - Money::from_pico(owner)};
}

}  // namespace quarry::market
