// The rule of each op and movement op, and what gradients promise beside them.
#include "engine/tensor/gradient.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/graph/idioms.h"
#include "engine/tensor/arithmetic.h"
#include "tests/tensor/finite_difference.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Xs = std::vector<Tensor>;

namespace {

Tensor f64_input(Shape shape) {
  return input("", DType::F64, std::move(shape));
}

Tensor sum_all(const Tensor& x) {
  return reshape(reduce(Op::ReduceSum, reshape(x, {x.elements()}), {0}), {});
}

Elements gradient_at(const Tensor& loss, const Tensor& x, const Elements& value) {
  return evaluate(gradient(loss, std::vector{x}).front(), {{x, value}});
}

size_t count(const Tensor& x, Op op) {
  const auto order = topological_order(std::vector{x});
  return static_cast<size_t>(std::ranges::count_if(order, [&](const NodePointer& node) { return node->op == op; }));
}

}  // namespace

TEST_CASE("every op of the twelve passes gradients as finite differences do") {
  const Inputs positive{.low = 0.3, .high = 3};
  check_gradient([](const Xs& x) { return exp(x[0]); }, {{3, 5}});
  check_gradient([](const Xs& x) { return log(x[0]); }, {{7}}, positive);
  check_gradient([](const Xs& x) { return add(x[0], x[1]); }, {{3, 1}, {1, 4}});
  check_gradient([](const Xs& x) { return sub(x[0], x[1]); }, {{3, 1}, {1, 4}});
  check_gradient([](const Xs& x) { return mul(x[0], x[1]); }, {{2, 3, 1}, {4}});
  check_gradient([](const Xs& x) { return div(x[0], x[1]); }, {{2, 3}, {3}}, positive);
  check_gradient([](const Xs& x) { return pow(x[0], x[1]); }, {{2, 3}, {2, 1}}, positive);
  check_gradient([](const Xs& x) { return binary(Op::CmpEq, x[0], x[1]) * x[0]; }, {{5}, {5}});
  check_gradient([](const Xs& x) { return maximum(x[0], x[1]); }, {{4, 3}, {3}});
  check_gradient([](const Xs& x) { return minimum(x[0], x[1]); }, {{4, 3}, {3}});
  check_gradient([](const Xs& x) { return reduce(Op::ReduceSum, x[0], {0, 2}); }, {{2, 3, 4}});
  check_gradient([](const Xs& x) { return reduce(Op::ReduceMax, x[0], {0, 2}); }, {{2, 3, 4}});
}

TEST_CASE("powers with constant exponents pass gradients") {
  for (double exponent : {0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, -0.5, 1.5, 2.7}) {
    CAPTURE(exponent);
    check_gradient([&](const Xs& x) { return pow(x[0], constant(exponent, DType::F64)); }, {{5}},
                   {.low = 0.3, .high = 2});
  }
  check_gradient([](const Xs& x) { return pow(x[0], constant(3, DType::F64)); }, {{5}});
}

TEST_CASE("every movement op passes gradients backwards") {
  const Pair amounts[] = {{1, 0}, {0, 3}, {2, 2}}, ranges[] = {{1, 2}, {0, 3}, {1, 4}};
  const Shape shape{2, 3, 5};
  check_gradient([](const Xs& x) { return reshape(x[0], {5, 6}); }, {shape});
  check_gradient([](const Xs& x) { return permute(x[0], {2, 0, 1}); }, {shape});
  check_gradient([](const Xs& x) { return expand(x[0], {4, 2, 3, 5}); }, {{2, 1, 5}});
  check_gradient([&](const Xs& x) { return pad(x[0], amounts); }, {shape});
  check_gradient([&](const Xs& x) { return shrink(x[0], ranges); }, {shape});
  for (const std::vector<int64_t>& steps :
       {std::vector<int64_t>{1, 2, 3}, {-1, -1, 1}, {2, -2, -3}, {-5, 1, -4}, {1, 1, 5}}) {
    CAPTURE(text(steps));
    check_gradient([&](const Xs& x) { return stride(x[0], steps); }, {shape});
  }
}

TEST_CASE("a value that is used often gets the sum of its gradients") {
  check_gradient([](const Xs& x) { return x[0] * x[0] + exp(x[0]) - x[0] / (x[0] * x[0] + 1.0); }, {{6}});
}

TEST_CASE("gradients of gradients are gradients") {
  check_gradient(
      [](const Xs& x) { return gradient(sum_all(exp(x[0] * x[0]) / (x[0] + 4.0)), std::vector{x[0]}).front(); }, {{4}},
      {.tolerance = 1e-5});
}

TEST_CASE("a select passes its gradient to the side that it chose, and not even NaN to the other") {
  const Tensor x = f64_input({4});
  const Tensor is_positive = less(constant(0, DType::F64), x);
  const Tensor safe = where(is_positive, log(where(is_positive, x, constant(1, DType::F64))), x * 3.0);
  CHECK(gradient_at(sum_all(safe), x, {2, -1, 0.5, 0}) == Elements{0.5, 3, 2, 3});

  const Tensor other = f64_input({4});
  const Tensor chosen = sum_all(where(is_positive, x, other) * constant(kInf, DType::F64));
  const auto g = evaluate(gradient(chosen, std::vector{x, other}), {{x, {1, -1, -2, 0}}, {other, {0, 0, 0, 0}}});
  CHECK(g[0] == Elements{kInf, 0, 0, 0});
  CHECK(g[1] == Elements{0, kInf, kInf, kInf});
}

TEST_CASE("rows that a gather did not pick get exactly nothing, also when the gradient is inf") {
  const Tensor table = f64_input({3, 4});
  const Tensor picks = input("", DType::I32, {3, 1});
  const Tensor mask = cast(binary(Op::CmpEq, iota(DType::I32, {3, 4}, 1), expand(picks, {3, 4})), DType::F64);
  const Tensor picked = reduce(Op::ReduceSum, mask * table, {1});
  const Tensor loss = sum_all(picked * constant(kInf, DType::F64));
  const Elements g = evaluate(gradient(loss, std::vector{table}).front(),
                              {{table, {kNaN, 1, 2, 3, 4, kInf, 6, 7, 8, 9, 1, 2}}, {picks, {1, 2, 9}}});
  CHECK(g == Elements{0, kInf, 0, 0, 0, 0, kInf, 0, 0, 0, 0, 0});
}

TEST_CASE("at ties MAX passes its gradient to the second operand, REDUCE_MAX in equal shares") {
  const Tensor x = f64_input({4}), y = f64_input({4});
  const auto g = evaluate(gradient(sum_all(maximum(x, y)), std::vector{x, y}), {{x, {1, 2, 3, 0}}, {y, {1, 1, 4, 0}}});
  CHECK(g[0] == Elements{0, 1, 0, 0});
  CHECK(g[1] == Elements{1, 0, 1, 1});
  CHECK(gradient_at(reshape(reduce(Op::ReduceMax, x, {0}), {}), x, {5, 1, 5, 2}) == Elements{0.5, 0, 0.5, 0});
}

TEST_CASE("powers at zero pass gradients that are finite where the power is smooth") {
  const Tensor x = f64_input({2}), y = f64_input({2});
  const auto g = evaluate(gradient(sum_all(pow(x, y)), std::vector{x, y}), {{x, {0, -2}}, {y, {0, 2}}});
  CHECK(g[0] == Elements{0, -4});
  CHECK(g[1] == Elements{0, 0});
  CHECK(gradient_at(sum_all(pow(x, constant(2, DType::F64))), x, {0, -3}) == Elements{0, -6});
}

TEST_CASE("the gradients of a matrix product are matrix products, also of f16 through f32") {
  for (DType dtype : {DType::F32, DType::F16}) {
    const Tensor a = input("", dtype, {3, 4}), b = input("", dtype, {4, 5});
    const Tensor left = expand(reshape(cast(a, DType::F32), {3, 4, 1}), {3, 4, 5});
    const Tensor right = expand(reshape(cast(b, DType::F32), {1, 4, 5}), {3, 4, 5});
    const Tensor product = cast(reshape(reduce(Op::ReduceSum, left * right, {1}), {3, 5}), dtype);
    const Tensor seed = input("", dtype, {3, 5});
    for (const Tensor& g : gradient(sum_all(product * seed), std::vector{a, b})) {
      const quarry::graph::NormalGraph normal = quarry::graph::normalise(build({{"g", g}}).graph);
      int contractions = 0;
      for (quarry::graph::NodeId id = 0; id < normal.graph.size(); ++id) {
        const auto found = quarry::graph::match_contraction(normal.graph, id);
        contractions += found.has_value();
        if (found) CHECK(found->width_bits == (dtype == DType::F16 ? 16 : 32));
      }
      CHECK(contractions == 1);
      CHECK(count(g, Op::ReduceSum) == 1);
    }
  }
}

TEST_CASE("gradients are made without needless nodes") {
  const Tensor x = input("", DType::F32, {8}), w = input("", DType::F32, {8});
  const Tensor loss = sum_all(x * w + 1.0);
  const Tensor g = gradient(loss, std::vector{w}).front();
  CHECK(&g.node() == &x.node());
}

TEST_CASE("what the loss does not depend on has a gradient of zeros") {
  const Tensor x = f64_input({2}), other = input("", DType::F16, {3, 1});
  const auto g = gradient(sum_all(x * 2.0), std::vector{other, x});
  CHECK(is_constant(g[0], 0));
  CHECK(g[0].dtype() == DType::F16);
  CHECK(g[0].shape() == Shape{3, 1});
  CHECK(is_constant(g[1], 2));
}

TEST_CASE("the loss may be differentiated by a value on its way") {
  const Tensor x = f64_input({3});
  const Tensor middle = exp(x);
  const auto g = evaluate(gradient(sum_all(middle * middle), std::vector{middle, x}), {{x, {0, 1, 2}}});
  for (size_t i = 0; i < 3; ++i) {
    const double e = std::exp(static_cast<double>(i));
    CHECK(g[0][i] == Approx(2 * e));
    CHECK(g[1][i] == Approx(2 * e * e));
  }
}

TEST_CASE("no gradient passes through detach, integers or comparisons") {
  const Tensor x = f64_input({3});
  const Tensor whole = cast(cast(x, DType::I32), DType::F64);
  const Tensor above = cast(less(constant(0, DType::F64), x), DType::F64);
  CHECK(gradient_at(sum_all(x + detach(x) * 7.0 + detach(exp(x)) + whole + above), x, {0.5, 1, 2}) ==
        Elements{1, 1, 1});
  CHECK(evaluate(reshape(detach(x), {3, 1}), {{x, {1, 2, 3}}}) == Elements{1, 2, 3});
}

TEST_CASE("a derivative that is given takes the place of the ops' own") {
  const Tensor x = f64_input({2});
  const Tensor value =
      with_derivative(x, exp(x), [](const Tensor&, const Tensor& y, const Tensor& g) { return y * g * 10.0; });
  CHECK(gradient_at(sum_all(value), x, {0, 0}) == Elements{10, 10});
}

TEST_CASE("a seed multiplies the gradient") {
  const Tensor x = f64_input({2}), seed = f64_input({});
  CHECK(evaluate(gradient(sum_all(x * 3.0), std::vector{x}, seed).front(), {{x, {1, 1}}, {seed, {8}}}) ==
        Elements{24, 24});
}

TEST_CASE("a loss that is not one float is refused with its shape") {
  const Tensor x = f64_input({2});
  CHECK_THROWS_WITH(gradient(x, std::vector{x}), Catch::Contains("f64[2]"));
  CHECK_THROWS_WITH(gradient(constant(1, DType::I32), std::vector{x}), Catch::Contains("i32[]"));
  CHECK_THROWS_WITH(gradient(sum_all(x), std::vector{x}, x), Catch::Contains("f64[2]"));
}

TEST_CASE("a chain of 100,000 operations is built, differentiated and freed") {
  const Tensor x = f64_input({});
  Tensor y = x;
  for (int i = 0; i < 50'000; ++i) {
    y = with_derivative(y, exp(y), [](const Tensor&, const Tensor& value, const Tensor& g) { return value * g; });
    y = y * 0.5;
  }
  const Tensor g = gradient(y, std::vector{x}).front();
  CHECK(build({{"y", y}, {"g", g}}).graph.size() > 200'000);
}
