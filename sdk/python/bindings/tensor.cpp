// Tensor, its sources, the strict ops and arithmetic; what is realised, detached and replaced.
#include "engine/tensor/tensor.h"

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/build.h"
#include "engine/tensor/gradient.h"
#include "sdk/python/bindings/bindings.h"
#include "sdk/python/bindings/rewrite.h"

namespace quarry::python {
namespace {

using tensor::Axes;
using tensor::DType;
using tensor::Op;
using tensor::Pair;
using tensor::Shape;
using tensor::Tensor;

Tensor scalar_beside(const Tensor& like, const py::object& value) {
  if (PyBool_Check(value.ptr())) return tensor::integer_constant(value.ptr() == Py_True, DType::Bool);
  if (PyFloat_Check(value.ptr())) return tensor::scalar_beside(like, PyFloat_AS_DOUBLE(value.ptr()));
  if (!PyLong_Check(value.ptr())) throw py::type_error("a scalar is a bool, an int or a float");
  int overflow = 0;
  const int64_t integer = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
  if (overflow != 0) throw tensor::TensorError(py::str(value).cast<std::string>() + " has more than 64 bits");
  return tensor::scalar_beside(like, integer);
}

void bind_sources(py::module_& module) {
  module.def(
      "input",
      [](std::string name, DType dtype, Shape shape, py::object payload) {
        if (name.starts_with(kReservedNameStart))
          throw tensor::TensorError("an input's name begins with a control character");
        return tensor::input(std::move(name), dtype, std::move(shape), payload_of(std::move(payload)));
      },
      "name"_a, "dtype"_a, "shape"_a, "payload"_a = py::none());
  module.def("constant", &tensor::constant, "value"_a, "dtype"_a, "shape"_a = Shape{});
  module.def("constant_bits", &tensor::constant_bits, "bits"_a, "dtype"_a, "shape"_a = Shape{});
  module.def("integer_constant", &tensor::integer_constant, "value"_a, "dtype"_a, "shape"_a = Shape{});
  module.def("iota", &tensor::iota, "dtype"_a, "shape"_a, "axis"_a);
  module.def("rand", &tensor::rand, "shape"_a, "stream"_a, "dtype"_a = DType::F32);
  module.def("step", &tensor::step);
  module.def("scalar_beside", &scalar_beside, "like"_a, "value"_a);
}

void bind_strict_ops(py::module_& module) {
  module.def("cast", &tensor::cast, "x"_a, "dtype"_a);
  module.def("reshape", &tensor::reshape, "x"_a, "shape"_a);
  module.def("permute", &tensor::permute, "x"_a, "axes"_a);
  module.def("expand", &tensor::expand, "x"_a, "shape"_a);
  module.def(
      "pad", [](const Tensor& x, const std::vector<Pair>& amounts) { return tensor::pad(x, amounts); }, "x"_a,
      "amounts"_a);
  module.def(
      "shrink", [](const Tensor& x, const std::vector<Pair>& ranges) { return tensor::shrink(x, ranges); }, "x"_a,
      "ranges"_a);
  module.def(
      "stride", [](const Tensor& x, const std::vector<int64_t>& steps) { return tensor::stride(x, steps); }, "x"_a,
      "steps"_a);
}

void bind_arithmetic(py::module_& module) {
  module.def("add", &tensor::add);
  module.def("sub", &tensor::sub);
  module.def("mul", &tensor::mul);
  module.def("div", &tensor::div);
  module.def("pow", &tensor::pow);
  module.def("maximum", &tensor::maximum);
  module.def("minimum", &tensor::minimum);
  module.def("equal", &tensor::equal);
  module.def("not_equal", &tensor::not_equal);
  module.def("less", &tensor::less);
  module.def("less_equal", &tensor::less_equal);
  module.def("greater", &tensor::greater);
  module.def("greater_equal", &tensor::greater_equal);
  module.def("logical_not", &tensor::logical_not);
  module.def("logical_and", &tensor::logical_and);
  module.def("logical_or", &tensor::logical_or);
  module.def("logical_xor", &tensor::logical_xor);
  module.def("neg", [](const Tensor& x) { return -x; });
  module.def("where", &tensor::where, "condition"_a, "x"_a, "y"_a);
  module.def("broadcast_to", &tensor::broadcast_to, "x"_a, "shape"_a);
  module.def("promoted", &tensor::promoted);
}

void bind_rewriting(py::module_& module) {
  module.def(
      "gradient",
      [](const Tensor& loss, const std::vector<Tensor>& wrt, const std::optional<Tensor>& seed) {
        return tensor::gradient(loss, wrt, seed.value_or(Tensor()));
      },
      "loss"_a, "wrt"_a, "seed"_a = py::none());
  py::class_<Realised> realised(module, "Realised");
  forbid_making(realised);
  module.def("no_values", [] { return std::make_unique<Realised>(); });
  realised.def("remember", &Realised::remember, "expression"_a, "leaf"_a)
      .def("find", [](const Realised& self, const Tensor& x) -> std::optional<Tensor> {
        Tensor leaf = self.find(x.pointer());
        return leaf ? std::optional(std::move(leaf)) : std::nullopt;
      });
  module.def("detached", &detached);
  module.def(
      "reached",
      [](const std::vector<Tensor>& outputs, const std::vector<Tensor>& candidates) {
        return reached(outputs, candidates);
      },
      "outputs"_a, "candidates"_a);
}

}  // namespace

void bind_tensor(py::module_& module) {
  py::class_<Tensor> type(module, "Tensor");
  forbid_making(type);
  type.def_property_readonly("dtype", &Tensor::dtype)
      .def_property_readonly("shape", [](const Tensor& x) { return shape_tuple(x.shape()); })
      .def_property_readonly("op", [](const Tensor& x) { return std::string(graph::name(x.node().op)); })
      .def_property_readonly(
          "payload", [](const Tensor& x) { return is_detached(x.node()) ? py::none() : object_of(x.node().payload); })
      .def("same", [](const Tensor& x, const Tensor& y) { return x.pointer() == y.pointer(); });
  bind_sources(module);
  bind_strict_ops(module);
  bind_arithmetic(module);
  bind_rewriting(module);
}

}  // namespace quarry::python
