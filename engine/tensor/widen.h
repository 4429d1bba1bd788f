// f16 and bf16 are computed in f32.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

inline DType widened(DType dtype) {
  return dtype == DType::F16 || dtype == DType::BF16 ? DType::F32 : dtype;
}
inline Tensor widened(const Tensor& x) {
  return cast(x, widened(x.dtype()));
}

}  // namespace quarry::tensor
