// The index simplifier against brute force: whatever it makes of an expression has the same value at every point.
#include <catch2/catch.hpp>
#include <functional>
#include <random>

#include "tests/lower/evaluate.h"

namespace quarry::test {

using lower::Arena;
using lower::ExprId;
using lower::Kind;

namespace {

// An expression twice: simplified in the arena, and as plain arithmetic.
struct Both {
  ExprId simplified;
  std::function<int64_t(const Point&)> plain;
};

class RandomExpressions {
 public:
  explicit RandomExpressions(uint64_t seed) : random_(seed) {}

  std::vector<int64_t> extents() {
    std::vector<int64_t> result;
    for (int i = 0; i < 3; ++i) result.push_back(1 + pick(9));
    return result;
  }

  Both make(Arena& arena, const std::vector<int64_t>& extents, int depth) {
    if (depth == 0) {
      const int64_t number = pick(4);
      if (number == 3) {
        const int64_t value = pick(41) - 20;
        return {arena.integer(value), [value](const Point&) { return value; }};
      }
      const size_t range = static_cast<size_t>(number);
      return {arena.range(static_cast<int>(number), extents[range]),
              [range](const Point& point) { return point[range]; }};
    }
    const Both a = make(arena, extents, depth - 1);
    switch (pick(5)) {
      case 0: {
        const Both b = make(arena, extents, depth - 1);
        return {arena.add(a.simplified, b.simplified), [a, b](const Point& p) { return a.plain(p) + b.plain(p); }};
      }
      case 1: {
        const int64_t factor = pick(13) - 4;
        return {arena.multiply(a.simplified, factor), [a, factor](const Point& p) { return a.plain(p) * factor; }};
      }
      case 2: {
        const int64_t offset = pick(25) - 12;
        return {arena.shift(a.simplified, offset), [a, offset](const Point& p) { return a.plain(p) + offset; }};
      }
      case 3: {
        const int64_t divisor = 1 + pick(12);
        return {arena.div(a.simplified, divisor),
                [a, divisor](const Point& p) { return lower::floor_div(a.plain(p), divisor); }};
      }
      default: {
        const int64_t divisor = 1 + pick(12);
        return {arena.mod(a.simplified, divisor),
                [a, divisor](const Point& p) { return lower::floor_mod(a.plain(p), divisor); }};
      }
    }
  }
  int64_t pick(int64_t below) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(below)); }

 private:
  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("20,000 random index expressions keep their value, and stay inside their interval, when simplified") {
  RandomExpressions expressions(1);
  for (int i = 0; i < 20'000; ++i) {
    Arena arena;
    const auto extents = expressions.extents();
    const Both both = expressions.make(arena, extents, 1 + i % 5);
    for_each_point(extents, [&](const Point& point) {
      if (evaluate_index(arena, both.simplified, point) != both.plain(point))
        FAIL("case " << i << ": " << to_string(arena, both.simplified));
    });
  }
}

TEST_CASE("5,000 random bounds hold exactly where the plain ones do") {
  RandomExpressions expressions(2);
  for (int i = 0; i < 5'000; ++i) {
    Arena arena;
    const auto extents = expressions.extents();
    const Both a = expressions.make(arena, extents, 1 + i % 4), b = expressions.make(arena, extents, 1 + i % 3);
    const int64_t low = expressions.pick(30) - 15, high = low + expressions.pick(20);
    const ExprId both = arena.both(arena.between(a.simplified, low, high), arena.between(b.simplified, low - 3, high));
    for_each_point(extents, [&](const Point& point) {
      const bool plain =
          a.plain(point) >= low && a.plain(point) < high && b.plain(point) >= low - 3 && b.plain(point) < high;
      if (evaluate_condition(arena, both, point) != plain) FAIL("case " << i << ": " << to_string(arena, both));
    });
  }
}

TEST_CASE("splitting an index and flattening it again leaves nothing of it") {
  Arena arena;
  const ExprId i = arena.range(0, 3 * 5 * 7 * 11);
  const ExprId digits[] = {arena.div(i, 5 * 7 * 11), arena.div(arena.mod(i, 5 * 7 * 11), 7 * 11),
                           arena.div(arena.mod(i, 7 * 11), 11), arena.mod(i, 11)};
  ExprId flat = arena.multiply(digits[0], 5 * 7 * 11);
  flat = arena.add(flat, arena.multiply(digits[1], 7 * 11));
  flat = arena.add(flat, arena.multiply(digits[2], 11));
  CHECK(arena.add(flat, digits[3]) == i);
}

TEST_CASE("flattening two ranges and splitting them again gives the ranges") {
  Arena arena;
  const ExprId row = arena.range(0, 9), column = arena.range(1, 16);
  const ExprId flat = arena.add(arena.multiply(row, 16), column);
  CHECK(arena.div(flat, 16) == row);
  CHECK(arena.mod(flat, 16) == column);
  CHECK(arena.mod(flat, 4) == arena.mod(column, 4));
  CHECK(arena.div(arena.shift(flat, 32), 16) == arena.shift(row, 2));
}

TEST_CASE("equal expressions are one node") {
  Arena arena;
  const ExprId a = arena.range(0, 9), b = arena.range(1, 16);
  CHECK(arena.add(arena.multiply(a, 3), b) == arena.add(b, arena.add(a, arena.multiply(a, 2))));
  CHECK(arena.between(arena.shift(a, 4), 6, 9) == arena.between(a, 2, 5));
}

}  // namespace quarry::test
