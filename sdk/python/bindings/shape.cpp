// engine/tensor/shape.h and random.h under their own names.
#include "engine/tensor/shape.h"

#include "engine/tensor/random.h"
#include "sdk/python/bindings/arguments.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

using tensor::Axes;
using tensor::BlockOrder;
using tensor::PadMode;
using tensor::Pair;
using tensor::Shape;
using tensor::Tensor;
using Tensors = std::vector<Tensor>;

BlockOrder block_order(const std::string& name) {
  return choice<BlockOrder>(name, "mode", {{"DCR", BlockOrder::BlockFirst}, {"CRD", BlockOrder::BlockLast}});
}

void bind_axes(py::module_& module) {
  module.def("squeeze", &tensor::squeeze);
  module.def("unsqueeze", &tensor::unsqueeze);
  module.def("flatten", &tensor::flatten);
  module.def("unflatten", &tensor::unflatten);
  module.def("transpose", &tensor::transpose);
  module.def("moveaxis", &tensor::moveaxis);
  module.def("slice",
             [](const Tensor& x, const std::vector<SliceParts>& parts) { return tensor::slice(x, slices_of(parts)); });
  module.def("narrow", &tensor::narrow);
  module.def("select", &tensor::select);
}

void bind_joining(py::module_& module) {
  module.def("cat", [](const Tensors& tensors, int64_t axis) { return tensor::cat(tensors, axis); });
  module.def("stack", [](const Tensors& tensors, int64_t axis) { return tensor::stack(tensors, axis); });
  module.def("split", [](const Tensor& x, int64_t size, int64_t axis) { return tensor::split(x, size, axis); });
  module.def("split_sizes",
             [](const Tensor& x, const Shape& sizes, int64_t axis) { return tensor::split(x, sizes, axis); });
  module.def("chunk", &tensor::chunk);
  module.def("flip", &tensor::flip);
  module.def("roll", &tensor::roll);
  module.def("tile", &tensor::tile);
  module.def("repeat_interleave", &tensor::repeat_interleave);
  module.def("pad_with", [](const Tensor& x, const std::vector<Pair>& amounts, const std::string& mode, double value) {
    return tensor::pad(x, amounts,
                       choice<PadMode>(mode, "pad: mode",
                                       {{"constant", PadMode::Constant},
                                        {"reflect", PadMode::Reflect},
                                        {"symmetric", PadMode::Symmetric},
                                        {"edge", PadMode::Edge},
                                        {"replicate", PadMode::Edge},
                                        {"circular", PadMode::Circular},
                                        {"wrap", PadMode::Circular}}),
                       value);
  });
}

void bind_made_of_sizes(py::module_& module) {
  module.def("lower_triangle", &tensor::lower_triangle);
  module.def("tril", &tensor::tril);
  module.def("triu", &tensor::triu);
  module.def("eye", &tensor::eye, "rows"_a, "columns"_a, "dtype"_a, "diagonal"_a = 0);
  module.def("diag", &tensor::diag);
  module.def("diagonal", &tensor::diagonal);
  module.def("arange", &tensor::arange);
  module.def("linspace", &tensor::linspace);
  module.def("meshgrid", [](const Tensors& tensors, bool xy) { return tensor::meshgrid(tensors, xy); });
  module.def("windows", &tensor::windows);
  module.def("overlap_add", &tensor::overlap_add);
  module.def("unfold", &tensor::unfold);
  module.def("fold", &tensor::fold);
  module.def("depth_to_space", [](const Tensor& x, int64_t block, const std::string& mode) {
    return tensor::depth_to_space(x, block, block_order(mode));
  });
  module.def("space_to_depth", [](const Tensor& x, int64_t block, const std::string& mode) {
    return tensor::space_to_depth(x, block, block_order(mode));
  });
}

}  // namespace

void bind_shape(py::module_& module) {
  bind_axes(module);
  bind_joining(module);
  bind_made_of_sizes(module);
  module.def("uniform", &tensor::uniform);
  module.def("normal", &tensor::normal);
  module.def("randint", &tensor::randint);
  module.def("bernoulli", &tensor::bernoulli);
}

}  // namespace quarry::python
