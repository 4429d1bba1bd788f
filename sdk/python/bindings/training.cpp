// engine/tensor/losses.h and optimise.h under their own names.
#include "engine/tensor/losses.h"
#include "engine/tensor/optimise.h"
#include "sdk/python/bindings/arguments.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

using tensor::Reduction;
using tensor::Tensor;

Reduction reduction_of(const std::string& name) {
  return choice<Reduction>(name, "reduction",
                           {{"none", Reduction::None}, {"mean", Reduction::Mean}, {"sum", Reduction::Sum}});
}

void bind_losses(py::module_& module) {
  const auto def_class_loss = [&module](const char* name, auto function) {
    module.def(name, [function](const Tensor& x, const Tensor& targets, const MaybeTensor& weight,
                                std::optional<int64_t> ignore_index, double smoothing, const std::string& reduction) {
      return function(x, targets, {tensor_or_none(weight), ignore_index, smoothing, reduction_of(reduction)});
    });
  };
  def_class_loss("cross_entropy", &tensor::cross_entropy);
  def_class_loss("nll_loss", &tensor::nll_loss);
  module.def("mse_loss", [](const Tensor& x, const Tensor& target, const std::string& reduction) {
    return tensor::mse_loss(x, target, reduction_of(reduction));
  });
  module.def("l1_loss", [](const Tensor& x, const Tensor& target, const std::string& reduction) {
    return tensor::l1_loss(x, target, reduction_of(reduction));
  });
  module.def("huber_loss", [](const Tensor& x, const Tensor& target, double delta, const std::string& reduction) {
    return tensor::huber_loss(x, target, delta, reduction_of(reduction));
  });
  module.def("smooth_l1_loss", [](const Tensor& x, const Tensor& target, double beta, const std::string& reduction) {
    return tensor::smooth_l1_loss(x, target, beta, reduction_of(reduction));
  });
  module.def("binary_cross_entropy",
             [](const Tensor& x, const Tensor& target, const MaybeTensor& weight, const std::string& reduction) {
               return tensor::binary_cross_entropy(x, target, tensor_or_none(weight), reduction_of(reduction));
             });
  module.def("binary_cross_entropy_with_logits", [](const Tensor& x, const Tensor& target, const MaybeTensor& weight,
                                                    const MaybeTensor& positive_weight, const std::string& reduction) {
    return tensor::binary_cross_entropy_with_logits(x, target, tensor_or_none(weight), tensor_or_none(positive_weight),
                                                    reduction_of(reduction));
  });
  module.def("kl_div", [](const Tensor& x, const Tensor& target, bool log_target, const std::string& reduction) {
    return tensor::kl_div(x, target, log_target, reduction_of(reduction));
  });
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

void bind_training(py::module_& module) {
  bind_losses(module);
  bind_optimisers(module);
}

}  // namespace quarry::python
