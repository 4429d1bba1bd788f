// Normalisations. On f16 and bf16 everything inside is f32, the result has x's dtype. weight and bias are optional.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// x [n, c, ..] with given statistics [c]; weight, bias [c].
Tensor batch_norm(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& weight = {},
                  const Tensor& bias = {}, double epsilon = 1e-5);
struct BatchNormTraining {
  Tensor output;
  Tensor mean, variance;                  ///< [c], of this batch; the variance is the biased one, which normalises
  Tensor running_mean, running_variance;  ///< new ones, with the unbiased variance; none where none were given
};
/// x [n, c, ..] with the statistics of the batch. running = (1 - momentum) * running + momentum * batch.
BatchNormTraining batch_norm_training(const Tensor& x, const Tensor& running_mean, const Tensor& running_variance,
                                      const Tensor& weight = {}, const Tensor& bias = {}, double momentum = 0.1,
                                      double epsilon = 1e-5);
/// Over the last normalized_shape.size() axes, whose sizes these are; weight, bias [normalized_shape].
Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {}, const Tensor& bias = {},
                  double epsilon = 1e-5);
/// x / sqrt(mean(x^2) + epsilon) over the last axes, weight [normalized_shape].
Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {}, double epsilon = 1e-6);
/// x [n, c, ..], over groups of c / groups channels and all later axes; weight, bias [c].
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight = {}, const Tensor& bias = {},
                  double epsilon = 1e-5);
/// x [n, c, ..], over all axes after the first two; weight, bias [c].
Tensor instance_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {}, double epsilon = 1e-5);
/// x / (k + alpha / size * sum of squares of `size` neighbouring channels)^beta, x [n, c, ..]. The window reaches
/// (size - 1) / 2 channels down and size / 2 up, as in ONNX (PyTorch has it the other way for even sizes).
Tensor local_response_norm(const Tensor& x, int64_t size, double alpha = 1e-4, double beta = 0.75, double k = 1);
/// x / max(||x||_p along the axis, epsilon).
Tensor normalize(const Tensor& x, double p = 2, int64_t axis = 1, double epsilon = 1e-12);

}  // namespace quarry::tensor
