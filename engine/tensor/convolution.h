// Convolutions of any number of spatial axes: x [n, channels, L1, .., Ld]. One contraction each.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// Entries of each spatial axis; one entry stands for all axes, none for the default.
struct ConvOptions {
  Shape stride = {};               ///< default 1
  std::vector<Pair> padding = {};  ///< zeros before and after, default none
  Shape dilation = {};             ///< default 1
  int64_t groups = 1;
};
/// weight [out, channels / groups, K1, .., Kd], bias [out] or none -> [n, out, O1, .., Od],
/// O = (L + before + after - dilation * (K - 1) - 1) / stride + 1.
Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});

/// weight [channels, out / groups, K1, .., Kd], bias [out] or none -> [n, out, O1, .., Od],
/// O = (L - 1) * stride - before - after + dilation * (K - 1) + output_padding + 1. `padding` cuts off, and may be
/// negative. Multiplies no inserted zeros.
Tensor conv_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {},
                      const Shape& output_padding = {});

/// The padding with which a stride of 1 keeps, and a stride s divides (rounding up), the sizes: ONNX's SAME_UPPER, or
/// SAME_LOWER, which puts an odd zero before.
std::vector<Pair> same_padding(const Shape& sizes, const Shape& kernel, const Shape& stride, const Shape& dilation,
                               bool lower = false);

}  // namespace quarry::tensor
