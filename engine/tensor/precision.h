// In which dtype a function computes, apart from its operands' dtype.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// The float dtype of a function of real numbers: f32 for integers and bool.
inline DType real_dtype(DType dtype) {
  return graph::is_float(dtype) ? dtype : DType::F32;
}
/// Where it computes: f32, or f64 for f64.
inline DType inner_dtype(DType dtype) {
  return dtype == DType::F64 ? DType::F64 : DType::F32;
}
inline Tensor inner(const Tensor& x) {
  return cast(x, inner_dtype(x.dtype()));
}
/// What was computed inside for x, in the dtype that a function of x has.
inline Tensor rounded_like(const Tensor& value, const Tensor& x) {
  return cast(value, real_dtype(x.dtype()));
}

}  // namespace quarry::tensor
