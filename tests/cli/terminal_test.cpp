#include "cli/terminal.h"

#include <catch2/catch.hpp>

using namespace quarry;
using namespace quarry::cli;

TEST_CASE("figures are shown in the unit a person would use") {
  CHECK(human_flops({0}) == "0 FLOP");
  CHECK(human_flops({24'660'000'000ull}) == "24.7 GFLOP");
  CHECK(human_flops({1'000'000'000'000'000ull}) == "1.00 PFLOP");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1u << 30) == "1.00 GiB");
  CHECK(human_seconds(0.0032) == "3.2 ms");
  CHECK(human_seconds(250) == "4 min 10 s");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(grouped(999) == "999");
}

TEST_CASE("money drops trailing zeros but never below cents, and keeps every digit that counts") {
  const Terminal terminal;
  CHECK(terminal.money("12.500000000000") == "$12.50");
  CHECK(terminal.money("0.000000000001") == "$1.0e-12");
  CHECK(terminal.money("0.000000025501") == "$2.6e-8");
  CHECK(terminal.money("0.000000000000") == "$0.00");
  CHECK(terminal.money("0.473700000000") == "$0.474");
  CHECK(terminal.money("0.002500000000") == "$0.0025");
  CHECK(terminal.money("9.995000000000") == "$10.00");
  CHECK(terminal.money("99999999999999999999999999.995000000000") == "$100000000000000000000000000.00");
  CHECK(terminal.money("-3.000000000000") == "-$3.00");
  Terminal exact;
  exact.exact = true;
  CHECK(exact.money("-0.000000025501") == "-$0.000000025501");
}

TEST_CASE("a table aligns numbers to the right and words to the left, whatever bytes they are made of") {
  const Terminal terminal;
  const std::string text = table(terminal, {"name", "count"}, {{"å", "7"}, {"longer", "1234"}});
  CHECK(text == "name    count\nå           7\nlonger   1234\n");
}

TEST_CASE("a line is cut to a narrow window between characters, never inside one") {
  CHECK(clipped("running █████·· 71 %", 10) == "running ██");
  CHECK(clipped("short", 80) == "short");
  CHECK(clipped("short", 0).empty());
}

TEST_CASE("a falling curve starts in the chart's top left corner and ends in its bottom right") {
  const Terminal terminal;
  const std::string chart = line_chart(terminal, {4, 3, 2, 1}, 4, 2, " steps");
  const auto newline = chart.find('\n');
  CHECK(chart.substr(0, 8) == "  4.0000");
  CHECK(chart.substr(newline + 1, 8) == "  1.0000");
  CHECK(line_chart(terminal, {1}, 4, 2, "").empty());
}
