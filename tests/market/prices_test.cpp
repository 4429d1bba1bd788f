// What work costs: rounding, lines, limits and what is refused.
#include <catch2/catch.hpp>
#include <random>

#include "market/market.h"

namespace quarry::market {
namespace {

Money dollars(const char* text) {
  return *Money::parse(text);
}

Prices usual(uint32_t take_ppm = 0) {
  return {dollars("0.0025"), dollars("0.01"), dollars("0.02"), dollars("0.00003"), take_ppm};
}

Work flops(UInt128 count) {
  return {.metered = {count}, .bytes_in = 0, .bytes_out = 0, .byte_hours = 0};
}

Money total_of(const Quote& quote) {
  Money sum;
  for (const QuoteLine& line : quote.lines) sum += line.amount;
  return sum;
}

TEST_CASE("a PFLOP costs the price of a PFLOP, a GiB that of a GiB") {
  const Work work{{kFlopsPerPflop}, uint64_t{1} << 30, uint64_t{2} << 30, uint64_t{10} << 30};
  const auto quoted = quote(work, usual(), 1);
  REQUIRE(quoted.ok());
  REQUIRE(quoted->lines.size() == 4);
  CHECK(quoted->lines[0].item == "compute");
  CHECK(quoted->lines[0].quantity == "1000000000000000");
  CHECK(quoted->lines[0].unit == "flop");
  CHECK(quoted->lines[0].per == "pflop");
  CHECK(quoted->lines[0].unit_price == dollars("0.0025"));
  CHECK(quoted->lines[0].amount == dollars("0.0025"));
  CHECK(quoted->lines[1].item == "transfer_in");
  CHECK(quoted->lines[1].amount == dollars("0.01"));
  CHECK(quoted->lines[2].item == "transfer_out");
  CHECK(quoted->lines[2].amount == dollars("0.04"));
  CHECK(quoted->lines[3].item == "retention");
  CHECK(quoted->lines[3].amount == dollars("0.0003"));
  CHECK(quoted->total == dollars("0.0528"));
  CHECK(quoted->limit == quoted->total);
}

TEST_CASE("the smallest part of a pico-dollar rounds up, once for all that is charged together") {
  CHECK(charge(flops(1), usual())->renter == Money::from_pico(1));
  CHECK(charge(flops(0), usual())->renter == Money{});
  // 2,500,000,000 pico-dollars a PFLOP: 400,000 FLOPs are exactly one pico-dollar.
  CHECK(charge(flops(400'000), usual())->renter == Money::from_pico(1));
  CHECK(charge(flops(400'001), usual())->renter == Money::from_pico(2));
  // Half a pico-dollar of compute and half of one of transfer are one, not two.
  Prices prices = usual();
  prices.per_gib_in = Money::from_pico(1);
  CHECK(charge({{200'000}, uint64_t{1} << 29, 0, 0}, prices)->renter == Money::from_pico(1));
  CHECK(charge({{200'001}, uint64_t{1} << 29, 0, 0}, prices)->renter == Money::from_pico(2));
}

TEST_CASE("the owner gets the floor of its share and the operator the rest") {
  const auto shared = charge(flops(400'000 * 7), usual(500'000));
  CHECK(shared->renter == Money::from_pico(7));
  CHECK(shared->owner == Money::from_pico(3));
  CHECK(shared->operator_share == Money::from_pico(4));
  const auto untaken = charge(flops(400'000 * 7), usual(0));
  CHECK(untaken->owner == Money::from_pico(7));
  CHECK(untaken->operator_share == Money{});
  CHECK(charge(flops(400'000 * 7), usual(1'000'000))->owner == Money{});
}

TEST_CASE("the charges of a job's segments never pass the limit of its quote, however it is cut") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 3'000; ++round) {
    const auto some = [&] { return random() >> (random() % 60); };
    const Prices prices{
        Money::from_pico(static_cast<Int128>(some() >> 4)), Money::from_pico(static_cast<Int128>(some() >> 4)),
        Money::from_pico(static_cast<Int128>(some() >> 4)), Money::from_pico(static_cast<Int128>(some() >> 4)),
        static_cast<uint32_t>(random() % 1'000'001)};
    const auto segments = static_cast<int64_t>(1 + random() % 9);
    Work whole;
    std::vector<Work> parts;
    for (int64_t i = 0; i < segments; ++i) {
      parts.push_back({{some() >> 4}, some() >> 4, some() >> 4, some() >> 4});
      whole.metered.count += parts.back().metered.count;
      whole.bytes_in += parts.back().bytes_in;
      whole.bytes_out += parts.back().bytes_out;
      whole.byte_hours += parts.back().byte_hours;
    }
    const auto quoted = quote(whole, prices, segments);
    REQUIRE(quoted.ok());
    CHECK(total_of(*quoted) == quoted->total);
    CHECK(quoted->limit >= quoted->total);
    CHECK(quoted->total == charge(whole, prices)->renter);
    Money charged;
    for (const Work& part : parts) {
      const auto cost = charge(part, prices);
      REQUIRE(cost.ok());
      CHECK(cost->owner + cost->operator_share == cost->renter);
      CHECK(cost->owner >= Money{});
      CHECK(cost->operator_share >= Money{});
      charged += cost->renter;
    }
    CHECK(charged <= quoted->limit);
    CHECK(charged >= quoted->total);
  }
}

TEST_CASE("the limit is tight: segments that all round up reach it") {
  Money charged;
  for (int i = 0; i < 5; ++i) charged += charge(flops(1), usual())->renter;
  CHECK(charged == quote(flops(5), usual(), 5)->limit);
}

TEST_CASE("amounts past numeric(38,12) are refused, not wrapped") {
  const UInt128 most = ~UInt128{0};
  CHECK(quote(flops(most), usual(), 1).ok());  // 8.5e20 dollars
  Prices dear = usual();
  for (const char* price : {"99999999999999999999999999", "1000000000000"}) {
    dear.per_pflop = dollars(price);
    CHECK(quote(flops(most), dear, 1).problem().code == "amount_overflow");
    CHECK(charge(flops(most), dear).problem().code == "amount_overflow");
  }
  Prices storage = usual();
  storage.per_gib_hour = dollars("99999999999999999999999999");
  CHECK(quote({{0}, 0, 0, UINT64_MAX}, storage, 1).problem().code == "amount_overflow");
  // The greatest amount is kept; one more segment's rounding is not.
  Prices greatest;
  greatest.per_pflop = dollars("99999999999999999999999.999999999999");
  CHECK(quote(flops(1'000 * kFlopsPerPflop), greatest, 1).ok());
  CHECK(quote(flops(1'001 * kFlopsPerPflop), greatest, 1).problem().code == "amount_overflow");
}

TEST_CASE("prices, takes and segment counts that make no sense are refused") {
  Prices negative = usual();
  negative.per_gib_out = dollars("-0.01");
  CHECK(charge(flops(1), negative).problem().code == "invalid_price");
  CHECK(quote(flops(1), usual(1'000'001), 1).problem().code == "invalid_take");
  CHECK(quote(flops(1), usual(), 0).problem().code == "invalid_segments");
}

}  // namespace
}  // namespace quarry::market
