#include "common/money.h"

#include <catch2/catch.hpp>

using quarry::Int128;
using quarry::Money;

TEST_CASE("an amount prints with exactly twelve decimals and parses back to itself") {
  for (const char* text :
       {"0.000000000000", "1.000000000000", "-0.000000000001", "12345678901234567890.123456789012"}) {
    const auto money = Money::parse(text);
    REQUIRE(money);
    CHECK(money->to_string() == text);
  }
  CHECK(Money::parse("2.5")->to_string() == "2.500000000000");
}

TEST_CASE("a malformed or oversized amount is refused") {
  for (const char* text :
       {"", "-", ".5", "1.", "1e3", "+1", "0.0000000000001", "1.2.3", " 1", "nan", "100000000000000000000000000"})
    CHECK_FALSE(Money::parse(text));
}

TEST_CASE("a sum that leaves numeric(38,12) throws instead of wrapping") {
  const Money most = *Money::parse("99999999999999999999999999.999999999999");
  CHECK_THROWS_AS(most + Money::from_pico(1), std::overflow_error);
  CHECK((most - most).pico() == 0);
}

TEST_CASE("128-bit integers keep every digit") {
  CHECK(quarry::to_decimal(~quarry::UInt128{0}) == "340282366920938463463374607431768211455");
  CHECK(*quarry::parse_uint128("340282366920938463463374607431768211455") == ~quarry::UInt128{0});
  CHECK_FALSE(quarry::parse_uint128("340282366920938463463374607431768211456"));
  const Int128 lowest = *quarry::parse_int128("-170141183460469231731687303715884105728");
  CHECK(quarry::to_decimal(lowest) == "-170141183460469231731687303715884105728");
  CHECK_FALSE(quarry::parse_int128("170141183460469231731687303715884105728"));
}
