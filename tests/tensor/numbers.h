// Tensors of known numbers without inputs, for tests that compare with plain loops.
#pragma once

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"

namespace quarry::test {

/// 0, 1, 2, ... in row-major order.
inline tensor::Tensor counting(const tensor::Shape& shape, tensor::DType dtype = tensor::DType::F32) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return tensor::reshape(tensor::cast(tensor::iota(tensor::DType::I32, {count}, 0), dtype), shape);
}

/// Multiples of 1/4 between -6 and 6, scattered; another `salt`, other numbers. Sums of products of them are exact.
inline tensor::Tensor scattered(const tensor::Shape& shape, int64_t salt = 0,
                                tensor::DType dtype = tensor::DType::F32) {
  using tensor::scalar_beside;
  const tensor::Tensor i = counting(shape, tensor::DType::I32);
  const tensor::Tensor mixed = tensor::remainder(i * 29.0 + static_cast<double>(17 * salt + 5), scalar_beside(i, 49.0));
  return tensor::cast((tensor::cast(mixed, tensor::DType::F32) - 24.0) / 4.0, dtype);
}

}  // namespace quarry::test
