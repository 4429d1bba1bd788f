// Reading and writing at computed positions, running sums, orders: against plain loops.
#include "engine/tensor/index.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "engine/meter/meter.h"
#include "engine/tensor/build.h"
#include "tests/tensor/evaluate.h"
#include "tests/tensor/numbers.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Catch::Contains;

namespace {

/// A tensor of these values, and what to evaluate it with.
struct Given {
  Given(DType dtype, Shape shape, Elements elements)
      : tensor(input("", dtype, std::move(shape))), values(std::move(elements)) {}
  Tensor tensor;
  Elements values;
};

Elements run(const Tensor& x, const std::vector<Given>& given) {
  std::vector<std::pair<Tensor, Elements>> inputs;
  for (const Given& one : given) inputs.emplace_back(one.tensor, one.values);
  return evaluate(x, inputs);
}

Given ints(Shape shape, Elements values, DType dtype = DType::I32) {
  return {dtype, std::move(shape), std::move(values)};
}
Given floats(Shape shape, Elements values, DType dtype = DType::F32) {
  return {dtype, std::move(shape), std::move(values)};
}

bool same(const Elements& x, const Elements& y) {
  return std::ranges::equal(x, y, [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); });
}

double weighted(const Tensor& x) {
  const auto graph = quarry::graph::normalise(build({{"y", x}}).graph);
  const auto counted = quarry::meter::count(graph, {}).value();
  return static_cast<double>(counted.weighted_total().count);
}

/// NumPy's order: NaN is the greatest.
std::vector<size_t> order_of(const Elements& values, bool descending) {
  std::vector<size_t> places(values.size());
  std::iota(places.begin(), places.end(), 0);
  const auto before = [&](double a, double b) { return std::isnan(a) ? false : std::isnan(b) || a < b; };
  std::ranges::stable_sort(places, [&](size_t a, size_t b) {
    return descending ? before(values[b], values[a]) : before(values[a], values[b]);
  });
  return places;
}

}  // namespace

TEST_CASE("rows are read by number: outside is 0, negative counts from the end where asked") {
  const Given i = ints({2, 2}, {1, 3, -1, 0}, DType::I64);
  const Tensor x = counting({3, 2}) + 1.0;
  CHECK(run(take(x, i.tensor, 0), {i}) == Elements{3, 4, 0, 0, 0, 0, 1, 2});
  CHECK(run(take(x, i.tensor, 0, Negative::Wrap), {i}) == Elements{3, 4, 0, 0, 5, 6, 1, 2});
  CHECK(run(take(x, i.tensor, 1), {i}) == Elements{2, 0, 0, 1, 4, 0, 0, 3, 6, 0, 0, 5});
  CHECK(embedding(i.tensor, x).shape() == Shape{2, 2, 2});
  CHECK(take(x, constant(1, DType::I32), -1).shape() == Shape{3});
}

TEST_CASE("rows that are not read do not matter, whatever is in them") {
  for (DType dtype : {DType::F16, DType::BF16, DType::F32, DType::F64}) {
    const Given table = floats({3, 1}, {kInf, 2, kNaN}, dtype), i = ints({2}, {1, 0});
    CHECK(run(take(table.tensor, i.tensor, 0), {table, i}) == Elements{2, kInf});
  }
  for (DType dtype : {DType::Bool, DType::U8, DType::I64}) {
    const Given i = ints({2}, {1, 0});
    CHECK(run(take(counting({2}, dtype), i.tensor, 0), {i}) == Elements{1, 0});
  }
}

TEST_CASE("gather reads along one axis, its other coordinates its own") {
  const Given i = ints({2, 2}, {2, 0, 1, -1});
  const Tensor x = counting({3, 3});
  CHECK(run(gather_along_axis(x, 0, i.tensor), {i}) == Elements{6, 1, 3, 0});
  CHECK(run(gather_along_axis(x, 1, i.tensor, Negative::Wrap), {i}) == Elements{2, 0, 4, 5});
}

TEST_CASE("gather_nd reads at several coordinates, with and without a batch") {
  const Given i = ints({3, 2}, {0, 1, 2, 0, 1, 5}), b = ints({2, 2, 1}, {1, 0, 0, 7});
  CHECK(run(gather_nd(counting({3, 2}) + 1.0, i.tensor), {i}) == Elements{2, 5, 0});
  CHECK(run(gather_nd(counting({2, 2, 2}) + 1.0, b.tensor, 1), {b}) == Elements{3, 4, 1, 2, 5, 6, 0, 0});
}

TEST_CASE("one_hot marks the index, and nothing for one outside") {
  const Given i = ints({3}, {1, 4, 0});
  CHECK(run(one_hot(i.tensor, 2, DType::F32), {i}) == Elements{0, 1, 0, 0, 1, 0});
  CHECK(run(one_hot(i.tensor, 2, DType::Bool, 0), {i}) == Elements{0, 0, 1, 1, 0, 0});
}

TEST_CASE("scatter combines each write with its place; of several sets the last stays") {
  const Given i = ints({4, 1}, {1, 0, 1, 7}), source = floats({4, 1}, {5, kInf, 3, kNaN});
  const Tensor x = constant(2, DType::F32, {3, 2});
  const auto scattered_by = [&](Scatter how) { return run(scatter(x, 0, i.tensor, source.tensor, how), {i, source}); };
  CHECK(scattered_by(Scatter::Set) == Elements{kInf, 2, 3, 2, 2, 2});
  CHECK(scattered_by(Scatter::Add) == Elements{kInf, 2, 10, 2, 2, 2});
  CHECK(scattered_by(Scatter::Multiply) == Elements{kInf, 2, 30, 2, 2, 2});
  CHECK(scattered_by(Scatter::Max) == Elements{kInf, 2, 5, 2, 2, 2});
  CHECK(scattered_by(Scatter::Min) == Elements{2, 2, 2, 2, 2, 2});
  const Given wrapping = ints({1}, {-1});
  CHECK(run(scatter(counting({3}), 0, wrapping.tensor, constant(9, DType::F32, {1}), Scatter::Set, Negative::Wrap),
            {wrapping}) == Elements{0, 1, 9});
}

TEST_CASE("scatter_nd writes whole rows at several coordinates") {
  const Given i = ints({3, 2}, {0, 1, 1, 0, 0, 1});
  const Tensor updates = counting({3, 2}) + 10.0;
  const Tensor x = constant(0, DType::F32, {2, 2, 2});
  CHECK(run(scatter_nd(x, i.tensor, updates), {i}) == Elements{0, 0, 14, 15, 12, 13, 0, 0});
  CHECK(run(scatter_nd(x, i.tensor, updates, Scatter::Add), {i}) == Elements{0, 0, 24, 26, 12, 13, 0, 0});
}

TEST_CASE("a row is replaced at an index, or at one of its own for each batch") {
  const Tensor old_value = counting({2, 3}), row = constant(9, DType::F32, {2, 1});
  CHECK(evaluate(row_update(old_value, 1, constant(2, DType::I32), row)) == Elements{0, 1, 9, 3, 4, 9});
  const Given each = ints({2, 1}, {0, 1});
  CHECK(run(row_update(old_value, 1, each.tensor, row), {each}) == Elements{9, 1, 2, 3, 9, 5});
}

TEST_CASE("a slice is written where the same slice is read") {
  const Slice steps[] = {{{}, {}, -2}, {1, 3}};
  const Tensor x = counting({4, 4}), value = constant(-1, DType::F32, {2, 2});
  const Elements written = evaluate(slice_put(x, steps, value));
  CHECK(written == Elements{0, 1, 2, 3, 4, -1, -1, 7, 8, 9, 10, 11, 12, -1, -1, 15});
  const Tensor counted = counting({2, 2}) + 100.0;
  CHECK(evaluate(slice(slice_put(x, steps, counted), steps)) == evaluate(counted));
  CHECK(evaluate(slice_put(x, {}, constant(7, DType::F32))) == Elements(16, 7));
  CHECK(evaluate(masked_fill(counting({3}), equal(counting({3}), constant(1, DType::F32)), kNaN))[0] == 0);
}

TEST_CASE("running sums and products of every length, from both ends, with and without the element itself") {
  for (int64_t count : {0, 1, 5, 128, 129, 300}) {
    const Tensor x = scattered({count});
    const Elements values = evaluate(x);
    for (bool exclusive : {false, true}) {
      for (bool reverse : {false, true}) {
        CAPTURE(count, exclusive, reverse);
        Elements expected(values.size());
        double sum = 0;
        for (size_t step = 0; step < values.size(); ++step) {
          const size_t i = reverse ? values.size() - 1 - step : step;
          expected[i] = exclusive ? sum : sum + values[i];
          sum += values[i];
        }
        CHECK(evaluate(cumsum(x, 0, exclusive, reverse)) == expected);
      }
    }
  }
  CHECK(evaluate(cumprod(counting({5}) + 1.0, 0)) == Elements{1, 2, 6, 24, 120});
  CHECK(evaluate(cumprod(counting({2, 3}, DType::I32) + 1.0, 1, true, true)) == Elements{6, 3, 1, 30, 6, 1});
  const Given odd = floats({3}, {1, kInf, 2});
  CHECK(run(cumsum(odd.tensor, 0), {odd}) == Elements{1, kInf, kInf});
}

TEST_CASE("sorting is stable and knows where NaN, infinities and equal values go") {
  const Elements values{3, kNaN, -kInf, 3, 0, kInf, kNaN, -0.0, 3, kInf};
  const Given x = floats({10}, values);
  for (bool descending : {false, true}) {
    const auto expected = order_of(values, descending);
    const Sorted sorted = sort(x.tensor, 0, descending);
    const Elements indices = run(sorted.indices, {x}), ordered = run(sorted.values, {x});
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(descending, i);
      CHECK(indices[i] == static_cast<double>(expected[i]));
      CHECK(same({ordered[i]}, {values[expected[i]]}));
    }
  }
  const Given bools = ints({4}, {1, 0, 1, 0}, DType::Bool), bytes = ints({3}, {200, 0, 7}, DType::U8);
  CHECK(run(argsort(bools.tensor), {bools}) == Elements{1, 3, 0, 2});
  CHECK(run(sort(bytes.tensor, 0, true).values, {bytes}) == Elements{200, 7, 0});
  CHECK(evaluate(sort(counting({2, 3}), 0, true).values) == Elements{3, 4, 5, 0, 1, 2});
}

TEST_CASE("the best of a long axis are those of a sort, from both ends, with ties and NaN") {
  std::mt19937_64 random(3);
  Elements values(3000);
  for (double& value : values) value = static_cast<double>(random() % 700) - 350;
  values[17] = values[2100] = kNaN;
  values[5] = -kInf;
  const Given x = floats({1, 3000}, values);
  for (bool largest : {true, false}) {
    const auto expected = order_of(values, largest);
    const Elements indices = run(topk(x.tensor, 40, 1, largest).indices, {x});
    REQUIRE(indices.size() == 40);
    for (size_t i = 0; i < 40; ++i) CHECK(indices[i] == static_cast<double>(expected[i]));
  }
  CHECK(evaluate(topk(counting({2, 4}), 2, 1, false).values) == Elements{0, 1, 4, 5});
  CHECK(topk(counting({4}), 0).values.shape() == Shape{0});
}

TEST_CASE("what is compared is counted once: no comparison for each element of a row, none for far blocks") {
  const Tensor index = input("", DType::I32, {32, 1});
  const auto scattered = [&](int64_t row) {
    return weighted(scatter_nd(input("", DType::F32, {512, row}), index, input("", DType::F32, {32, row})));
  };
  CHECK(scattered(64) - scattered(1) < 10 * 512 * 64);
  CHECK(weighted(topk(input("", DType::F32, {32768}), 10).values) < 32768.0 * 32768.0);
}

TEST_CASE("what does not fit is refused with the shapes, and what no graph can have with a way out") {
  const Tensor x = input("", DType::F32, {3, 2}), i = input("", DType::I32, {4, 2}), f = input("", DType::F32, {4, 2});
  CHECK_THROWS_WITH(take(x, f, 0), Contains("f32[4, 2]") && Contains("i32"));
  CHECK_THROWS_WITH(gather_along_axis(x, 1, i), Contains("i32[4, 2]") && Contains("f32[3, 2]"));
  CHECK_THROWS_WITH(gather_nd(x, input("", DType::I32, {5, 3})), Contains("i32[5, 3]") && Contains("f32[3, 2]"));
  CHECK_THROWS_WITH(scatter(x, 0, i, x), Contains("i32[4, 2]") && Contains("f32[3, 2]"));
  CHECK_THROWS_WITH(scatter_nd(x, i, f), Contains("i32[4, 2]") && Contains("[4]"));
  CHECK_THROWS_WITH(row_update(x, 0, constant(0, DType::I32), x), Contains("f32[1, 2]"));
  CHECK_THROWS_WITH(slice_put(x, {}, f), Contains("[4, 2]") && Contains("[3, 2]"));
  CHECK_THROWS_WITH(topk(x, 3), Contains("f32[3, 2]"));
  CHECK_THROWS_WITH(nonzero(x), Contains("mask"));
  CHECK_THROWS_WITH(unique(x), Contains("sort"));
}
