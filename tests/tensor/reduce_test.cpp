// Values and gradients of reductions, against plain loops.
#include "engine/tensor/reduce.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/tensor/arithmetic.h"
#include "tests/tensor/finite_difference.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Xs = std::vector<Tensor>;

namespace {

Tensor input_like(const Elements& x, DType dtype, Shape shape = {}) {
  return input("", dtype, shape.empty() ? Shape{static_cast<int64_t>(x.size())} : std::move(shape));
}

template <class Function>
Elements apply(Function function, const Elements& x, DType dtype, Shape shape = {}) {
  const Tensor in = input_like(x, dtype, std::move(shape));
  return evaluate(function(in), {{in, x}});
}

/// The rows of [outer, n, inner] along the middle axis, each reduced by `reference`.
Elements by_rows(const Elements& x, size_t outer, size_t n, size_t inner,
                 const std::function<double(const Elements&)>& reference) {
  Elements result;
  for (size_t i = 0; i < outer; ++i) {
    for (size_t j = 0; j < inner; ++j) {
      Elements row;
      for (size_t k = 0; k < n; ++k) row.push_back(x[(i * n + k) * inner + j]);
      result.push_back(reference(row));
    }
  }
  return result;
}

void check_close(const Elements& got, const Elements& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("element " << i << ": " << got[i] << ", not " << expected[i]);
    if (std::isnan(expected[i])) {
      CHECK(std::isnan(got[i]));
    } else {
      CHECK((got[i] == expected[i] || std::abs(got[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(got[i]))));
    }
  }
}

double sum_of(const Elements& row) {
  return std::accumulate(row.begin(), row.end(), 0.0);
}
double mean_of(const Elements& row) {
  return sum_of(row) / static_cast<double>(row.size());
}
double variance_of(const Elements& row) {
  double squares = 0;
  for (double x : row) squares += (x - mean_of(row)) * (x - mean_of(row));
  return squares / static_cast<double>(row.size() - 1);
}
double log_sum_of(const Elements& row) {
  double total = 0;
  for (double x : row) total += std::exp(x);
  return std::log(total);
}

}  // namespace

TEST_CASE("reductions along an axis are what loops give") {
  std::mt19937_64 random(2);
  for (size_t n : {1u, 2u, 3u, 7u, 16u, 21u}) {
    const Elements x = draw(5 * n * 3, {}, random);
    const Shape shape{5, static_cast<int64_t>(n), 3};
    const auto check = [&](auto function, const std::function<double(const Elements&)>& reference) {
      check_close(apply(function, x, DType::F64, shape), by_rows(x, 5, n, 3, reference), 1e-13);
    };
    check([](const Tensor& t) { return sum(t, {1}); }, sum_of);
    check([](const Tensor& t) { return mean(t, {-2}); }, mean_of);
    check([](const Tensor& t) { return max(t, {1}); }, [](auto& row) { return *std::ranges::max_element(row); });
    check([](const Tensor& t) { return min(t, {1}); }, [](auto& row) { return *std::ranges::min_element(row); });
    check([](const Tensor& t) { return prod(t, {1}); },
          [](auto& row) { return std::accumulate(row.begin(), row.end(), 1.0, std::multiplies<>()); });
    check([](const Tensor& t) { return logsumexp(t, {1}); }, log_sum_of);
    check([](const Tensor& t) { return var(t, {1}); }, variance_of);
    check([](const Tensor& t) { return standard_deviation(t, {1}, 0); },
          [](auto& row) {
            const auto count = static_cast<double>(row.size());
            return count == 1 ? 0 : std::sqrt(variance_of(row) * (count - 1) / count);
          });
    check([](const Tensor& t) { return cast(argmax(t, 1), DType::F64); },
          [](auto& row) { return static_cast<double>(std::ranges::max_element(row) - row.begin()); });
    check([](const Tensor& t) { return cast(argmin(t, 1), DType::F64); },
          [](auto& row) { return static_cast<double>(std::ranges::min_element(row) - row.begin()); });
    check([](const Tensor& t) { return l2_norm(t, {1}); },
          [](auto& row) { return std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0)); });
    check([](const Tensor& t) { return l1_norm(t, {1}); },
          [](auto& row) {
            return std::accumulate(row.begin(), row.end(), 0.0, [](double a, double b) { return a + std::abs(b); });
          });
  }
}

TEST_CASE("reduced axes are dropped, or kept with size 1; none given are all") {
  const Tensor x = input("", DType::F32, {2, 3, 4});
  CHECK(sum(x).shape() == Shape{});
  CHECK(sum(x, {}, true).shape() == Shape{1, 1, 1});
  CHECK(sum(x, {-1, 0}).shape() == Shape{3});
  CHECK(max(x, {1}, true).shape() == Shape{2, 1, 4});
  CHECK(argmax(x).shape() == Shape{});
  CHECK(argmax(x, {}, true).shape() == Shape{1, 1, 1});
  CHECK(argmax(x, -2).shape() == Shape{2, 4});
  CHECK(prod(x, {0, 2}).shape() == Shape{3});
  CHECK(evaluate(sum(constant(3, DType::F32))) == Elements{3});
  CHECK_THROWS_WITH(sum(x, {3}), Catch::Contains("no axis 3"));
  CHECK_THROWS_WITH(sum(x, {1, -2}), Catch::Contains("twice"));
}

TEST_CASE("sums and means have the dtypes they promise, and count in f32 inside") {
  CHECK(sum(input("", DType::Bool, {4})).dtype() == DType::I32);
  CHECK(sum(input("", DType::U8, {4})).dtype() == DType::I32);
  CHECK(sum(input("", DType::I64, {4})).dtype() == DType::I64);
  CHECK(sum(input("", DType::BF16, {4})).dtype() == DType::BF16);
  CHECK(mean(input("", DType::I32, {4})).dtype() == DType::F32);
  CHECK(argmax(input("", DType::F64, {4})).dtype() == DType::I32);
  const Elements ones(5000, 1);
  CHECK(apply([](const Tensor& t) { return sum(t); }, ones, DType::Bool) == Elements{5000});
  CHECK(apply([](const Tensor& t) { return sum(t); }, Elements(1000, 200), DType::U8) == Elements{200000});
  CHECK(apply([](const Tensor& t) { return mean(t * 100.0); }, ones, DType::F16) == Elements{100});
  CHECK(apply([](const Tensor& t) { return var(t * 300.0, {}, 0); }, ones, DType::F16) == Elements{0});
  CHECK(apply([](const Tensor& t) { return l2_norm(t * 300.0); }, Elements(100, 1), DType::F16) == Elements{3000});
  CHECK(apply([](const Tensor& t) { return mean(t); }, {1, 2, 4}, DType::I32)[0] == Approx(7.0 / 3));
}

TEST_CASE("extremes of integers and bool are right at the ends of their range") {
  CHECK(apply([](const Tensor& t) { return min(t); }, {-128, 127, 0}, DType::I8) == Elements{-128});
  CHECK(apply([](const Tensor& t) { return min(t); }, {255, 3, 200}, DType::U8) == Elements{3});
  CHECK(apply([](const Tensor& t) { return argmin(t); }, {5, -128, -128}, DType::I8) == Elements{1});
  CHECK(apply([](const Tensor& t) { return min(t); }, {1, 0}, DType::Bool) == Elements{0});
  CHECK(apply([](const Tensor& t) { return argmin(t); }, {1, 0, 0}, DType::Bool) == Elements{1});
  CHECK(apply([](const Tensor& t) { return any(t); }, {0, 0.5, 0}, DType::F32) == Elements{1});
  CHECK(apply([](const Tensor& t) { return all(t); }, {1, kNaN, 0}, DType::F32) == Elements{0});
  CHECK(apply([](const Tensor& t) { return all(t); }, {1, kNaN, 2}, DType::F32) == Elements{1});
  CHECK(apply([](const Tensor& t) { return prod(t); }, {2, 3, 4}, DType::U8) == Elements{24});
}

TEST_CASE("of nothing a sum is 0, a product 1, a mean NaN, and a maximum refused") {
  const Tensor none = input("", DType::F32, {0, 2});
  CHECK(evaluate(sum(none, {0}), {{none, {}}}) == Elements{0, 0});
  CHECK(evaluate(prod(none, {0}), {{none, {}}}) == Elements{1, 1});
  CHECK(std::isnan(evaluate(mean(none, {0}), {{none, {}}})[0]));
  CHECK(evaluate(all(none), {{none, {}}}) == Elements{1});
  CHECK(evaluate(any(none), {{none, {}}}) == Elements{0});
  CHECK_THROWS_WITH(max(none, {0}), Catch::Contains("f32[0, 2]"));
  CHECK_THROWS_WITH(argmin(none, 0), Catch::Contains("f32[0, 2]"));
  CHECK(max(none, {1}).shape() == Shape{0});
}

TEST_CASE("the first of the greatest is found, and NaN before all others") {
  const auto at = [](const Elements& x) { return apply([](const Tensor& t) { return argmax(t); }, x, DType::F32)[0]; };
  CHECK(at({1, 3, 3, 2}) == 1);
  CHECK(at({-kInf, -kInf}) == 0);
  CHECK(at({1, kInf, kNaN, kNaN}) == 2);
  CHECK(apply([](const Tensor& t) { return argmin(t); }, {1, -kInf, kNaN}, DType::F32) == Elements{2});
  CHECK(std::isnan(apply([](const Tensor& t) { return max(t); }, {1, kInf, kNaN}, DType::F32)[0]));
  CHECK(std::isnan(apply([](const Tensor& t) { return min(t); }, {1, kInf, kNaN}, DType::F32)[0]));
}

TEST_CASE("the softmax family neither overflows nor loses what is small") {
  for (DType dtype : {DType::F32, DType::F64, DType::F16}) {
    const Elements x{1000, 1001, 1003, -1000, -1001, -1003};
    const Elements p = apply([](const Tensor& t) { return softmax(t, 1); }, x, dtype, {2, 3});
    const double total = 1 + std::exp(-2.0) + std::exp(-3.0);
    const double tolerance = dtype == DType::F16 ? 1e-3 : 3e-7;
    check_close(p,
                {std::exp(-3.0) / total, std::exp(-2.0) / total, 1 / total, 1 / (1 + std::exp(-1.0) + std::exp(-3.0)),
                 std::exp(-1.0) / (1 + std::exp(-1.0) + std::exp(-3.0)),
                 std::exp(-3.0) / (1 + std::exp(-1.0) + std::exp(-3.0))},
                tolerance);
    const Elements logs = apply([](const Tensor& t) { return log_softmax(t, -1); }, x, dtype, {2, 3});
    for (size_t i = 0; i < 6; ++i) CHECK(logs[i] == Approx(std::log(p[i])).epsilon(3 * tolerance));
  }
  const auto of = [](const Elements& x) {
    return apply([](const Tensor& t) { return logsumexp(t); }, x, DType::F32)[0];
  };
  CHECK(of({-kInf, -kInf}) == -kInf);
  CHECK(of({-kInf, 3}) == 3);
  CHECK(of({kInf, 1}) == kInf);
  CHECK(std::isnan(of({kNaN, 1})));
}

TEST_CASE("every reduction passes its gradient") {
  const Shape shape{3, 5, 2};
  const Inputs apart{.kinks = {0}};
  check_gradient([](const Xs& x) { return sum(x[0], {0, 2}); }, {shape});
  check_gradient([](const Xs& x) { return mean(x[0], {1}); }, {shape});
  check_gradient([](const Xs& x) { return var(x[0], {1, 2}); }, {shape});
  check_gradient([](const Xs& x) { return standard_deviation(x[0], {1}, 0, true); }, {shape});
  check_gradient([](const Xs& x) { return max(x[0], {1}); }, {shape});
  check_gradient([](const Xs& x) { return min(x[0], {0, 2}, true); }, {shape});
  check_gradient([](const Xs& x) { return prod(x[0], {1}); }, {shape});
  check_gradient([](const Xs& x) { return prod(x[0]); }, {{7}});
  check_gradient([](const Xs& x) { return logsumexp(x[0], {1}); }, {shape});
  check_gradient([](const Xs& x) { return softmax(x[0], 1); }, {shape});
  check_gradient([](const Xs& x) { return log_softmax(x[0], -1); }, {shape});
  check_gradient([](const Xs& x) { return l1_norm(x[0], {1}); }, {shape}, apart);
  check_gradient([](const Xs& x) { return l2_norm(x[0], {0, 1}); }, {shape});
  check_gradient_at([](const Xs& x) { return prod(x[0], {1}); }, {{2, 3}}, {{0, 2, 3, 0, 0, 5}});
}

TEST_CASE("the norm of zeros has a gradient of zeros") {
  const Tensor x = input("", DType::F32, {2});
  CHECK(evaluate(gradient(l2_norm(x), std::vector{x}).front(), {{x, {0, 0}}}) == Elements{0, 0});
}
