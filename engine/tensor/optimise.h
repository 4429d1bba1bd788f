// One step of an optimiser, as PyTorch defines them: from weights, gradients and state to the next ones. A training
// step outputs the results and its job carries them back into the inputs.
//
// Weights, gradients and state are of float dtypes and one shape. f16 and bf16 weights are computed in f32 and rounded
// once: give them f32 state. `learning_rate` and `updates` have rank 0, so that both may change from step to step.
#pragma once

#include <span>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

struct SgdOptions {
  double momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;  ///< needs momentum and no dampening
};
struct SgdStep {
  Tensor weight;
  Tensor momentum_buffer;  ///< none without momentum
};
/// momentum_buffer: zeros at the start; none without momentum. updates: how many were made before (only needed with
/// dampening, which the first one leaves out).
SgdStep sgd(const Tensor& weight, const Tensor& gradient, const Tensor& momentum_buffer, const Tensor& learning_rate,
            const SgdOptions& options = {}, const Tensor& updates = {});

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;
};
struct AdamStep {
  Tensor weight, first_moment, second_moment;
};
/// Weight decay is added to the gradient. Moments: zeros at the start. updates: how many were made before this one, an
/// integer or float; the caller carries updates + 1.
AdamStep adam(const Tensor& weight, const Tensor& gradient, const Tensor& first_moment, const Tensor& second_moment,
              const Tensor& updates, const Tensor& learning_rate, const AdamOptions& options = {});
/// Weight decay acts on the weight itself, learning_rate * weight_decay a step.
AdamStep adamw(const Tensor& weight, const Tensor& gradient, const Tensor& first_moment, const Tensor& second_moment,
               const Tensor& updates, const Tensor& learning_rate, const AdamOptions& options);

/// Gradients scaled so that their common norm is at most `max_norm`; as they are where it is less.
std::vector<Tensor> clip_by_norm(std::span<const Tensor> gradients, double max_norm);

/// 1 where no element of any of the tensors is inf or NaN, else 0: f32, rank 0, fit to select by.
Tensor all_finite(std::span<const Tensor> tensors);

struct LossScaleOptions {
  double growth = 2, backoff = 0.5;
  int64_t growth_interval = 2000;  ///< good steps in a row before the scale grows
};
struct LossScale {
  Tensor scale;       ///< f32
  Tensor good_steps;  ///< i32: in a row
};
/// Dynamic loss scaling: the next scale, given whether this step's gradients were finite. The step itself is skipped by
/// where(is_finite, updated, old) on weights and state.
LossScale next_loss_scale(const LossScale& now, const Tensor& is_finite, const LossScaleOptions& options = {});

}  // namespace quarry::tensor
