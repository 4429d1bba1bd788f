// The functions of engine/tensor under their own names; quarry.functional gives them PyTorch's names and order.
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {

using tensor::Axes;
using tensor::Tensor;

void bind_functions(py::module_& module) {
  module.def("exp", &tensor::exp);
  module.def("log", &tensor::log);
  module.def("reduce_sum",
             [](const Tensor& x, const Axes& axes) { return tensor::reduce(tensor::Op::ReduceSum, x, axes); });
}

}  // namespace quarry::python
