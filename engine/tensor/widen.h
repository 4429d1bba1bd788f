// In which dtype functions compute: f16 and bf16 in f32, functions of real numbers integers too.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

inline DType widened(DType dtype) {
  return dtype == DType::F16 || dtype == DType::BF16 ? DType::F32 : dtype;
}
inline Tensor widened(const Tensor& x) {
  return cast(x, widened(x.dtype()));
}

/// The float dtype of a function of real numbers: f32 for integers and bool.
inline DType real_dtype(DType dtype) {
  return graph::is_float(dtype) ? dtype : DType::F32;
}
/// Where such a function computes.
inline DType inner_dtype(DType dtype) {
  return widened(real_dtype(dtype));
}
inline Tensor inner(const Tensor& x) {
  return cast(x, inner_dtype(x.dtype()));
}
/// What was computed inside for x, in the dtype that a function of x has.
inline Tensor rounded_like(const Tensor& value, const Tensor& x) {
  return cast(value, real_dtype(x.dtype()));
}

}  // namespace quarry::tensor
