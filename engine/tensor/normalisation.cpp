#include "engine/tensor/normalisation.h"

#include <algorithm>
#include <cmath>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/reduce.h"
#include "engine/tensor/shape.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

void require_channels(const Tensor& x, const char* where) {
  if (!graph::is_float(x.dtype()) || x.rank() < 2) {
    throw TensorError(std::string(where) + " needs a float [n, channels, ..], not " + text(x));
  }
}

/// [c] as [c, 1, .., 1], beside x [n, c, ..].
Tensor per_channel(const Tensor& x, const Tensor& values, const char* where, const char* what) {
  if (values.rank() != 1 || values.size(0) != x.size(1)) {
    throw TensorError(std::string(where) + ": " + what + " " + text(values) + " must have one entry for each of the " +
                      std::to_string(x.size(1)) + " channels of " + text(x));
  }
  Shape shape(static_cast<size_t>(x.rank() - 1), 1);
  shape[0] = values.size(0);
  return reshape(widened(values), shape);
}

Axes all_but_channels(const Tensor& x) {
  Axes axes{0};
  for (int64_t axis = 2; axis < x.rank(); ++axis) axes.push_back(axis);
  return axes;
}

/// x * weight + bias, both [c] and optional; x is wide already.
Tensor scaled_by_channel(const Tensor& x, const Tensor& weight, const Tensor& bias, const char* where) {
  Tensor y = x;
  if (weight) y = y * per_channel(x, weight, where, "weight");
  if (bias) y = y + per_channel(x, bias, where, "bias");
  return y;
}

struct Moments {
  Tensor mean, variance;  ///< the biased variance; reduced axes stay
};
Moments moments(const Tensor& x, const Axes& axes) {
  const Tensor average = mean(x, axes, true);
  return {average, mean(square(x - average), axes, true)};
}

/// (x - mean) / deviation with the mean and variance of x itself over the axes.
Tensor standardised(const Tensor& x, const Axes& axes, double epsilon) {
  const Moments of = moments(x, axes);
  const Tensor scale = rsqrt(of.variance + epsilon);
  // What the mean and the variance pass on is what these two means take away.
  const auto rule = [axes](std::span<const Tensor> from, const Tensor& value, const Tensor& gradient) {
    const Tensor along_value = value * mean(gradient * value, axes, true);
    return std::vector{(gradient - mean(gradient, axes, true) - along_value) * from[1]};
  };
  return with_derivative({x, scale}, (x - of.mean) * scale, rule);
}

/// x / root mean square over the axes.
Tensor scaled_to_one(const Tensor& x, const Axes& axes, double epsilon) {
  const Tensor scale = rsqrt(mean(square(x), axes, true) + epsilon);
  const auto rule = [axes](std::span<const Tensor> from, const Tensor& value, const Tensor& gradient) {
    return std::vector{(gradient - value * mean(gradient * value, axes, true)) * from[1]};
  };
  return with_derivative({x, scale}, x * scale, rule);
}

/// The last axes of x, whose sizes must be `shape`.
Axes last_axes(const Tensor& x, const Shape& shape, const char* where) {
  const auto count = static_cast<int64_t>(shape.size());
  const bool fits = graph::is_float(x.dtype()) && count >= 1 && count <= x.rank() &&
                    std::equal(shape.begin(), shape.end(), x.shape().end() - count);
  if (!fits) throw TensorError(std::string(where) + ": " + text(x) + " does not end with the axes " + text(shape));
  Axes axes;
  for (int64_t axis = x.rank() - count; axis < x.rank(); ++axis) axes.push_back(axis);
  return axes;
}

/// `values`, widened, which must have the shape of the axes that are normalised.
Tensor of_shape(const Shape& shape, const Tensor& values, const char* where, const char* what) {
  if (values.shape() == shape) return widened(values);
  throw TensorError(std::string(where) + ": " + what + " " + text(values) + " must have the shape " + text(shape));
}

/// x * weight + bias, both of `shape` and optional; x is wide already.
Tensor scaled_by_element(const Tensor& x, const Shape& shape, const Tensor& weight, const Tensor& bias,
                         const char* where) {
  Tensor y = x;
  if (weight) y = y * of_shape(shape, weight, where, "weight");
  if (bias) y = y + of_shape(shape, bias, where, "bias");
  return y;
}

int64_t elements_a_channel(const Tensor& x) {
  return x.size(1) == 0 ? 0 : x.elements() / x.size(1);
}

/// (1 - momentum) * running + momentum * batch, in the dtype of `running`.
Tensor moved(const Tensor& running, const Tensor& batch, double momentum) {
  return cast(widened(running) * (1 - momentum) + widened(batch) * momentum, running.dtype());
}

/// (x - mean) * deviation^-1 * weight + bias by channels, with the statistics of x itself. Its gradients share their
/// two sums over each channel: those of weight and bias are also all that the gradient of x needs.
Tensor affine_standardised(const Tensor& x, const Moments& moments_of_x, const Tensor& weight, const Tensor& bias,
                           double epsilon) {
  const Axes axes = all_but_channels(x);
  const Tensor scale = rsqrt(moments_of_x.variance + epsilon);
  const Tensor value = (x - moments_of_x.mean) * mul(scale, weight) + bias;
  const auto rule = [axes](std::span<const Tensor> of, const Tensor&, const Tensor& gradient) {
    const Tensor &from = of[0], &average = of[1], &inverse = of[2], &factor = of[3];
    const auto count = static_cast<double>(from.elements() / std::max<int64_t>(1, factor.elements()));
    const Tensor standard = (from - average) * inverse;
    const Tensor bias_sum = sum(gradient, axes, true), weight_sum = sum(gradient * standard, axes, true);
    const Tensor rest = gradient - bias_sum / count - standard * (weight_sum / count);
    return std::vector{rest * mul(inverse, factor), Tensor(), Tensor(), reshape(weight_sum, factor.shape()),
                       reshape(bias_sum, of[4].shape())};
  };
  return with_derivative({x, moments_of_x.mean, scale, weight, bias}, value, rule);
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& weight, const Tensor& bias,
                  double epsilon) {
  require_channels(x, "batch_norm");
  const Tensor wide = widened(x);
  // One factor a channel, so that an element costs a SUB, a MUL and, for the bias, an ADD.
  Tensor factor = rsqrt(per_channel(x, variance, "batch_norm", "variance") + epsilon);
  if (weight) factor = factor * per_channel(x, weight, "batch_norm", "weight");
  Tensor y = (wide - per_channel(x, mean, "batch_norm", "mean")) * factor;
  if (bias) y = y + per_channel(x, bias, "batch_norm", "bias");
  return cast(y, x.dtype());
}

BatchNormTraining batch_norm_training(const Tensor& x, const Tensor& running_mean, const Tensor& running_variance,
                                      const Tensor& weight, const Tensor& bias, double momentum, double epsilon) {
  require_channels(x, "batch_norm");
  const int64_t count = elements_a_channel(x);
  if (count == 0) throw TensorError("batch_norm: " + text(x) + " has no elements to take statistics of");
  const Tensor wide = widened(x);
  const Moments of = moments(wide, all_but_channels(x));
  BatchNormTraining result;
  const auto channels = [&](const Tensor& values, double otherwise, const char* what) {
    return per_channel(x, values ? values : constant(otherwise, wide.dtype(), {x.size(1)}), "batch_norm", what);
  };
  const Tensor output =
      affine_standardised(wide, of, channels(weight, 1, "weight"), channels(bias, 0, "bias"), epsilon);
  result.output = cast(output, x.dtype());
  result.mean = reshape(of.mean, {x.size(1)});
  result.variance = reshape(of.variance, {x.size(1)});
  if (running_mean) result.running_mean = moved(running_mean, detach(result.mean), momentum);
  if (running_variance) {
    const double unbiased = static_cast<double>(count) / static_cast<double>(std::max<int64_t>(1, count - 1));
    result.running_variance = moved(running_variance, detach(result.variance) * unbiased, momentum);
  }
  return result;
}

Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight, const Tensor& bias,
                  double epsilon) {
  const Axes axes = last_axes(x, normalized_shape, "layer_norm");
  const Tensor y = standardised(widened(x), axes, epsilon);
  return cast(scaled_by_element(y, normalized_shape, weight, bias, "layer_norm"), x.dtype());
}

Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight, double epsilon) {
  const Axes axes = last_axes(x, normalized_shape, "rms_norm");
  const Tensor y = scaled_to_one(widened(x), axes, epsilon);
  return cast(scaled_by_element(y, normalized_shape, weight, {}, "rms_norm"), x.dtype());
}

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double epsilon) {
  require_channels(x, "group_norm");
  if (groups < 1 || x.size(1) % groups != 0) {
    throw TensorError("group_norm: " + std::to_string(groups) + " groups do not divide the channels of " + text(x));
  }
  const int64_t in_group = groups == 0 ? 0 : x.elements() / std::max<int64_t>(1, x.size(0) * groups);
  const Tensor grouped = reshape(widened(x), {x.size(0), groups, in_group});
  const Tensor y = reshape(standardised(grouped, {2}, epsilon), x.shape());
  return cast(scaled_by_channel(y, weight, bias, "group_norm"), x.dtype());
}

Tensor instance_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon) {
  require_channels(x, "instance_norm");
  if (x.rank() < 3) throw TensorError("instance_norm needs [n, channels, ..] with axes to normalise, not " + text(x));
  Axes axes;
  for (int64_t axis = 2; axis < x.rank(); ++axis) axes.push_back(axis);
  const Tensor wide = widened(x);
  const Tensor y = standardised(wide, axes, epsilon);
  return cast(scaled_by_channel(y, weight, bias, "instance_norm"), x.dtype());
}

Tensor local_response_norm(const Tensor& x, int64_t size, double alpha, double beta, double k) {
  require_channels(x, "local_response_norm");
  if (size < 1) throw TensorError("local_response_norm: the size is 1 or more, not " + std::to_string(size));
  const Tensor wide = widened(x);
  std::vector<Pair> amounts(static_cast<size_t>(x.rank()), Pair{0, 0});
  amounts[1] = {(size - 1) / 2, size / 2};
  const Tensor channels_last = moveaxis(pad(square(wide), amounts), {1}, {-1});
  const Tensor around = moveaxis(sum(windows(channels_last, {size}), {-1}), {-1}, {1});
  const Tensor divisor = around * (alpha / static_cast<double>(size)) + k;
  return cast(div(wide, pow(divisor, scalar_beside(divisor, beta))), x.dtype());
}

Tensor normalize(const Tensor& x, double p, int64_t axis, double epsilon) {
  if (!graph::is_float(x.dtype())) throw TensorError("normalize needs a float, not " + text(x));
  if (!(p > 0)) throw TensorError("normalize: p must be above 0");
  const Tensor wide = widened(x);
  Tensor length;
  if (std::isinf(p)) {
    length = max(abs(wide), {axis}, true);
  } else if (p == 1) {
    length = l1_norm(wide, {axis}, true);
  } else if (p == 2) {
    length = l2_norm(wide, {axis}, true);
  } else {
    const Tensor powers = sum(pow(abs(wide), scalar_beside(wide, p)), {axis}, true);
    length = pow(powers, scalar_beside(powers, 1 / p));
  }
  return cast(div(wide, maximum(length, scalar_beside(length, epsilon))), x.dtype());
}

}  // namespace quarry::tensor
