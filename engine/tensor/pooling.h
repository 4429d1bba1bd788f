// Pooling over the spatial axes of x [n, c, L1, .., Ld], d = kernel.size() (also [c, L1, .., Ld]: whatever stands
// before the last d axes passes through).
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// Entries of each spatial axis; one entry stands for all axes, none for the default.
struct PoolOptions {
  Shape stride = {};               ///< default: the kernel
  std::vector<Pair> padding = {};  ///< default none
  Shape dilation = {};             ///< default 1
  bool ceil_mode = false;          ///< a last window that begins inside but ends outside counts too
};
/// Padding never wins, also against -inf.
Tensor max_pool(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});
struct PoolWithIndices {
  Tensor values, indices;
};
/// indices: i64 positions of the (first) maxima in row-major order of the d spatial axes, as PyTorch's.
PoolWithIndices max_pool_with_indices(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});
/// The inverse: values [n, c, O..] put at the indices of [n, c, sizes ..], 0 elsewhere.
Tensor max_unpool(const Tensor& x, const Tensor& indices, const Shape& sizes);
/// count_include_pad: whether padding counts in the divisor. f16 and bf16 sum in f32.
Tensor avg_pool(const Tensor& x, const Shape& kernel, const PoolOptions& options = {}, bool count_include_pad = true);
/// (sum |x|^p)^(1/p) of each window.
Tensor lp_pool(const Tensor& x, double p, const Shape& kernel, const PoolOptions& options = {});

/// Over all axes after the first two, which stay with size 1.
Tensor global_avg_pool(const Tensor& x);
Tensor global_max_pool(const Tensor& x);
Tensor global_lp_pool(const Tensor& x, double p);
/// Over windows from floor(i * L / O) to ceil((i + 1) * L / O), for O = sizes; an entry of -1 keeps the size.
Tensor adaptive_avg_pool(const Tensor& x, const Shape& sizes);
Tensor adaptive_max_pool(const Tensor& x, const Shape& sizes);

}  // namespace quarry::tensor
