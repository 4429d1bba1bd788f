// engine/tensor/index.h under their own names.
#include "engine/tensor/index.h"

#include "sdk/python/bindings/arguments.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

using tensor::Negative;
using tensor::Scatter;
using tensor::Tensor;

Negative negative(const std::string& name) {
  return choice<Negative>(name, "negative indices", {{"outside", Negative::Outside}, {"wrap", Negative::Wrap}});
}

Scatter scatter_how(const std::string& name) {
  return choice<Scatter>(name, "scatter: reduce",
                         {{"set", Scatter::Set},
                          {"add", Scatter::Add},
                          {"multiply", Scatter::Multiply},
                          {"max", Scatter::Max},
                          {"min", Scatter::Min}});
}

void bind_indexing(py::module_& module) {
  module.def("take", [](const Tensor& x, const Tensor& index, int64_t axis, const std::string& below) {
    return tensor::take(x, index, axis, negative(below));
  });
  module.def("embedding", &tensor::embedding);
  module.def("gather_along_axis", [](const Tensor& x, int64_t axis, const Tensor& index, const std::string& below) {
    return tensor::gather_along_axis(x, axis, index, negative(below));
  });
  module.def("gather_nd", [](const Tensor& x, const Tensor& index, int64_t batch_axes, const std::string& below) {
    return tensor::gather_nd(x, index, batch_axes, negative(below));
  });
  module.def("one_hot", &tensor::one_hot);
  module.def("scatter", [](const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source,
                           const std::string& how, const std::string& below) {
    return tensor::scatter(x, axis, index, source, scatter_how(how), negative(below));
  });
  module.def("scatter_nd", [](const Tensor& x, const Tensor& index, const Tensor& updates, const std::string& how,
                              const std::string& below) {
    return tensor::scatter_nd(x, index, updates, scatter_how(how), negative(below));
  });
  module.def("row_update", &tensor::row_update);
  module.def("slice_put", [](const Tensor& x, const std::vector<SliceParts>& parts, const Tensor& value) {
    return tensor::slice_put(x, slices_of(parts), value);
  });
  module.def("masked_fill", &tensor::masked_fill);
}

void bind_ordering(py::module_& module) {
  module.def("cumsum", &tensor::cumsum);
  module.def("cumprod", &tensor::cumprod);
  module.def("sort", [](const Tensor& x, int64_t axis, bool descending) {
    const tensor::Sorted sorted = tensor::sort(x, axis, descending);
    return std::pair(sorted.values, sorted.indices);
  });
  module.def("argsort", &tensor::argsort);
  module.def("topk", [](const Tensor& x, int64_t k, int64_t axis, bool largest) {
    const tensor::Sorted best = tensor::topk(x, k, axis, largest);
    return std::pair(best.values, best.indices);
  });
}

}  // namespace

void bind_index(py::module_& module) {
  bind_indexing(module);
  bind_ordering(module);
}

}  // namespace quarry::python
