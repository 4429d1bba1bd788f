// Signs, powers, exponentials, tests and bounds.
#include "engine/tensor/elementwise.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "engine/graph/number.h"
#include "engine/tensor/formula.h"

namespace quarry::tensor {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

/// POW(x, exponent) for exponents of +-0.5: C gives inf or 0 at -inf, where roots have no value.
Tensor root(const Tensor& x, double exponent) {
  return where(equal(x, like(x, -kInf)), like(x, std::nan("")), pow(x, like(x, exponent)));
}

/// The largest power of two, whose square times the least positive number is still above 1.
double large_power(DType dtype) {
  switch (dtype) {
    case DType::F16:
      return 0x1p15;
    case DType::F64:
      return 0x1p1023;
    default:
      return 0x1p127;
  }
}

// x^k / (k + 1)!, enough terms for |x| up to 1/2.
constexpr double kExpm1F32[] = {1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
                                1.0 / 24,     1.0 / 6,     1.0 / 2,    1.0};
constexpr double kExpm1F64[] = {1.0 / 20922789888000.0,
                                1.0 / 1307674368000.0,
                                1.0 / 87178291200.0,
                                1.0 / 6227020800.0,
                                1.0 / 479001600,
                                1.0 / 39916800,
                                1.0 / 3628800,
                                1.0 / 362880,
                                1.0 / 40320,
                                1.0 / 5040,
                                1.0 / 720,
                                1.0 / 120,
                                1.0 / 24,
                                1.0 / 6,
                                1.0 / 2,
                                1.0};

/// The bits below those of inf.
double greatest_number(DType dtype) {
  return graph::to_double(dtype, graph::infinity_bits(dtype, false) - 1);
}

Tensor never(const Tensor& x) {
  return constant(0, DType::Bool, x.shape());
}

}  // namespace

Tensor neg(const Tensor& x) {
  return -x;
}

Tensor abs(const Tensor& x) {
  if (x.dtype() == DType::Bool || x.dtype() == DType::U8) return x;
  if (!graph::is_float(x.dtype())) return maximum(x, -x);
  // MAX may give either zero: + 0 makes it the positive one.
  return with_derivative(x, magnitude(x) + 0.0,
                         [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient * sign(at); });
}

Tensor sign(const Tensor& x) {
  if (x.dtype() == DType::Bool) throw TensorError("sign of bool: cast to a number first");
  if (!graph::is_float(x.dtype())) return less_mask(like(x, 0), x) - less_mask(x, like(x, 0));
  // Any number but 0 becomes greater than 1, then 1; zeros and NaN stay what they are.
  const double large = large_power(x.dtype());
  return clip(detach(x) * large * large, -1, 1);
}

Tensor square(const Tensor& x) {
  if (!graph::is_float(x.dtype())) return x * x;
  return with_derivative(x, x * x,
                         [](const Tensor& at, const Tensor&, const Tensor& gradient) { return at * 2.0 * gradient; });
}

Tensor sqrt(const Tensor& x) {
  return real_function(
      x, [](const Tensor& wide) { return root(wide, 0.5); },
      [](const Tensor&, const Tensor& value, const Tensor& gradient) { return gradient * 0.5 / value; });
}

Tensor rsqrt(const Tensor& x) {
  return real_function(
      x, [](const Tensor& wide) { return root(wide, -0.5); },
      [](const Tensor&, const Tensor& value, const Tensor& gradient) {
        return value * value * value * -0.5 * gradient;
      });
}

Tensor reciprocal(const Tensor& x) {
  return real_function(
      x, [](const Tensor& wide) { return 1.0 / wide; },
      [](const Tensor&, const Tensor& value, const Tensor& gradient) { return -(value * value) * gradient; });
}

Tensor exp2(const Tensor& x) {
  return real_function(
      x, [](const Tensor& wide) { return pow(like(wide, 2), wide); },
      [](const Tensor&, const Tensor& value, const Tensor& gradient) { return gradient * value * std::numbers::ln2; });
}

Tensor log2(const Tensor& x) {
  return real_function(x, [](const Tensor& wide) { return log(wide) / std::numbers::ln2; });
}

Tensor log10(const Tensor& x) {
  return real_function(x, [](const Tensor& wide) { return log(wide) / std::numbers::ln10; });
}

Tensor log1p(const Tensor& x) {
  // log(u) for the rounded u = 1 + x, and to the first order what the rounding lost. None is lost where u is x or 0;
  // there the quotient would be NaN.
  const auto formula = [](const Tensor& wide) {
    const Tensor u = wide + 1.0;
    const Tensor is_exact = maximum(binary(Op::CmpEq, u, wide), binary(Op::CmpEq, u, like(u, 0)));
    return log(u) + where(is_exact, like(u, 0), (wide - (u - 1.0)) / u);
  };
  return real_function(x, formula,
                       [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient / (at + 1.0); });
}

Tensor expm1(const Tensor& x) {
  const auto formula = [](const Tensor& wide) {
    const Tensor near_zero = wide * polynomial(wide, kExpm1F32, kExpm1F64);
    return where(less_equal(magnitude(wide), like(wide, 0.5)), near_zero, exp(wide) - 1.0);
  };
  return real_function(
      x, formula, [](const Tensor&, const Tensor& value, const Tensor& gradient) { return (value + 1.0) * gradient; });
}

Tensor isnan(const Tensor& x) {
  return graph::is_float(x.dtype()) ? not_equal(x, x) : never(x);
}

Tensor isinf(const Tensor& x) {
  return graph::is_float(x.dtype()) ? equal(magnitude(x), like(x, kInf)) : never(x);
}

Tensor isfinite(const Tensor& x) {
  if (!graph::is_float(x.dtype())) return constant(1, DType::Bool, x.shape());
  return equal(x * 0.0, like(x, 0));
}

Tensor nan_to_num(const Tensor& x, double nan, double positive, double negative) {
  if (!graph::is_float(x.dtype())) return x;
  const Tensor finite_below = where(equal(x, like(x, -kInf)), like(x, negative), x);
  const Tensor finite = where(equal(x, like(x, kInf)), like(x, positive), finite_below);
  return where(equal(x, x), finite, like(x, nan));
}

Tensor nan_to_num(const Tensor& x) {
  if (!graph::is_float(x.dtype())) return x;
  const double greatest = greatest_number(x.dtype());
  return nan_to_num(x, 0, greatest, -greatest);
}

Tensor clip(const Tensor& x, const Tensor& low, const Tensor& high) {
  const Tensor raised = low ? maximum(low, x) : x;
  return high ? minimum(high, raised) : raised;
}

Tensor clip(const Tensor& x, double low, double high) {
  return clip(x, low == -kInf ? Tensor() : scalar_beside(x, low), high == kInf ? Tensor() : scalar_beside(x, high));
}

Tensor lerp(const Tensor& x, const Tensor& y, const Tensor& weight) {
  return x + weight * (y - x);
}

}  // namespace quarry::tensor
