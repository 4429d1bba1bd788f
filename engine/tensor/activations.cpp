#include <numbers>

#include "engine/tensor/elementwise.h"
#include "engine/tensor/formula.h"

namespace quarry::tensor {
namespace {

constexpr double kSeluAlpha = 1.6732632423543772848170429916717, kSeluScale = 1.0507009873554804934193349852946;

void require_positive(double value, const char* where) {
  if (value > 0) return;
  throw TensorError(std::string(where) + " must be greater than 0, not " + std::to_string(value));
}

/// At x = 0 no gradient passes.
Tensor positive_part(const Tensor& x) {
  return maximum(x, like(x, 0));
}

/// Between two bounds, at which no gradient passes.
Tensor limited(const Tensor& x, double low, double high) {
  return -maximum(-maximum(x, like(x, low)), like(x, -high));
}

/// log(1 + e^-|x|).
Tensor softening(const Tensor& x) {
  return log1p(exp(-magnitude(x)));
}

Tensor soft_plus(const Tensor& x) {
  return with_derivative(
      x, positive_part(x) + softening(x),
      [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient * sigmoid(at); });
}

}  // namespace

Tensor relu(const Tensor& x) {
  if (x.dtype() == DType::Bool) throw TensorError("relu of bool: cast to a number first");
  return positive_part(x);
}

Tensor relu6(const Tensor& x) {
  return hardtanh(x, 0, 6);
}

Tensor leaky_relu(const Tensor& x, double slope) {
  if (slope == 0) return real_function(x, positive_part);  // 0 * inf is none
  return real_function(x, [slope](const Tensor& wide) {
    const Tensor sloped = wide * slope;
    if (slope > 0 && slope <= 1) return maximum(wide, sloped);
    return where(less(like(wide, 0), wide), wide, sloped);
  });
}

Tensor prelu(const Tensor& x, const Tensor& slope) {
  return real_function(x, [&](const Tensor& wide) {
    const Tensor sloped = negative_part(wide) * cast(slope, wide.dtype());
    if (sloped.shape() != x.shape()) {
      throw TensorError("prelu: slope " + text(slope) + " does not broadcast to x " + text(x));
    }
    return positive_part(wide) + sloped;
  });
}

Tensor thresholded_relu(const Tensor& x, double threshold) {
  return real_function(
      x, [=](const Tensor& wide) { return where(less(like(wide, threshold), wide), wide, like(wide, 0)); });
}

Tensor elu(const Tensor& x, double alpha) {
  return real_function(x, [=](const Tensor& wide) { return positive_part(wide) + expm1(negative_part(wide)) * alpha; });
}

Tensor celu(const Tensor& x, double alpha) {
  require_positive(alpha, "celu: alpha");
  return real_function(
      x, [=](const Tensor& wide) { return positive_part(wide) + expm1(negative_part(wide) / alpha) * alpha; });
}

Tensor selu(const Tensor& x) {
  return selu(x, kSeluAlpha, kSeluScale);
}

Tensor selu(const Tensor& x, double alpha, double scale) {
  return real_function(x, [=](const Tensor& wide) {
    return positive_part(wide) * scale + expm1(negative_part(wide)) * (alpha * scale);
  });
}

Tensor sigmoid(const Tensor& x) {
  return real_function(
      x, [](const Tensor& wide) { return 1.0 / (exp(-wide) + 1.0); },
      [](const Tensor&, const Tensor& value, const Tensor& gradient) { return gradient * (value * (1.0 - value)); });
}

Tensor logsigmoid(const Tensor& x) {
  return real_function(x, [](const Tensor& wide) { return -soft_plus(-wide); });
}

Tensor silu(const Tensor& x) {
  return swish(x, 1);
}

Tensor swish(const Tensor& x, double beta) {
  return real_function(x, [=](const Tensor& wide) { return wide * sigmoid(wide * beta); });
}

Tensor gelu(const Tensor& x, GeluForm form) {
  return real_function(x, [form](const Tensor& wide) {
    if (form == GeluForm::Exact) return wide * 0.5 * (erf(wide * (1 / std::numbers::sqrt2)) + 1.0);
    const Tensor bent = wide + wide * wide * wide * 0.044715;
    return wide * 0.5 * (tanh(bent * (std::numbers::sqrt2 * std::numbers::inv_sqrtpi)) + 1.0);
  });
}

Tensor mish(const Tensor& x) {
  return real_function(x, [](const Tensor& wide) { return wide * tanh(soft_plus(wide)); });
}

Tensor softplus(const Tensor& x, double beta) {
  require_positive(beta, "softplus: beta");
  return real_function(x, [=](const Tensor& wide) { return soft_plus(wide * beta) / beta; });
}

Tensor softsign(const Tensor& x) {
  return real_function(x, [](const Tensor& wide) { return wide / (abs(wide) + 1.0); });
}

Tensor hardtanh(const Tensor& x, double low, double high) {
  return real_function(x, [=](const Tensor& wide) { return limited(wide, low, high); });
}

Tensor hardsigmoid(const Tensor& x, double slope, double offset) {
  return real_function(x, [=](const Tensor& wide) { return limited(wide * slope + offset, 0, 1); });
}

Tensor hardswish(const Tensor& x) {
  return real_function(x, [](const Tensor& wide) { return wide * hardsigmoid(wide); });
}

}  // namespace quarry::tensor
