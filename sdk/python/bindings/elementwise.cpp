// engine/tensor/elementwise.h, reduce.h and optimise.h under their own names; quarry.functional gives them PyTorch's.
#include "engine/tensor/elementwise.h"

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/optimise.h"
#include "engine/tensor/reduce.h"
#include "sdk/python/bindings/arguments.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

using tensor::Axes;
using tensor::Tensor;

using Unary = Tensor (*)(const Tensor&);
constexpr std::pair<const char*, Unary> kUnary[] = {
    {"abs", tensor::abs},
    {"sign", tensor::sign},
    {"square", tensor::square},
    {"sqrt", tensor::sqrt},
    {"rsqrt", tensor::rsqrt},
    {"reciprocal", tensor::reciprocal},
    {"exp2", tensor::exp2},
    {"log2", tensor::log2},
    {"log10", tensor::log10},
    {"log1p", tensor::log1p},
    {"expm1", tensor::expm1},
    {"sin", tensor::sin},
    {"cos", tensor::cos},
    {"tan", tensor::tan},
    {"asin", tensor::asin},
    {"acos", tensor::acos},
    {"atan", tensor::atan},
    {"sinh", tensor::sinh},
    {"cosh", tensor::cosh},
    {"tanh", tensor::tanh},
    {"asinh", tensor::asinh},
    {"acosh", tensor::acosh},
    {"atanh", tensor::atanh},
    {"erf", tensor::erf},
    {"floor", tensor::floor},
    {"ceil", tensor::ceil},
    {"trunc", tensor::trunc},
    {"round", tensor::round},
    {"isnan", tensor::isnan},
    {"isinf", tensor::isinf},
    {"isfinite", tensor::isfinite},
    {"relu", tensor::relu},
    {"relu6", tensor::relu6},
    {"sigmoid", tensor::sigmoid},
    {"logsigmoid", tensor::logsigmoid},
    {"silu", tensor::silu},
    {"mish", tensor::mish},
    {"softsign", tensor::softsign},
    {"hardswish", tensor::hardswish},
};

using Reduce = Tensor (*)(const Tensor&, const Axes&, bool);
constexpr std::pair<const char*, Reduce> kReduces[] = {
    {"sum", tensor::sum},         {"mean", tensor::mean},       {"max", tensor::max}, {"min", tensor::min},
    {"prod", tensor::prod},       {"any", tensor::any},         {"all", tensor::all}, {"logsumexp", tensor::logsumexp},
    {"l1_norm", tensor::l1_norm}, {"l2_norm", tensor::l2_norm},
};

/// EXP and LOG take floats; integers count as f32 here, as in every other function of real numbers.
Tensor real(const Tensor& x) {
  return graph::is_float(x.dtype()) ? x : tensor::cast(x, graph::DType::F32);
}

void bind_pairs_and_bounds(py::module_& module) {
  module.def("atan2", &tensor::atan2);
  module.def("fmod", &tensor::fmod);
  module.def("remainder", &tensor::remainder);
  module.def("floor_divide", &tensor::floor_divide);
  module.def("lerp", &tensor::lerp);
  module.def("nan_to_num", [](const Tensor& x, std::optional<double> nan, std::optional<double> positive,
                              std::optional<double> negative) {
    if (!nan && !positive && !negative) return tensor::nan_to_num(x);
    if (!positive || !negative) throw tensor::TensorError("nan_to_num takes both infinities' values, or neither");
    return tensor::nan_to_num(x, nan.value_or(0), *positive, *negative);
  });
  module.def("clip", [](const Tensor& x, double low, double high) { return tensor::clip(x, low, high); });
  module.def("clip_tensors", [](const Tensor& x, const MaybeTensor& low, const MaybeTensor& high) {
    return tensor::clip(x, tensor_or_none(low), tensor_or_none(high));
  });
}

void bind_activations(py::module_& module) {
  module.def("leaky_relu", &tensor::leaky_relu);
  module.def("prelu", &tensor::prelu);
  module.def("thresholded_relu", &tensor::thresholded_relu);
  module.def("elu", &tensor::elu);
  module.def("celu", &tensor::celu);
  module.def("selu", [](const Tensor& x) { return tensor::selu(x); });
  module.def("selu_with", [](const Tensor& x, double alpha, double scale) { return tensor::selu(x, alpha, scale); });
  module.def("swish", &tensor::swish);
  module.def("gelu", [](const Tensor& x, const std::string& approximate) {
    return tensor::gelu(
        x, choice<tensor::GeluForm>(approximate, "gelu: approximate",
                                    {{"none", tensor::GeluForm::Exact}, {"tanh", tensor::GeluForm::Tanh}}));
  });
  module.def("softplus", &tensor::softplus);
  module.def("hardtanh", &tensor::hardtanh);
  module.def("hardsigmoid", &tensor::hardsigmoid);
}

void bind_reduces(py::module_& module) {
  for (const auto& [name, function] : kReduces)
    module.def(name, function, "x"_a, "axes"_a = Axes{}, "keepdim"_a = false);
  module.def("var", &tensor::var);
  module.def("std", &tensor::standard_deviation);
  module.def("argmax", &tensor::argmax);
  module.def("argmin", &tensor::argmin);
  module.def("softmax", &tensor::softmax);
  module.def("log_softmax", &tensor::log_softmax);
}

void bind_optimisers(py::module_& module) {
  module.def("sgd", [](const Tensor& weight, const Tensor& gradient, const MaybeTensor& buffer, const Tensor& rate,
                       double momentum, double dampening, double weight_decay, bool nesterov,
                       const MaybeTensor& updates) {
    const tensor::SgdStep step = tensor::sgd(weight, gradient, tensor_or_none(buffer), rate,
                                             {momentum, dampening, weight_decay, nesterov}, tensor_or_none(updates));
    return std::pair(step.weight, step.momentum_buffer ? MaybeTensor(step.momentum_buffer) : std::nullopt);
  });
  const auto def_adam = [&module](const char* name, auto function) {
    module.def(name, [function](const Tensor& weight, const Tensor& gradient, const Tensor& first, const Tensor& second,
                                const Tensor& updates, const Tensor& rate, double beta1, double beta2, double epsilon,
                                double weight_decay) {
      const tensor::AdamStep step =
          function(weight, gradient, first, second, updates, rate, {beta1, beta2, epsilon, weight_decay});
      return std::tuple(step.weight, step.first_moment, step.second_moment);
    });
  };
  def_adam("adam", &tensor::adam);
  def_adam("adamw", &tensor::adamw);
  module.def("clip_by_norm",
             [](const std::vector<Tensor>& gradients, double most) { return tensor::clip_by_norm(gradients, most); });
  module.def("all_finite", [](const std::vector<Tensor>& tensors) { return tensor::all_finite(tensors); });
  module.def("next_loss_scale", [](const Tensor& scale, const Tensor& good_steps, const Tensor& is_finite,
                                   double growth, double backoff, int64_t interval) {
    const tensor::LossScale next = tensor::next_loss_scale({scale, good_steps}, is_finite, {growth, backoff, interval});
    return std::pair(next.scale, next.good_steps);
  });
}

}  // namespace

void bind_elementwise(py::module_& module) {
  for (const auto& [name, function] : kUnary) module.def(name, function);
  module.def("exp", [](const Tensor& x) { return tensor::exp(real(x)); });
  module.def("log", [](const Tensor& x) { return tensor::log(real(x)); });
  bind_pairs_and_bounds(module);
  bind_activations(module);
  bind_reduces(module);
  bind_optimisers(module);
}

}  // namespace quarry::python
