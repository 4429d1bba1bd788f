// Functions of one element, and of pairs of elements after broadcasting: mathematics, rounding, activations.
//
// Unless said otherwise the result has the operand's dtype. f16 and bf16 are computed inside in f32 and rounded once;
// functions of real numbers take integers and bool as f32. NaN stays NaN; inf and the borders of a domain give what
// NumPy gives. Errors in units of the last place (ulp) hold for f32 and f64 where EXP and LOG are correctly rounded.
// Derivatives are the functions' own, not those of their approximations.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

// Signs and powers. Integers and bool keep their dtype in neg, abs, sign and square (bool: abs and square only).
Tensor neg(const Tensor& x);
Tensor abs(const Tensor& x);  ///< of the lowest integer: itself; derivative 0 at 0
Tensor sign(const Tensor& x);
Tensor square(const Tensor& x);
Tensor sqrt(const Tensor& x);  ///< NaN below 0; of -0 it is 0
Tensor rsqrt(const Tensor& x);
Tensor reciprocal(const Tensor& x);

// Exponentials and logarithms; exp and log are in tensor.h.
Tensor exp2(const Tensor& x);
Tensor log2(const Tensor& x);
Tensor log10(const Tensor& x);
Tensor log1p(const Tensor& x);  ///< log(1 + x), to a few ulp also near 0
Tensor expm1(const Tensor& x);  ///< exp(x) - 1, to a few ulp also near 0

// Trigonometry. sin, cos: a few ulp (and 1e-7 of 1 near their zeros) for |x| up to 1e5 in f32, 1e8 in f64; beyond that
// the argument itself says little and the error grows with it.
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tan(const Tensor& x);
Tensor asin(const Tensor& x);
Tensor acos(const Tensor& x);
Tensor atan(const Tensor& x);
Tensor atan2(const Tensor& y, const Tensor& x);  ///< signed zeros and infinities as in C
Tensor sinh(const Tensor& x);
Tensor cosh(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor asinh(const Tensor& x);
Tensor acosh(const Tensor& x);
Tensor atanh(const Tensor& x);
Tensor erf(const Tensor& x);

// Rounding. Exact, also of inf, NaN and what is too large to have a fraction; integers stay as they are. No gradient.
Tensor floor(const Tensor& x);
Tensor ceil(const Tensor& x);
Tensor trunc(const Tensor& x);
Tensor round(const Tensor& x);  ///< halves to even

// Division with remainder; dtypes are promoted. Of floats exact for quotients up to 2^44 in f32 and f16, 2^102 in f64,
// NaN where a remainder would need more. Of integers a zero divisor gives 0.
Tensor fmod(const Tensor& x, const Tensor& y);          ///< C's: the sign of x
Tensor remainder(const Tensor& x, const Tensor& y);     ///< Python's %: the sign of y
Tensor floor_divide(const Tensor& x, const Tensor& y);  ///< Python's //

// Tests of floats, bool results; integers are finite.
Tensor isnan(const Tensor& x);
Tensor isinf(const Tensor& x);
Tensor isfinite(const Tensor& x);
/// NaN replaced by `nan`, infinities by `positive` and `negative`.
Tensor nan_to_num(const Tensor& x, double nan, double positive, double negative);
/// Infinities become the greatest and lowest values of the dtype, NaN 0.
Tensor nan_to_num(const Tensor& x);

/// Between two bounds, either may be missing: max first, then min. NaN stays.
Tensor clip(const Tensor& x, const Tensor& low, const Tensor& high);
Tensor clip(const Tensor& x, double low, double high);  ///< infinite bounds: none
/// x + weight * (y - x).
Tensor lerp(const Tensor& x, const Tensor& y, const Tensor& weight);

// Activations, under PyTorch's names and with its defaults.
Tensor relu(const Tensor& x);
Tensor relu6(const Tensor& x);
Tensor leaky_relu(const Tensor& x, double slope = 0.01);
Tensor prelu(const Tensor& x, const Tensor& slope);              ///< slope is broadcast to x
Tensor thresholded_relu(const Tensor& x, double threshold = 1);  ///< x above the threshold, else 0
Tensor elu(const Tensor& x, double alpha = 1);
Tensor celu(const Tensor& x, double alpha = 1);
Tensor selu(const Tensor& x);
Tensor selu(const Tensor& x, double alpha, double scale);
Tensor sigmoid(const Tensor& x);
Tensor logsigmoid(const Tensor& x);
Tensor silu(const Tensor& x);                ///< x * sigmoid(x), also called swish
Tensor swish(const Tensor& x, double beta);  ///< x * sigmoid(beta * x)
enum class GeluForm { Exact, Tanh };
Tensor gelu(const Tensor& x, GeluForm form = GeluForm::Exact);
Tensor mish(const Tensor& x);
Tensor softplus(const Tensor& x, double beta = 1);  ///< log(1 + exp(beta * x)) / beta
Tensor softsign(const Tensor& x);
Tensor hardtanh(const Tensor& x, double low = -1, double high = 1);
Tensor hardsigmoid(const Tensor& x, double slope = 1.0 / 6, double offset = 0.5);  ///< ONNX: slope 0.2
Tensor hardswish(const Tensor& x);

}  // namespace quarry::tensor
