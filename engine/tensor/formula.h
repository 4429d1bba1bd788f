// What the elementwise functions are written with.
#pragma once

#include <span>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {

/// f of x, computed inside in f32 (f64 for f64) and rounded once.
template <class Formula>
Tensor real_function(const Tensor& x, Formula formula) {
  return rounded_like(formula(inner(x)), x);
}
/// Likewise, with its own derivative.
template <class Formula>
Tensor real_function(const Tensor& x, Formula formula, UnaryRule derivative) {
  return real_function(x, [&](const Tensor& wide) { return with_derivative(wide, formula(wide), derivative); });
}

inline Tensor like(const Tensor& x, double value) {
  return constant(value, x.dtype(), x.shape());
}

/// Horner's scheme, the highest power first.
inline Tensor polynomial(const Tensor& x, std::span<const double> coefficients) {
  Tensor value = like(x, coefficients.front());
  for (double coefficient : coefficients.subspan(1)) value = value * x + coefficient;
  return value;
}
/// One polynomial for each precision.
inline Tensor polynomial(const Tensor& x, std::span<const double> of_f32, std::span<const double> of_f64) {
  return polynomial(x, x.dtype() == DType::F64 ? of_f64 : of_f32);
}

/// x < y as 0 or 1 of their dtype.
inline Tensor less_mask(const Tensor& x, const Tensor& y) {
  return mask_of(less(x, y), x.dtype());
}
/// |x| and min(x, 0) with what MAX gives for zeros: a zero of either sign.
inline Tensor magnitude(const Tensor& x) {
  return maximum(x, -x);
}
/// At x = 0 gradients pass.
inline Tensor negative_part(const Tensor& x) {
  return -maximum(like(x, 0), -x);
}
/// magnitude with the sign of x.
inline Tensor with_sign_of(const Tensor& x, const Tensor& magnitude) {
  return where(less(x, like(x, 0)), -magnitude, magnitude);
}

/// The nearest integer, halves to even, for |x| up to 2^22 in f32 and 2^51 in f64: beyond 1.5 * 2^23 (2^52) floats have
/// no fraction. No gradient.
inline Tensor nearest_integer(const Tensor& x) {
  const double without_fraction = x.dtype() == DType::F64 ? 0x1.8p52 : 0x1.8p23;
  return detach(x) + without_fraction - without_fraction;
}

}  // namespace quarry::tensor
