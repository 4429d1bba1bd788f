// Arithmetic as users of array libraries expect it: operands are promoted to one dtype and broadcast to one shape,
// spelt out as CAST and EXPAND.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// The dtype in which two operands meet: bool gives way to all, integers to floats, narrow to wide; f16 and bf16
/// meet in f32, i8 and u8 in i32.
DType promoted(DType x, DType y);
/// The shape in which two operands meet: aligned at the last axis, an axis of size 1 stretches.
Shape broadcast_shape(const Shape& x, const Shape& y, const char* where);
/// x with axes in front and stretched axes, as in NumPy's broadcast_to.
Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// A scalar beside `like`: in its dtype where that holds the value's kind, an i32 beside bool, an f32 where `value` has
/// a fraction and `like` is no float. Rank 0.
Tensor scalar_beside(const Tensor& like, double value);
Tensor scalar_beside(const Tensor& like, int64_t value);

Tensor add(const Tensor& x, const Tensor& y);
Tensor sub(const Tensor& x, const Tensor& y);
Tensor mul(const Tensor& x, const Tensor& y);
/// The DIV op: correctly rounded for floats, truncating for integers.
Tensor div(const Tensor& x, const Tensor& y);
Tensor pow(const Tensor& x, const Tensor& y);
Tensor maximum(const Tensor& x, const Tensor& y);  ///< NaN wins
Tensor minimum(const Tensor& x, const Tensor& y);  ///< NaN wins

// Comparisons: bool results. With NaN all are false but not_equal.
Tensor equal(const Tensor& x, const Tensor& y);
Tensor not_equal(const Tensor& x, const Tensor& y);
Tensor less(const Tensor& x, const Tensor& y);
Tensor less_equal(const Tensor& x, const Tensor& y);
Tensor greater(const Tensor& x, const Tensor& y);
Tensor greater_equal(const Tensor& x, const Tensor& y);
Tensor logical_not(const Tensor& x);
Tensor logical_and(const Tensor& x, const Tensor& y);
Tensor logical_or(const Tensor& x, const Tensor& y);
Tensor logical_xor(const Tensor& x, const Tensor& y);

/// The select idiom, exact for inf and NaN: x where `condition` is not 0, else y.
Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y);
/// `condition` as 0 and 1 of `dtype`, without a detour through bool where it was made in `dtype`.
Tensor mask_of(const Tensor& condition, DType dtype);

/// The condition and values of a tensor that where() made.
struct WhereParts {
  Tensor condition, if_true, if_false;  ///< condition: 0 or 1 in the values' dtype
};
/// Whether `x` has the shape of what where() makes; if so, its parts.
bool match_where(const Tensor& x, WhereParts& parts);

Tensor operator-(const Tensor& x);
inline Tensor operator+(const Tensor& x, const Tensor& y) {
  return add(x, y);
}
inline Tensor operator-(const Tensor& x, const Tensor& y) {
  return sub(x, y);
}
inline Tensor operator*(const Tensor& x, const Tensor& y) {
  return mul(x, y);
}
inline Tensor operator/(const Tensor& x, const Tensor& y) {
  return div(x, y);
}
inline Tensor operator+(const Tensor& x, double y) {
  return add(x, scalar_beside(x, y));
}
inline Tensor operator-(const Tensor& x, double y) {
  return sub(x, scalar_beside(x, y));
}
inline Tensor operator*(const Tensor& x, double y) {
  return mul(x, scalar_beside(x, y));
}
inline Tensor operator/(const Tensor& x, double y) {
  return div(x, scalar_beside(x, y));
}
inline Tensor operator+(double x, const Tensor& y) {
  return add(scalar_beside(y, x), y);
}
inline Tensor operator-(double x, const Tensor& y) {
  return sub(scalar_beside(y, x), y);
}
inline Tensor operator*(double x, const Tensor& y) {
  return mul(scalar_beside(y, x), y);
}
inline Tensor operator/(double x, const Tensor& y) {
  return div(scalar_beside(y, x), y);
}

}  // namespace quarry::tensor
