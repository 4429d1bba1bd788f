// Values and gradients of the elementwise functions, against the C++ library's.
#include "engine/tensor/elementwise.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/tensor/arithmetic.h"
#include "tests/tensor/finite_difference.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Xs = std::vector<Tensor>;

namespace {

struct Range {
  double low, high;
};

Elements rounded_to(DType dtype, Elements x) {
  for (double& value : x) value = quarry::graph::to_double(dtype, quarry::graph::from_double(dtype, value));
  return x;
}

Elements spread(Range range, DType dtype) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(range.low, range.high), exponent(-12, 0);
  Elements x;
  for (int i = 0; i < 1500; ++i) x.push_back(uniform(random));
  for (int i = 0; i < 500; ++i) x.push_back((i % 2 == 0 ? range.high : range.low) * std::pow(10, exponent(random)));
  return rounded_to(dtype, x);
}

/// The distance between neighbours of `value` in the dtype.
double unit(DType dtype, double value) {
  const int digits = dtype == DType::F64 ? 53 : dtype == DType::F32 ? 24 : dtype == DType::F16 ? 11 : 8;
  const int least = dtype == DType::F64 ? -1074 : dtype == DType::F16 ? -24 : -149;
  return std::ldexp(1, std::max(value == 0 ? least : std::ilogb(value) + 1 - digits, least));
}

using Unary = Tensor (*)(const Tensor&);

void check_value(Unary function, long double (*reference)(long double), const Elements& at_x, DType dtype, double ulp,
                 double absolute = 0) {
  const Elements x = rounded_to(dtype, at_x);
  const Tensor in = input("", dtype, {static_cast<int64_t>(x.size())});
  const Elements y = evaluate(function(in), {{in, x}});
  double worst = 0, at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const long double exact = reference(x[i]);
    const double rounded = rounded_to(dtype, {static_cast<double>(exact)})[0];
    if (std::isnan(rounded) && std::isnan(y[i])) continue;
    if (rounded == y[i]) continue;
    const double error = static_cast<double>(std::abs(y[i] - exact)) / unit(dtype, rounded);
    if (!(error <= worst) && !(std::abs(y[i] - rounded) <= absolute)) worst = error, at = x[i];
    INFO(quarry::graph::name(dtype) << " x " << x[i] << " got " << y[i] << " want " << rounded);
    REQUIRE_FALSE(std::isnan(y[i]));
  }
  INFO(quarry::graph::name(dtype) << ", worst at " << at);
  CHECK(worst <= ulp);
}

/// Random and special values; f16 and bf16 are rounded once.
void check_function(Unary function, long double (*reference)(long double), Range range, double ulp,
                    const Elements& special = {0, kInf, -kInf, kNaN}) {
  for (DType dtype : {DType::F32, DType::F64, DType::F16, DType::BF16}) {
    const bool is_narrow = dtype == DType::F16 || dtype == DType::BF16;
    Elements x = spread(range, dtype);
    x.insert(x.end(), special.begin(), special.end());
    check_value(function, reference, x, dtype, is_narrow ? 0.51 : ulp);
  }
}

Elements apply(Unary function, const Elements& x, DType dtype) {
  const Tensor in = input("", dtype, {static_cast<int64_t>(x.size())});
  return evaluate(function(in), {{in, x}});
}

using Binary = Tensor (*)(const Tensor&, const Tensor&);
Elements apply(Binary function, const Elements& x, const Elements& y, DType dtype) {
  const Tensor a = input("", dtype, {static_cast<int64_t>(x.size())}), b = input("", dtype, a.shape());
  return evaluate(function(a, b), {{a, x}, {b, y}});
}

bool same(const Elements& x, const Elements& y) {
  if (x.size() != y.size()) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) != std::isnan(y[i])) return false;
    if (!std::isnan(x[i]) && (x[i] != y[i] || std::signbit(x[i]) != std::signbit(y[i]))) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("powers and exponentials are accurate over their range") {
  check_function(sqrt, std::sqrt, {0, 1e4}, 1);
  check_function(rsqrt, [](long double x) { return 1 / std::sqrt(x); }, {1e-3, 1e4}, 2, {kInf, -kInf, kNaN});
  check_function(
      reciprocal, [](long double x) { return 1 / x; }, {-100, 100}, 0.51);
  check_function(exp2, std::exp2, {-14, 14}, 1);
  check_function(log2, std::log2, {0, 1e4}, 2.5);
  check_function(log10, std::log10, {0, 1e4}, 2.5);
  check_function(log1p, std::log1p, {-0.999, 2}, 3, {0, -1, -2, kInf, -kInf, kNaN, 1e10, 1e4});
  check_function(expm1, std::expm1, {-9, 9}, 3);
}

TEST_CASE("trigonometric functions are accurate over their range") {
  for (double high : {1.0, 4.0, 1e4}) {
    check_function(sin, std::sin, {-high, high}, 4, {0, kInf, -kInf, kNaN});
    check_function(cos, std::cos, {-high, high}, 4, {0, kInf, -kInf, kNaN});
    check_function(tan, std::tan, {-high, high}, 6, {0, kInf, -kInf, kNaN});
  }
  check_value(sin, std::sin, spread({-1e5, 1e5}, DType::F32), DType::F32, 4);
  check_value(cos, std::cos, spread({-1e8, 1e8}, DType::F64), DType::F64, 4);
  check_function(asin, std::asin, {-1, 1}, 3, {0, 1, -1, 2, -2, kInf, -kInf, kNaN});
  check_function(acos, std::acos, {-1, 1}, 3, {0, 1, -1, 2, -2, kInf, -kInf, kNaN});
  check_function(atan, std::atan, {-40, 40}, 3, {0, 1, -1, 1e4, kInf, -kInf, kNaN});
}

TEST_CASE("a sine of an argument that is too large is still between -1 and 1") {
  for (double y : apply(sin, {1e6, 1e10, 1e30, -3e38}, DType::F32)) CHECK(std::abs(y) <= 1);
}

TEST_CASE("hyperbolic functions and erf are accurate over their range") {
  check_function(sinh, std::sinh, {-9, 9}, 4);
  check_function(cosh, std::cosh, {-9, 9}, 4);
  check_value(sinh, std::sinh, {88.5, 89.2, -89.2, 90}, DType::F32, 8);
  check_value(cosh, std::cosh, {709.9, 710.3, -710.3, 711}, DType::F64, 8);
  check_function(tanh, std::tanh, {-9, 9}, 4, {0, 30, -30, 1e4, -1e4, kInf, -kInf, kNaN});
  check_function(asinh, std::asinh, {-100, 100}, 4, {0, 6e4, -6e4, kInf, -kInf, kNaN});
  check_function(acosh, std::acosh, {1, 100}, 4, {1, 6e4, 0, -1, -3, -100, kInf, -kInf, kNaN});
  check_function(atanh, std::atanh, {-1, 1}, 5, {0, 1, -1, 2, -2, kInf, -kInf, kNaN});
  check_function(erf, std::erf, {-7, 7}, 3, {0, 100, -100, kInf, -kInf, kNaN});
}

TEST_CASE("atan2 knows quadrants, signed zeros and infinities") {
  std::mt19937_64 random(3);
  Elements y = draw(500, {.low = -3, .high = 3}, random), x = draw(500, {.low = -3, .high = 3}, random);
  for (double a : {0.0, -0.0, 1.0, -1.0, kInf, -kInf, kNaN}) {
    for (double b : {0.0, -0.0, 1.0, -1.0, kInf, -kInf, kNaN}) y.push_back(a), x.push_back(b);
  }
  const Elements angle = apply(atan2, y, x, DType::F64);
  for (size_t i = 0; i < x.size(); ++i) {
    CAPTURE(y[i], x[i]);
    const double exact = std::atan2(y[i], x[i]);
    CHECK((std::isnan(exact) ? std::isnan(angle[i]) : std::abs(angle[i] - exact) <= 1e-15));
    CHECK((std::isnan(exact) || std::signbit(angle[i]) == std::signbit(exact)));
  }
}

TEST_CASE("rounding is exact for every float, with NumPy's signs of zero") {
  for (DType dtype : {DType::F32, DType::F64, DType::F16, DType::BF16}) {
    CAPTURE(quarry::graph::name(dtype));
    Elements x{0.0,        -0.0,       0.5,       -0.5,      1.5,
               -1.5,       2.5,        -2.5,      0.49999,   -0.49999,
               1e20,       -1e20,      8388607.5, 8388608.5, 16777215.0,
               16777217.0, 4194304.5,  1e300,     4e15,      4503599627370495.5,
               -8388607.5, -4194303.5, kInf,      -kInf,     kNaN,
               65504,      1023.5,     1024.5,    2047.5,    255.5,
               127.5};
    for (double random : spread({-3000, 3000}, dtype)) x.push_back(random);
    x = rounded_to(dtype, x);
    const auto expected = [&](double (*reference)(double)) {
      Elements y;
      for (double value : x) y.push_back(reference(value));
      return y;
    };
    CHECK(same(apply(floor, x, dtype), expected(std::floor)));
    CHECK(same(apply(ceil, x, dtype), expected(std::ceil)));
    CHECK(same(apply(trunc, x, dtype), expected(std::trunc)));
    CHECK(same(apply(round, x, dtype), expected(std::nearbyint)));
  }
  CHECK(apply(floor, {-7, 3}, DType::I32) == Elements{-7, 3});
}

TEST_CASE("remainders of floats are exact, as C and Python have them") {
  Elements x, y;
  std::mt19937_64 random(9);
  for (double scale : {1.0, 1e3, 1e6, 1e9, 1e12}) {
    for (double value : draw(200, {.low = -9, .high = 9}, random)) x.push_back(value * scale);
    for (double value : draw(200, {.low = -3, .high = 3}, random)) y.push_back(value);
  }
  for (double a : {0.0, 1.0, -1.0, 6.0, -6.0, 0.3, 7.5, kInf, -kInf, kNaN, 1e38}) {
    for (double b : {0.0, 1.0, -1.0, 3.0, -3.0, 0.1, kInf, -kInf, kNaN, 1e37}) x.push_back(a), y.push_back(b);
  }
  for (DType dtype : {DType::F32, DType::F64}) {
    x = rounded_to(dtype, x);
    y = rounded_to(dtype, y);
    const Elements c = apply(fmod, x, y, dtype), python = apply(remainder, x, y, dtype);
    const Elements quotient = apply(floor_divide, x, y, dtype);
    for (size_t i = 0; i < x.size(); ++i) {
      CAPTURE(quarry::graph::name(dtype), x[i], y[i], c[i], python[i], quotient[i]);
      const double rest = std::fmod(x[i], y[i]);
      const bool is_out_of_reach = std::abs(x[i] / y[i]) >= 0x1p44;
      if (is_out_of_reach && std::isnan(c[i])) continue;
      CHECK((std::isnan(rest) ? std::isnan(c[i]) : c[i] == rest));
      const bool moves = rest != 0 && (rest < 0) != (y[i] < 0);
      const double moved = rounded_to(dtype, {moves ? rest + y[i] : rest})[0];
      CHECK((std::isnan(rest) ? std::isnan(python[i]) : python[i] == moved));
      if (std::isnan(rest)) continue;
      const long double whole = std::nearbyint((static_cast<long double>(x[i]) - rest) / y[i]) - moves;
      const double nearest = rounded_to(dtype, {static_cast<double>(whole)})[0];
      // Without its rest the dividend may need rounding, as in NumPy; only then.
      const double slack = std::abs(nearest) < 0x1p22 ? 0 : unit(dtype, nearest);
      CHECK(std::abs(quotient[i] - nearest) <= slack);
    }
  }
  CHECK(same(apply(floor_divide, {1, -1, 0, kInf}, {0, 0, 0, 2}, DType::F32), {kInf, -kInf, kNaN, kNaN}));
}

TEST_CASE("remainders of integers have the signs that C and Python give them, and 0 by 0") {
  const Elements x{7, -7, 7, -7, 6, -6, 0, 5, -128}, y{3, 3, -3, -3, 3, 3, 3, 0, -1};
  for (DType dtype : {DType::I8, DType::I32, DType::I64}) {
    CHECK(apply(fmod, x, y, dtype) == Elements{1, -1, 1, -1, 0, 0, 0, 0, 0});
    CHECK(apply(remainder, x, y, dtype) == Elements{1, 2, -2, -1, 0, 0, 0, 0, 0});
  }
  CHECK(apply(floor_divide, {7, -7, 7, -7, 6, -6, 5}, {3, 3, -3, -3, 3, 3, 0}, DType::I32) ==
        Elements{2, -3, -3, 2, 2, -2, 0});
  CHECK(apply(remainder, {250, 7}, {100, 0}, DType::U8) == Elements{50, 0});
}

TEST_CASE("signs, tests and bounds know inf and NaN") {
  for (DType dtype : {DType::F16, DType::BF16, DType::F32, DType::F64}) {
    const Elements x{2, -3, 0, -0.0, kInf, -kInf, kNaN, 1e-7};
    CHECK(same(apply(abs, x, dtype), rounded_to(dtype, {2, 3, 0, 0, kInf, kInf, kNaN, 1e-7})));
    CHECK(same(apply(sign, x, dtype), {1, -1, 0, -0.0, 1, -1, kNaN, 1}));
    CHECK(apply(isnan, x, dtype) == Elements{0, 0, 0, 0, 0, 0, 1, 0});
    CHECK(apply(isinf, x, dtype) == Elements{0, 0, 0, 0, 1, 1, 0, 0});
    CHECK(apply(isfinite, x, dtype) == Elements{1, 1, 1, 1, 0, 0, 0, 1});
    const double most = dtype == DType::F16 ? 65504
                                            : rounded_to(dtype, {dtype == DType::F64   ? 0x1.fffffffffffffp1023
                                                                 : dtype == DType::F32 ? 0x1.fffffep127
                                                                                       : 0x1.fep127})[0];
    const Elements numbers = apply(nan_to_num, x, dtype);
    CHECK(numbers[4] == most);
    CHECK(numbers[5] == -most);
    CHECK(numbers[6] == 0);
  }
  CHECK(apply(abs, {-128, 5, -7}, DType::I8) == Elements{-128, 5, 7});
  CHECK(apply(sign, {-128, 0, 7}, DType::I8) == Elements{-1, 0, 1});
  CHECK(apply(sign, {200, 0, 7}, DType::U8) == Elements{1, 0, 1});
  CHECK(apply(isnan, {1, 2}, DType::I32) == Elements{0, 0});
  CHECK(apply(square, {3, -4}, DType::I32) == Elements{9, 16});
  CHECK(apply(sqrt, {9, 16}, DType::I32) == Elements{3, 4});
  const Tensor x = input("", DType::F32, {4});
  CHECK(same(evaluate(clip(x, -1, kInf), {{x, {-5, 0.5, 7, kNaN}}}), {-1, 0.5, 7, kNaN}));
  CHECK(same(evaluate(clip(x, -1, 1), {{x, {-kInf, 0.5, kInf, kNaN}}}), {-1, 0.5, 1, kNaN}));
}

TEST_CASE("activations are what they are called, and stable far out") {
  const auto logistic = [](long double x) { return 1 / (1 + std::exp(-x)); };
  check_function(
      relu, [](long double x) { return std::isnan(x) ? x : std::max(x, 0.0L); }, {-9, 9}, 0);
  check_function(sigmoid, logistic, {-15, 15}, 3, {0, 100, -1e3, 1e4, kInf, -kInf, kNaN});
  check_function(
      logsigmoid, [](long double x) { return -std::log1p(std::exp(-x)); }, {-9, 9}, 3);
  check_function([](const Tensor& x) { return softplus(x); }, [](long double x) { return std::log1p(std::exp(x)); },
                 {-9, 9}, 3);
  check_function(
      silu, [](long double x) { return x / (1 + std::exp(-x)); }, {-9, 9}, 4);
  check_function(
      softsign, [](long double x) { return x / (1 + std::abs(x)); }, {-9, 9}, 2);
  check_function(mish, [](long double x) { return x * std::tanh(std::log1p(std::exp(x))); }, {-9, 9}, 8, {0, kInf});
  check_function([](const Tensor& x) { return elu(x); }, [](long double x) { return x > 0 ? x : std::expm1(x); },
                 {-9, 9}, 3, {0, kInf, -kInf, kNaN});
  check_function([](const Tensor& x) { return leaky_relu(x); }, [](long double x) { return x > 0 ? x : x * 0.01L; },
                 {-9, 9}, 1, {0, kInf, -kInf, kNaN});
  check_function(
      relu6, [](long double x) { return std::isnan(x) ? x : std::clamp(x, 0.0L, 6.0L); }, {-9, 9}, 0);
  // 1 + erf cancels for negative x: what remains has the error of 1.
  const auto exact_gelu = [](long double x) { return 0.5L * x * std::erfc(-x / std::sqrt(2.0L)); };
  check_value([](const Tensor& x) { return gelu(x); }, exact_gelu, spread({-9, 9}, DType::F32), DType::F32, 4, 6e-7);
  check_value([](const Tensor& x) { return gelu(x); }, exact_gelu, spread({-9, 9}, DType::F64), DType::F64, 4, 1e-15);
}

TEST_CASE("every elementwise function passes its gradient") {
  const Inputs any{.kinks = {0}}, positive{.low = 0.2, .high = 3},
      unit_interval{.low = -0.9, .high = 0.9, .kinks = {0, 0.5, -0.5}};
  for (Unary function :
       {neg,  abs, sign,  square, exp2,  expm1, sin,   cos,     tan,        sinh, cosh, tanh,     asinh,
        atan, erf, floor, ceil,   trunc, relu,  relu6, sigmoid, logsigmoid, silu, mish, softsign, hardswish}) {
    check_gradient([&](const Xs& x) { return function(x[0]); }, {{3, 5}},
                   {.low = -4,
                    .high = 4,
                    .kinks = {0, 1, -1, 2, -2, 3, -3, 1.5707963, -1.5707963},
                    .apart = 0.06,
                    .tolerance = 1e-5});
  }
  for (Unary function : std::initializer_list<Unary>{sqrt, rsqrt, reciprocal, log2, log10, log1p}) {
    check_gradient([&](const Xs& x) { return function(x[0]); }, {{3, 5}}, positive);
  }
  for (Unary function : std::initializer_list<Unary>{asin, acos, atanh}) {
    check_gradient([&](const Xs& x) { return function(x[0]); }, {{3, 5}}, unit_interval);
  }
  check_gradient([](const Xs& x) { return acosh(x[0]); }, {{6}}, {.low = 1.1, .high = 4});
  check_gradient([](const Xs& x) { return round(x[0]); }, {{6}}, {.kinks = {-1.5, -0.5, 0.5, 1.5}});
  for (double alpha : {0.3, 1.0, 2.0}) {
    check_gradient([&](const Xs& x) { return elu(x[0], alpha); }, {{9}}, any);
    check_gradient([&](const Xs& x) { return celu(x[0], alpha); }, {{9}}, any);
    check_gradient([&](const Xs& x) { return leaky_relu(x[0], alpha); }, {{9}}, any);
    check_gradient([&](const Xs& x) { return softplus(x[0], alpha); }, {{9}});
    check_gradient([&](const Xs& x) { return swish(x[0], alpha); }, {{9}});
  }
  check_gradient([](const Xs& x) { return selu(x[0]); }, {{9}}, any);
  check_gradient([](const Xs& x) { return gelu(x[0]); }, {{9}});
  check_gradient([](const Xs& x) { return gelu(x[0], GeluForm::Tanh); }, {{9}});
  check_gradient([](const Xs& x) { return prelu(x[0], x[1]); }, {{3, 4, 2}, {4, 1}}, any);
  check_gradient([](const Xs& x) { return thresholded_relu(x[0], 0.5); }, {{9}}, {.kinks = {0.5}});
  check_gradient([](const Xs& x) { return hardtanh(x[0], -1, 0.5); }, {{9}}, {.kinks = {-1, 0.5}});
  check_gradient([](const Xs& x) { return hardsigmoid(x[0], 0.4); }, {{9}}, {.kinks = {-1.25, 1.25}});
  check_gradient([](const Xs& x) { return clip(x[0], x[1], x[2]); }, {{3, 4}, {4}, {1}});
  check_gradient([](const Xs& x) { return lerp(x[0], x[1], x[2]); }, {{3, 4}, {4}, {1}});
  check_gradient([](const Xs& x) { return nan_to_num(x[0]); }, {{4}});
  check_gradient([](const Xs& x) { return atan2(x[0], x[1]); }, {{12}, {12}}, any);
  check_gradient([](const Xs& x) { return fmod(x[0], x[1]); }, {{3}, {3}}, {.low = 1.1, .high = 1.9});
  check_gradient([](const Xs& x) { return remainder(x[0] * -5.0, x[1]); }, {{3}, {3}}, {.low = 0.61, .high = 0.69});
  check_gradient([](const Xs& x) { return floor_divide(x[0], x[1]); }, {{3}, {3}}, {.low = 1.1, .high = 1.9});
}

TEST_CASE("gradients at kinks and borders are the usual ones, and finite where they can be") {
  const auto slope = [](Unary function, const Elements& at) {
    const Tensor x = input("", DType::F32, {static_cast<int64_t>(at.size())});
    const Tensor loss = reshape(reduce(Op::ReduceSum, function(x), {0}), {});
    return evaluate(gradient(loss, std::vector{x}).front(), {{x, at}});
  };
  CHECK(slope(relu, {0, kInf, -kInf}) == Elements{0, 1, 0});
  CHECK(slope(abs, {0, 2, -3}) == Elements{0, 1, -1});
  CHECK(slope([](const Tensor& x) { return elu(x, 1); }, {0, 200, -200}) == Elements{1, 1, 0});
  CHECK(slope(sigmoid, {0, 200, -200}) == Elements{0.25, 0, 0});
  CHECK(slope([](const Tensor& x) { return softplus(x); }, {0, 200, -200}) == Elements{0.5, 1, 0});
  CHECK(slope(tanh, {0, 200, -200}) == Elements{1, 0, 0});
  CHECK(slope([](const Tensor& x) { return gelu(x); }, {0, 100, -100}) == Elements{0.5, 1, 0});
}
