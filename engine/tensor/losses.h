// Losses, as PyTorch defines them. On f16 and bf16 everything inside is f32 and the result is f32: a mean over many
// elements has no place in 16 bits. With Reduction::Mean and Sum the result has rank 0.
#pragma once

#include <optional>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

enum class Reduction { None, Mean, Sum };

struct CrossEntropyOptions {
  Tensor weight = {};  ///< [classes], or none
  std::optional<int64_t> ignore_index = -100;
  double label_smoothing = 0;
  Reduction reduction = Reduction::Mean;  ///< Mean: over the weights of the targets that are not ignored
};
/// logits [n, classes, ..] (or [classes]) and targets: class numbers [n, ..] (i32, i64), or probabilities in the
/// logits' shape. A class outside of the range, and ignored ones, contribute 0.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options = {});
/// The same on log-probabilities; class numbers only, no smoothing.
Tensor nll_loss(const Tensor& log_probabilities, const Tensor& targets, const CrossEntropyOptions& options = {});

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::Mean);
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::Mean);
/// 0.5 d^2 where |d| < delta, else delta * (|d| - 0.5 delta).
Tensor huber_loss(const Tensor& x, const Tensor& target, double delta = 1, Reduction reduction = Reduction::Mean);
/// huber_loss / beta; for beta = 0 the l1_loss.
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta = 1, Reduction reduction = Reduction::Mean);
/// x: probabilities; logarithms are cut off at -100. weight: broadcast to x, or none.
Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const Tensor& weight = {},
                            Reduction reduction = Reduction::Mean);
/// x: logits. positive_weight multiplies the loss of positives, broadcast to x.
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target, const Tensor& weight = {},
                                        const Tensor& positive_weight = {}, Reduction reduction = Reduction::Mean);
/// target * (log target - x), x: log-probabilities; 0 where target is 0. Mean is over all elements (PyTorch's "mean").
Tensor kl_div(const Tensor& x, const Tensor& target, bool log_target = false, Reduction reduction = Reduction::Mean);

}  // namespace quarry::tensor
