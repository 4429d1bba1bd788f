#include "engine/tensor/losses.h"

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/index.h"
#include "engine/tensor/reduce.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

Tensor reduced(const Tensor& loss, Reduction reduction) {
  if (reduction == Reduction::None) return loss;
  return reduction == Reduction::Mean ? mean(loss) : sum(loss);
}

/// x and target, wide, in one dtype and shape.
std::pair<Tensor, Tensor> met(const Tensor& x, const Tensor& target, const char* where) {
  if (!graph::is_float(x.dtype())) throw TensorError(std::string(where) + " needs a float, not " + text(x));
  const Shape shape = broadcast_shape(x.shape(), target.shape(), where);
  const DType dtype = promoted(widened(x.dtype()), widened(target.dtype()));
  return {broadcast_to(cast(x, dtype), shape), broadcast_to(cast(target, dtype), shape)};
}

Tensor zeros_like(const Tensor& x) {
  return constant(0, x.dtype(), x.shape());
}

/// The classes' axis of logits [n, classes, ..] or [classes].
int64_t class_axis(const Tensor& logits) {
  return logits.rank() == 1 ? 0 : 1;
}

void check_classes(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options, const char* where) {
  if (!graph::is_float(logits.dtype()) || logits.rank() < 1) {
    throw TensorError(std::string(where) + " needs float logits [n, classes, ..], not " + text(logits));
  }
  const auto axis = static_cast<size_t>(class_axis(logits));
  Shape expected = logits.shape();
  expected.erase(expected.begin() + static_cast<ptrdiff_t>(axis));
  if (graph::is_integer(targets.dtype()) && targets.shape() != expected) {
    throw TensorError(std::string(where) + ": targets " + text(targets) + " must have the shape " + text(expected) +
                      " beside logits " + text(logits));
  }
  if (!graph::is_integer(targets.dtype()) && targets.shape() != logits.shape()) {
    throw TensorError(std::string(where) + ": targets " + text(targets) + " must be class numbers " + text(expected) +
                      " or probabilities " + text(logits.shape()));
  }
  const int64_t classes = logits.shape()[axis];
  if (options.weight && options.weight.shape() != Shape{classes}) {
    throw TensorError(std::string(where) + ": weight " + text(options.weight) + " must have the shape " +
                      text(Shape{classes}));
  }
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    throw TensorError(std::string(where) + ": label smoothing lies between 0 and 1");
  }
}

/// weight [classes] beside log-probabilities with classes along `axis`.
Tensor beside_classes(const Tensor& weight, const Tensor& log_probabilities, int64_t axis) {
  Shape shape(static_cast<size_t>(log_probabilities.rank()), 1);
  shape[static_cast<size_t>(axis)] = weight.elements();
  return broadcast_to(reshape(cast(weight, log_probabilities.dtype()), shape), log_probabilities.shape());
}

/// log_probabilities at each target's class, 0 where that lies outside: a gather.
Tensor at_targets(const Tensor& log_probabilities, const Tensor& targets, int64_t axis) {
  Shape shape = log_probabilities.shape();
  shape[static_cast<size_t>(axis)] = 1;
  return reshape(gather_along_axis(log_probabilities, axis, reshape(targets, shape)), targets.shape());
}

/// 1 where the target is a class that is not ignored, else 0.
Tensor counted(const Tensor& targets, int64_t classes, const std::optional<int64_t>& ignore, DType dtype) {
  Tensor counts = logical_and(greater_equal(targets, scalar_beside(targets, int64_t{0})),
                              less(targets, scalar_beside(targets, classes)));
  if (ignore) counts = logical_and(counts, not_equal(targets, scalar_beside(targets, *ignore)));
  return cast(counts, dtype);
}

/// Integers in which class numbers, the number of classes and the ignored number all fit.
Tensor class_numbers(const Tensor& targets) {
  return targets.dtype() == DType::I64 ? targets : cast(targets, DType::I32);
}

Tensor class_loss(const Tensor& log_probabilities, const Tensor& given, const CrossEntropyOptions& options) {
  const int64_t axis = class_axis(log_probabilities);
  const int64_t classes = log_probabilities.size(axis);
  const DType dtype = log_probabilities.dtype();
  const Tensor targets = class_numbers(given);
  const Tensor counts = counted(targets, classes, options.ignore_index, dtype);
  Tensor weights = counts;
  if (options.weight) {
    const Tensor by_class = beside_classes(options.weight, log_probabilities, axis);
    weights = counts * at_targets(by_class, targets, axis);
  }
  Tensor loss = -(at_targets(log_probabilities, targets, axis) * weights);
  if (options.label_smoothing > 0) {
    Tensor spread = log_probabilities;
    if (options.weight) spread = spread * beside_classes(options.weight, log_probabilities, axis);
    const Tensor smooth = -(sum(spread, {axis}) * counts) / static_cast<double>(classes);
    loss = loss * (1 - options.label_smoothing) + smooth * options.label_smoothing;
  }
  // Ignored ones may stand beside an inf or NaN: exactly 0.
  loss = where(counts, loss, zeros_like(loss));
  if (options.reduction != Reduction::Mean) return reduced(loss, options.reduction);
  return div(sum(loss), sum(weights));
}

Tensor probability_loss(const Tensor& log_probabilities, const Tensor& targets, const CrossEntropyOptions& options) {
  const int64_t axis = class_axis(log_probabilities);
  const int64_t classes = log_probabilities.size(axis);
  Tensor wanted = cast(targets, log_probabilities.dtype());
  if (options.label_smoothing > 0) {
    wanted = wanted * (1 - options.label_smoothing) + options.label_smoothing / static_cast<double>(classes);
  }
  if (options.weight) wanted = wanted * beside_classes(options.weight, log_probabilities, axis);
  const Tensor loss = -sum(log_probabilities * wanted, {axis});
  if (options.reduction != Reduction::Mean) return reduced(loss, options.reduction);
  return sum(loss) / static_cast<double>(loss.elements());
}

/// log(x), at least -100. log sees 1 where x is 0, so that no gradient is NaN there.
Tensor floored_log(const Tensor& x) {
  const Tensor floor = constant(-100, x.dtype(), x.shape());
  const Tensor is_zero = equal(x, zeros_like(x));
  return where(is_zero, floor, maximum(log(where(is_zero, constant(1, x.dtype(), x.shape()), x)), floor));
}

Tensor weighted(const Tensor& loss, const Tensor& weight) {
  return weight ? loss * cast(weight, loss.dtype()) : loss;
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  check_classes(logits, targets, options, "cross_entropy");
  const Tensor log_probabilities = log_softmax(widened(logits), class_axis(logits));
  if (graph::is_integer(targets.dtype())) return class_loss(log_probabilities, targets, options);
  return probability_loss(log_probabilities, targets, options);
}

Tensor nll_loss(const Tensor& log_probabilities, const Tensor& targets, const CrossEntropyOptions& options) {
  if (!graph::is_integer(targets.dtype())) {
    throw TensorError("nll_loss: targets are class numbers, not " + text(targets));
  }
  if (options.label_smoothing != 0) throw TensorError("nll_loss has no label smoothing: use cross_entropy");
  check_classes(log_probabilities, targets, options, "nll_loss");
  return class_loss(widened(log_probabilities), targets, options);
}

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const auto [a, b] = met(x, target, "mse_loss");
  return reduced(square(a - b), reduction);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const auto [a, b] = met(x, target, "l1_loss");
  return reduced(abs(a - b), reduction);
}

Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  if (!(delta > 0)) throw TensorError("huber_loss: delta must be above 0");
  const auto [a, b] = met(x, target, "huber_loss");
  const Tensor distance = abs(a - b);
  const Tensor near = square(distance) * 0.5;
  const Tensor far = (distance - 0.5 * delta) * delta;
  return reduced(where(less(distance, scalar_beside(distance, delta)), near, far), reduction);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta, Reduction reduction) {
  if (beta == 0) return l1_loss(x, target, reduction);
  return huber_loss(x, target, beta, reduction) / beta;
}

Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const Tensor& weight, Reduction reduction) {
  const auto [probability, wanted] = met(x, target, "binary_cross_entropy");
  const Tensor of_true = floored_log(probability);
  const Tensor of_false = floored_log(1.0 - probability);
  return reduced(weighted(-(wanted * of_true + (1.0 - wanted) * of_false), weight), reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target, const Tensor& weight,
                                        const Tensor& positive_weight, Reduction reduction) {
  const auto [logits, wanted] = met(x, target, "binary_cross_entropy_with_logits");
  // -log sigmoid(x) = softplus(-x), -log(1 - sigmoid(x)) = softplus(x) = x + softplus(-x).
  const Tensor soft = -logsigmoid(logits);
  Tensor loss = (1.0 - wanted) * logits;
  if (positive_weight) {
    const Tensor factor = (cast(positive_weight, logits.dtype()) - 1.0) * wanted + 1.0;
    loss = loss + factor * soft;
  } else {
    loss = loss + soft;
  }
  return reduced(weighted(loss, weight), reduction);
}

Tensor kl_div(const Tensor& x, const Tensor& target, bool log_target, Reduction reduction) {
  const auto [log_probability, wanted] = met(x, target, "kl_div");
  if (log_target) return reduced(exp(wanted) * (wanted - log_probability), reduction);
  const Tensor zero = zeros_like(wanted);
  const Tensor none = equal(wanted, zero);
  // log sees 1 where the target is 0, so that no gradient is inf there.
  const Tensor safe = where(none, constant(1, wanted.dtype(), wanted.shape()), wanted);
  return reduced(where(none, zero, wanted * (log(safe) - log_probability)), reduction);
}

}  // namespace quarry::tensor
