// engine/tensor/contraction.h and convolution.h under their own names.
#include "engine/tensor/contraction.h"

#include "engine/tensor/convolution.h"
#include "sdk/python/bindings/arguments.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

using tensor::Pair;
using tensor::Shape;
using tensor::Tensor;

void bind_contractions(py::module_& module) {
  module.def("contract", &tensor::contract);
  module.def("matmul", &tensor::matmul);
  module.def("tensordot", &tensor::tensordot);
  module.def("einsum", [](const std::string& equation, const std::vector<Tensor>& operands) {
    return tensor::einsum(equation, operands);
  });
  module.def("linear", [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias) {
    return tensor::linear(x, weight, tensor_or_none(bias));
  });
}

void bind_convolutions(py::module_& module) {
  module.def("conv", [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias, const Shape& stride,
                        const std::vector<Pair>& padding, const Shape& dilation, int64_t groups) {
    return tensor::conv(x, weight, tensor_or_none(bias), {stride, padding, dilation, groups});
  });
  module.def("conv_transpose", [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias, const Shape& stride,
                                  const std::vector<Pair>& padding, const Shape& dilation, int64_t groups,
                                  const Shape& output_padding) {
    return tensor::conv_transpose(x, weight, tensor_or_none(bias), {stride, padding, dilation, groups}, output_padding);
  });
  module.def("same_padding", &tensor::same_padding);
}

}  // namespace

void bind_products(py::module_& module) {
  bind_contractions(module);
  bind_convolutions(module);
}

}  // namespace quarry::python
