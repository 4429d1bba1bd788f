// Rounding to integers and division with remainder.
#include <cmath>

#include "engine/tensor/elementwise.h"
#include "engine/tensor/formula.h"

namespace quarry::tensor {
namespace {

/// From here on floats have no fraction. An i32 or i64 holds every integer below.
double without_fraction(DType dtype) {
  return dtype == DType::F64 ? 0x1p52 : 0x1p23;
}

Tensor through_integer(const Tensor& x) {
  return cast(cast(x, x.dtype() == DType::F64 ? DType::I64 : DType::I32), x.dtype());
}

/// `rounded` where x may have a fraction; else, for inf and NaN too, x. Zeros get the sign of x.
Tensor where_fractional(const Tensor& x, const Tensor& rounded) {
  const Tensor zero = like(x, 0);
  const Tensor signed_zeros = where(equal(rounded, zero), x * 0.0, rounded);
  return where(less_equal(magnitude(x), like(x, without_fraction(x.dtype()))), signed_zeros, x);
}

Tensor truncated(const Tensor& x) {
  return where_fractional(x, through_integer(x));
}

Tensor floored(const Tensor& x) {
  const Tensor whole = through_integer(x);
  const Tensor is_above = 1.0 - mask_of(less_equal(whole, x), x.dtype());
  return where_fractional(x, whole - is_above);
}

Tensor rounded(const Tensor& x) {
  const double large = without_fraction(x.dtype());
  return where_fractional(x, with_sign_of(x, magnitude(x) + large - large));
}

/// The formula on floats, through which no gradient passes; integers are whole.
Tensor rounding(const Tensor& x, Tensor (*formula)(const Tensor&)) {
  if (!graph::is_float(x.dtype())) return x;
  return real_function(x, [&](const Tensor& wide) { return formula(detach(wide)); });
}

// --- remainders of floats ---

struct Double {
  Tensor high, low;
};

/// x as the sum of two numbers of half as many digits (Dekker), scaled meanwhile so that large numbers do not overflow.
Double split(const Tensor& x) {
  const bool is_f64 = x.dtype() == DType::F64;
  const double down = is_f64 ? 0x1p-30 : 0x1p-14, splitter = is_f64 ? 0x1p27 + 1 : 0x1p12 + 1;
  const Tensor scaled = x * down;
  const Tensor large = scaled * splitter;
  const Tensor high = (large - (large - scaled)) * (1 / down);
  return {high, x - high};
}

/// x * y without rounding.
Double exact_product(const Tensor& x, const Tensor& y) {
  const Double a = split(x), b = split(y);
  const Tensor product = x * y;
  const Tensor error = a.high * b.high - product + a.high * b.low + a.low * b.high;
  return {product, error + a.low * b.low};
}

/// x mod y where x >= y >= 0 and x / y is below 2^24 (2^53): the quotient is exact or one too large, and every
/// difference can be represented. x where x < y.
Tensor reduced(const Tensor& x, const Tensor& y) {
  const Double multiple = exact_product(through_integer(x / y), y);
  const Tensor rest = x - multiple.high - multiple.low;
  return where(less_equal(y, x), where(less(rest, like(x, 0)), rest + y, rest), x);
}

/// |x| mod |y|; NaN where x is inf, y 0, or their quotient out of reach.
Tensor magnitude_remainder(const Tensor& x, const Tensor& y) {
  const bool is_f64 = x.dtype() == DType::F64;
  const double first_factor = is_f64 ? 0x1p51 : 0x1p22, reach = is_f64 ? 0x1p102 : 0x1p44;
  const Tensor dividend = magnitude(x), divisor = magnitude(y);
  const Tensor rest = reduced(reduced(dividend, divisor * first_factor), divisor);
  const Tensor is_known = mul(less(rest, divisor), less(dividend, divisor * reach));
  return where(is_known, rest, like(x, std::nan("")));
}

Tensor truncating_remainder(const Tensor& x, const Tensor& y) {
  return with_sign_of(x, magnitude_remainder(x, y));
}

/// 1 where a remainder that truncates has to move up by one divisor to get the divisor's sign.
Tensor moves(const Tensor& rest, const Tensor& y) {
  const Tensor zero = like(y, 0);
  return maximum(less_mask(rest, zero) * less_mask(zero, y), less_mask(zero, rest) * less_mask(y, zero));
}

/// `value` with the derivative of x - y * quotient for a constant quotient.
Tensor with_remainder_derivative(const Tensor& x, const Tensor& y, const Tensor& value, const Tensor& quotient) {
  return with_derivative_of(x - y * detach(quotient), value);
}

struct Operands {
  Tensor x, y;
  DType dtype;  ///< of the result
};

/// Of one dtype and shape, floats widened.
Operands met(const Tensor& x, const Tensor& y, const char* where) {
  const DType dtype = promoted(x.dtype(), y.dtype());
  if (dtype == DType::Bool) throw TensorError(std::string(where) + " of bool: cast to a number first");
  const DType inside = graph::is_float(dtype) ? inner_dtype(dtype) : dtype;
  const Shape shape = broadcast_shape(x.shape(), y.shape(), where);
  return {broadcast_to(cast(x, inside), shape), broadcast_to(cast(y, inside), shape), dtype};
}

Tensor integer_remainder(const Tensor& x, const Tensor& y) {
  return where(equal(y, like(y, 0)), like(x, 0), x - (x / y) * y);
}

}  // namespace

Tensor floor(const Tensor& x) {
  return rounding(x, floored);
}

Tensor ceil(const Tensor& x) {
  return rounding(x, [](const Tensor& wide) { return -floored(-wide); });
}

Tensor trunc(const Tensor& x) {
  return rounding(x, truncated);
}

Tensor round(const Tensor& x) {
  return rounding(x, rounded);
}

Tensor fmod(const Tensor& x, const Tensor& y) {
  const auto [a, b, dtype] = met(x, y, "fmod");
  if (!graph::is_float(dtype)) return integer_remainder(a, b);
  return cast(with_remainder_derivative(a, b, truncating_remainder(a, b), trunc(a / b)), dtype);
}

Tensor remainder(const Tensor& x, const Tensor& y) {
  const auto [a, b, dtype] = met(x, y, "remainder");
  const bool is_float = graph::is_float(dtype);
  const Tensor rest = is_float ? truncating_remainder(a, b) : integer_remainder(a, b);
  const Tensor value = where(moves(rest, b), rest + b, rest);
  return is_float ? cast(with_remainder_derivative(a, b, value, floor(a / b)), dtype) : value;
}

Tensor floor_divide(const Tensor& x, const Tensor& y) {
  const auto [a, b, dtype] = met(x, y, "floor_divide");
  if (!graph::is_float(dtype)) return a / b - moves(integer_remainder(a, b), b);
  const Tensor dividend = detach(a), divisor = detach(b);
  const Tensor rest = truncating_remainder(dividend, divisor);
  // Without its rest the dividend is a multiple, up to one rounding: the nearest integer is the quotient.
  const Tensor exact = round((dividend - rest) / divisor) - moves(rest, divisor);
  const Tensor quotient = dividend / divisor;
  const Tensor has_rest = logical_not(isnan(rest));
  // By 0 the quotient is inf or NaN; of a number without a rest within reach, it is an integer anyway.
  const Tensor is_plain = logical_and(isfinite(dividend), logical_not(has_rest));
  return cast(where(has_rest, exact, where(is_plain, quotient, rest)), dtype);
}

}  // namespace quarry::tensor
