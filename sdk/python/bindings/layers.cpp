// engine/tensor/pooling.h, normalisation.h, losses.h and attention.h under their own names.
#include "engine/tensor/attention.h"
#include "engine/tensor/losses.h"
#include "engine/tensor/normalisation.h"
#include "engine/tensor/pooling.h"
#include "sdk/python/bindings/arguments.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

using tensor::Pair;
using tensor::Reduction;
using tensor::Shape;
using tensor::Tensor;

void bind_pooling(py::module_& module) {
  module.def("max_pool", [](const Tensor& x, const Shape& kernel, const Shape& stride, const std::vector<Pair>& padding,
                            const Shape& dilation, bool ceil_mode) {
    return tensor::max_pool(x, kernel, {stride, padding, dilation, ceil_mode});
  });
  module.def("max_pool_with_indices", [](const Tensor& x, const Shape& kernel, const Shape& stride,
                                         const std::vector<Pair>& padding, const Shape& dilation, bool ceil_mode) {
    const auto pooled = tensor::max_pool_with_indices(x, kernel, {stride, padding, dilation, ceil_mode});
    return std::pair(pooled.values, pooled.indices);
  });
  module.def("max_unpool", &tensor::max_unpool);
  module.def("avg_pool", [](const Tensor& x, const Shape& kernel, const Shape& stride, const std::vector<Pair>& padding,
                            const Shape& dilation, bool ceil_mode, bool count_include_pad) {
    return tensor::avg_pool(x, kernel, {stride, padding, dilation, ceil_mode}, count_include_pad);
  });
  module.def("lp_pool", [](const Tensor& x, double p, const Shape& kernel, const Shape& stride,
                           const std::vector<Pair>& padding, const Shape& dilation, bool ceil_mode) {
    return tensor::lp_pool(x, p, kernel, {stride, padding, dilation, ceil_mode});
  });
  module.def("global_avg_pool", &tensor::global_avg_pool);
  module.def("global_max_pool", &tensor::global_max_pool);
  module.def("global_lp_pool", &tensor::global_lp_pool);
  module.def("adaptive_avg_pool", &tensor::adaptive_avg_pool);
  module.def("adaptive_max_pool", &tensor::adaptive_max_pool);
}

void bind_norms(py::module_& module) {
  module.def("batch_norm", [](const Tensor& x, const Tensor& mean, const Tensor& variance, const MaybeTensor& weight,
                              const MaybeTensor& bias, double epsilon) {
    return tensor::batch_norm(x, mean, variance, tensor_or_none(weight), tensor_or_none(bias), epsilon);
  });
  module.def("batch_norm_training", [](const Tensor& x, const MaybeTensor& mean, const MaybeTensor& variance,
                                       const MaybeTensor& weight, const MaybeTensor& bias, double momentum,
                                       double epsilon) {
    const auto trained = tensor::batch_norm_training(x, tensor_or_none(mean), tensor_or_none(variance),
                                                     tensor_or_none(weight), tensor_or_none(bias), momentum, epsilon);
    const auto maybe = [](const Tensor& given) { return given ? MaybeTensor(given) : std::nullopt; };
    return std::tuple(trained.output, trained.mean, trained.variance, maybe(trained.running_mean),
                      maybe(trained.running_variance));
  });
  module.def("layer_norm", [](const Tensor& x, const Shape& shape, const MaybeTensor& weight, const MaybeTensor& bias,
                              double epsilon) {
    return tensor::layer_norm(x, shape, tensor_or_none(weight), tensor_or_none(bias), epsilon);
  });
  module.def("rms_norm", [](const Tensor& x, const Shape& shape, const MaybeTensor& weight, double epsilon) {
    return tensor::rms_norm(x, shape, tensor_or_none(weight), epsilon);
  });
  module.def("group_norm",
             [](const Tensor& x, int64_t groups, const MaybeTensor& weight, const MaybeTensor& bias, double epsilon) {
               return tensor::group_norm(x, groups, tensor_or_none(weight), tensor_or_none(bias), epsilon);
             });
  module.def("instance_norm", [](const Tensor& x, const MaybeTensor& weight, const MaybeTensor& bias, double epsilon) {
    return tensor::instance_norm(x, tensor_or_none(weight), tensor_or_none(bias), epsilon);
  });
  module.def("local_response_norm", &tensor::local_response_norm);
  module.def("normalize", &tensor::normalize);
}

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

tensor::RotaryLayout rotary_layout(const std::string& name) {
  using tensor::RotaryLayout;
  return choice<RotaryLayout>(name, "layout",
                              {{"half_split", RotaryLayout::HalfSplit}, {"interleaved", RotaryLayout::Interleaved}});
}

void bind_attention(py::module_& module) {
  module.def("scaled_dot_product_attention",
             [](const Tensor& query, const Tensor& key, const Tensor& value, const MaybeTensor& mask, bool is_causal,
                std::optional<double> scale, double dropout, uint32_t dropout_stream) {
               return tensor::scaled_dot_product_attention(
                   query, key, value, {tensor_or_none(mask), is_causal, scale, dropout, dropout_stream});
             });
  module.def("rotary_tables", [](const Tensor& positions, int64_t width, double base) {
    const tensor::RotaryTables tables = tensor::rotary_tables(positions, width, base);
    return std::pair(tables.cosines, tables.sines);
  });
  module.def("rotary_embedding",
             [](const Tensor& x, const Tensor& cosines, const Tensor& sines, const std::string& layout) {
               return tensor::rotary_embedding(x, {cosines, sines}, rotary_layout(layout));
             });
  module.def("sinusoidal_positions", &tensor::sinusoidal_positions);
  module.def("dropout", &tensor::dropout);
}

}  // namespace

void bind_layers(py::module_& module) {
  bind_pooling(module);
  bind_norms(module);
  bind_losses(module);
  bind_attention(module);
}

}  // namespace quarry::python
