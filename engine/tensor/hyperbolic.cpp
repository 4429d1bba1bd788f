// Hyperbolic functions and their inverses, and the error function.
#include <numbers>

#include "engine/tensor/elementwise.h"
#include "engine/tensor/formula.h"

namespace quarry::tensor {
namespace {

/// e^x / 2, without overflow where e^x alone would.
Tensor half_exponential(const Tensor& x) {
  const Tensor root = exp(x * 0.5);
  return root * 0.5 * root;
}

Tensor hyperbolic_sine(const Tensor& x) {
  const Tensor grown = expm1(x);
  const Tensor near_zero = (grown + grown / (grown + 1.0)) * 0.5;
  const Tensor is_near_zero = less(magnitude(x), like(x, 1));
  return where(is_near_zero, near_zero, half_exponential(x) - half_exponential(-x));
}

Tensor hyperbolic_cosine(const Tensor& x) {
  return half_exponential(x) + half_exponential(-x);
}

Tensor hyperbolic_tangent(const Tensor& x) {
  // Beyond 20 it is 1; so the exponential stays finite.
  const Tensor falling = expm1(maximum(like(x, -20), x) * -2.0);
  return falling / (-2.0 - falling);
}

/// From here on 1 is nothing beside x^2.
double large_argument(DType dtype) {
  return dtype == DType::F64 ? 0x1p28 : 0x1p14;
}

Tensor inverse_hyperbolic_sine(const Tensor& x) {
  const Tensor size = magnitude(x), square = size * size;
  const Tensor near_zero = log1p(size + square / (sqrt(square + 1.0) + 1.0));
  const Tensor is_large = less(like(size, large_argument(x.dtype())), size);
  return with_sign_of(x, where(is_large, log(size) + std::numbers::ln2, near_zero));
}

Tensor inverse_hyperbolic_cosine(const Tensor& x) {
  const Tensor above_one = x - 1.0;
  const Tensor near_one = log1p(above_one + sqrt(above_one) * sqrt(x + 1.0));
  const Tensor is_large = less(like(x, large_argument(x.dtype())), x);
  return where(is_large, log(x) + std::numbers::ln2, near_one);
}

Tensor inverse_hyperbolic_tangent(const Tensor& x) {
  const Tensor size = magnitude(x);
  return with_sign_of(x, log1p(size * 2.0 / (1.0 - size)) * 0.5);
}

// --- erf ---

// For |x| up to 0.92: erf(x) / x - 1 as a polynomial in x^2 (f32: N. Juffa; f64: fitted, to 1e-17).
constexpr double kErfSmallF32[] = {-5.96761703e-4, 4.99119423e-3,  -2.67681349e-2,
                                   1.12819925e-1,  -3.76125336e-1, 1.28379166e-1};
constexpr double kErfSmallF64[] = {-7.7958988270021422416e-10, 1.3720064546777685604e-8,    -1.6208483801871705902e-7,
                                   1.644742470331736241e-6,    -0.000014924736907419660338, 0.00012055294904839707917,
                                   -0.00085483259753896920806, 0.0052239776071164227321,    -0.02686617064323777036,
                                   0.11283791670945006266,     -0.37612638903183540438,     0.12837916709551256654};
// Above, f32: log(1 - erf(x)) / x + 1 as a polynomial in x, up to 4 (N. Juffa).
constexpr double kErfLargeF32[] = {-1.72853470e-5, 3.83197126e-4,  -3.88396438e-3, 2.42546219e-2,
                                   -1.06777877e-1, -6.34846687e-1, -1.28717512e-1};
// Above, f64: (1 - erf(x)) e^(x^2) as a polynomial in (x - 3) / (x + 3), up to 6 (fitted, to 5e-18).
constexpr double kErfLargeF64[] = {
    3.3813551420429037682e-9,    1.2755818949624479228e-6,  2.0135111426447427972e-6,   -8.009780939076079326e-6,
    -0.000012845780030775906801, 0.00006406279226046039164, 0.000045254345589910084013, -0.00059706249649245444261,
    0.00070774646669414250803,   0.0042691363569612252503,  -0.024392499318915004726,   0.071665837197473070399,
    -0.15011593650077898545,     0.245603801712334874,      -0.32623356004303721247,    0.17900115118138994522};

Tensor large_complement(const Tensor& size) {
  if (size.dtype() != DType::F64) return exp(size * polynomial(size, kErfLargeF32) - size);
  const Tensor place = (size - 3.0) / (size + 3.0);
  return exp(-(size * size)) * polynomial(place, kErfLargeF64);
}

Tensor error_function(const Tensor& x) {
  const bool is_f64 = x.dtype() == DType::F64;
  const Tensor size = minimum(like(x, is_f64 ? 6 : 4), magnitude(x));
  const Tensor near_zero = x + x * polynomial(x * x, kErfSmallF32, kErfSmallF64);
  const Tensor is_large = less(like(size, is_f64 ? 1 : 0.921875), size);
  return where(is_large, with_sign_of(x, 1.0 - large_complement(size)), near_zero);
}

}  // namespace

Tensor sinh(const Tensor& x) {
  return real_function(x, hyperbolic_sine,
                       [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient * cosh(at); });
}

Tensor cosh(const Tensor& x) {
  return real_function(x, hyperbolic_cosine,
                       [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient * sinh(at); });
}

Tensor tanh(const Tensor& x) {
  return real_function(x, hyperbolic_tangent, [](const Tensor&, const Tensor& value, const Tensor& gradient) {
    return gradient * (1.0 - value * value);
  });
}

Tensor asinh(const Tensor& x) {
  return real_function(x, inverse_hyperbolic_sine, [](const Tensor& at, const Tensor&, const Tensor& gradient) {
    return gradient * rsqrt(at * at + 1.0);
  });
}

Tensor acosh(const Tensor& x) {
  return real_function(x, inverse_hyperbolic_cosine, [](const Tensor& at, const Tensor&, const Tensor& gradient) {
    return gradient * rsqrt(at - 1.0) * rsqrt(at + 1.0);
  });
}

Tensor atanh(const Tensor& x) {
  return real_function(x, inverse_hyperbolic_tangent, [](const Tensor& at, const Tensor&, const Tensor& gradient) {
    return gradient / ((1.0 - at) * (at + 1.0));
  });
}

Tensor erf(const Tensor& x) {
  return real_function(x, error_function, [](const Tensor& at, const Tensor&, const Tensor& gradient) {
    return gradient * (exp(-(at * at)) * (2 * std::numbers::inv_sqrtpi));
  });
}

}  // namespace quarry::tensor
