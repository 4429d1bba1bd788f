#include "engine/tensor/optimise.h"

#include <cmath>

#include "engine/tensor/elementwise.h"
#include "engine/tensor/formula.h"
#include "engine/tensor/reduce.h"

namespace quarry::tensor {
namespace {

void require_alike(const Tensor& weight, const Tensor& other, const char* what, const char* where) {
  if (other.shape() == weight.shape() && graph::is_float(other.dtype()) && graph::is_float(weight.dtype())) return;
  throw TensorError(std::string(where) + ": " + what + " " + text(other) +
                    " must be a float tensor of the shape of the " + "weight " + text(weight));
}

void require_scalar(const Tensor& x, const char* what, const char* where) {
  if (x && x.rank() == 0) return;
  throw TensorError(std::string(where) + ": " + what + " must have rank 0" + (x ? ", not be " + text(x) : ""));
}

/// 1 - factor^count, exact where count is small and the factor close to 1.
Tensor one_minus_power(double factor, const Tensor& count) {
  return -expm1(count * std::log(factor));
}

/// The root of what is not negative: without sqrt's care for -inf.
Tensor root_of_square(const Tensor& x) {
  return pow(x, like(x, 0.5));
}

AdamStep adam_step(const Tensor& weight, const Tensor& gradient, const AdamStep& state, const Tensor& updates,
                   const Tensor& learning_rate, const AdamOptions& options) {
  const Tensor first = state.first_moment * options.beta1 + gradient * (1 - options.beta1);
  const Tensor second = state.second_moment * options.beta2 + gradient * gradient * (1 - options.beta2);
  // What has rank 0 is computed once for the whole weight.
  const Tensor count = cast(updates, weight.dtype()) + 1.0;
  const Tensor step_size = cast(learning_rate, weight.dtype()) / one_minus_power(options.beta1, count);
  const Tensor second_scale = rsqrt(one_minus_power(options.beta2, count));
  const Tensor distance = first / (root_of_square(second) * second_scale + options.epsilon);
  return {weight - step_size * distance, first, second};
}

/// Checks and widens, steps, and rounds every part to the dtype that it came in.
template <class Step>
AdamStep stepped(const Tensor& weight, const Tensor& gradient, const AdamStep& state, const Tensor& updates,
                 const Tensor& learning_rate, const char* where, Step step) {
  require_alike(weight, gradient, "the gradient", where);
  require_alike(weight, state.first_moment, "the first moment", where);
  require_alike(weight, state.second_moment, "the second moment", where);
  require_scalar(updates, "updates", where);
  require_scalar(learning_rate, "the learning rate", where);
  const DType inside = inner_dtype(weight.dtype());
  const AdamStep wide{{}, cast(state.first_moment, inside), cast(state.second_moment, inside)};
  const AdamStep next = step(cast(weight, inside), cast(gradient, inside), wide);
  return {cast(next.weight, weight.dtype()), cast(next.first_moment, state.first_moment.dtype()),
          cast(next.second_moment, state.second_moment.dtype())};
}

}  // namespace

SgdStep sgd(const Tensor& weight, const Tensor& gradient, const Tensor& momentum_buffer, const Tensor& learning_rate,
            const SgdOptions& options, const Tensor& updates) {
  require_alike(weight, gradient, "the gradient", "sgd");
  require_scalar(learning_rate, "the learning rate", "sgd");
  if (options.nesterov && (options.momentum == 0 || options.dampening != 0)) {
    throw TensorError("sgd: nesterov needs momentum, and no dampening");
  }
  const DType inside = inner_dtype(weight.dtype());
  const Tensor w = cast(weight, inside), rate = cast(learning_rate, inside);
  Tensor direction = cast(gradient, inside);
  if (options.weight_decay != 0) direction = direction + w * options.weight_decay;
  if (options.momentum == 0) return {cast(w - rate * direction, weight.dtype()), {}};

  if (!momentum_buffer) throw TensorError("sgd: momentum needs a momentum buffer, zeros at the start");
  require_alike(weight, momentum_buffer, "the momentum buffer", "sgd");
  Tensor share = direction;
  if (options.dampening != 0) {
    require_scalar(updates, "with dampening, updates", "sgd");
    const Tensor is_first = equal(updates, constant(0, updates.dtype()));
    share = direction * where(is_first, constant(1, inside), constant(1 - options.dampening, inside));
  }
  const Tensor buffer = cast(momentum_buffer, inside) * options.momentum + share;
  const Tensor step = options.nesterov ? direction + buffer * options.momentum : buffer;
  return {cast(w - rate * step, weight.dtype()), cast(buffer, momentum_buffer.dtype())};
}

AdamStep adam(const Tensor& weight, const Tensor& gradient, const Tensor& first_moment, const Tensor& second_moment,
              const Tensor& updates, const Tensor& learning_rate, const AdamOptions& options) {
  const auto step = [&](const Tensor& w, const Tensor& g, const AdamStep& state) {
    const Tensor decayed = options.weight_decay == 0 ? g : g + w * options.weight_decay;
    return adam_step(w, decayed, state, updates, learning_rate, options);
  };
  return stepped(weight, gradient, {{}, first_moment, second_moment}, updates, learning_rate, "adam", step);
}

AdamStep adamw(const Tensor& weight, const Tensor& gradient, const Tensor& first_moment, const Tensor& second_moment,
               const Tensor& updates, const Tensor& learning_rate, const AdamOptions& options) {
  const auto step = [&](const Tensor& w, const Tensor& g, const AdamStep& state) {
    const Tensor kept = 1.0 - cast(learning_rate, w.dtype()) * options.weight_decay;
    return adam_step(options.weight_decay == 0 ? w : w * kept, g, state, updates, learning_rate, options);
  };
  return stepped(weight, gradient, {{}, first_moment, second_moment}, updates, learning_rate, "adamw", step);
}

std::vector<Tensor> clip_by_norm(std::span<const Tensor> gradients, double max_norm) {
  if (gradients.empty()) return {};
  Tensor squares;
  for (const Tensor& gradient : gradients) {
    const Tensor wide = inner(gradient);
    const Tensor own = sum(wide * wide);
    squares = squares ? squares + own : own;
  }
  // The small number is PyTorch's.
  const Tensor scale = minimum(like(squares, 1), max_norm / (root_of_square(squares) + 1e-6));
  std::vector<Tensor> clipped;
  for (const Tensor& gradient : gradients) {
    clipped.push_back(cast(inner(gradient) * cast(scale, inner_dtype(gradient.dtype())), gradient.dtype()));
  }
  return clipped;
}

Tensor all_finite(std::span<const Tensor> tensors) {
  const Tensor zero = constant(0, DType::F32);
  Tensor finite = constant(1, DType::F32);
  for (const Tensor& tensor : tensors) {
    // 0 * x is NaN where x is inf or NaN, and one NaN makes the sum NaN. CMPEQ makes it a provable 0 or 1.
    const Tensor own = binary(Op::CmpEq, cast(sum(tensor * 0.0), DType::F32), zero);
    finite = finite * own;
  }
  return finite;
}

LossScale next_loss_scale(const LossScale& now, const Tensor& is_finite, const LossScaleOptions& options) {
  require_scalar(now.scale, "the scale", "next_loss_scale");
  require_scalar(now.good_steps, "the good steps", "next_loss_scale");
  require_scalar(is_finite, "is_finite", "next_loss_scale");
  const Tensor none = constant(0, now.good_steps.dtype());
  const Tensor count = now.good_steps + 1.0;
  const Tensor grows = equal(count, integer_constant(options.growth_interval, count.dtype()));
  const Tensor grown = where(grows, now.scale * options.growth, now.scale);
  return {where(is_finite, grown, now.scale * options.backoff), where(is_finite, where(grows, none, count), none)};
}

}  // namespace quarry::tensor
