// What the files of the `_quarry` module share: how dtypes and problems cross into Python, and the parts of the module.
//
// The module holds no state of its own: devices, caches and realised values are objects that Python owns. Every value
// from Python is checked here or by the function that gets it; what is wrong becomes a Python exception.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "common/result.h"
#include "engine/graph/graph.h"
#include "engine/tensor/tensor.h"

namespace quarry::python {

namespace py = pybind11;
using namespace pybind11::literals;

/// Throws the Python exception of a Problem: GraphError when what was given is wrong, RunError when running it failed.
/// Both have the attributes code, pointer and action.
[[noreturn]] void raise(const Problem& problem);
inline void raise_if_failed(const Status& status) {
  if (!status.ok()) raise(status.problem());
}
template <class T>
T value_or_raise(Result<T> result) {
  if (!result.ok()) raise(result.problem());
  return std::move(result).value();
}

/// A graph in normal form, as Python holds it.
struct Graph {
  std::shared_ptr<const graph::NormalGraph> normal;
};

/// The dtype of a wire name. Throws TensorError, which lists the names.
graph::DType dtype_named(const std::string& name);
/// The name and shape of a value, as Python tuples.
py::tuple shape_tuple(std::span<const int64_t> shape);

/// A Python object as the payload of an INPUT: released under the GIL, whichever thread drops the node.
std::shared_ptr<const void> payload_of(py::object object);
/// None where there is none.
py::object object_of(const std::shared_ptr<const void>& payload);

/// Makes a bound class one whose objects only functions of the module make. Without this, Python's object protocol
/// makes empty ones (T.__new__(T)), which pybind11 takes for whole.
void forbid_making(const py::object& type);

void bind_errors(py::module_& module);
void bind_tensor(py::module_& module);
void bind_elementwise(py::module_& module);
void bind_shape(py::module_& module);
void bind_index(py::module_& module);
void bind_products(py::module_& module);
void bind_layers(py::module_& module);
void bind_graph(py::module_& module);
void bind_run(py::module_& module);
void bind_files(py::module_& module);

}  // namespace quarry::python

namespace pybind11::detail {

/// dtypes are their wire names in Python.
template <>
struct type_caster<quarry::graph::DType> {
  PYBIND11_TYPE_CASTER(quarry::graph::DType, const_name("str"));
  bool load(handle source, bool) {
    make_caster<std::string> text;
    if (!PyUnicode_Check(source.ptr()) || !text.load(source, false)) return false;
    value = quarry::python::dtype_named(cast_op<std::string&>(text));
    return true;
  }
  static handle cast(quarry::graph::DType dtype, return_value_policy, handle) {
    return str(std::string(quarry::graph::name(dtype))).release();
  }
};

/// [(before, after), ...]
template <>
struct type_caster<quarry::graph::Pair> {
  PYBIND11_TYPE_CASTER(quarry::graph::Pair, const_name("tuple[int, int]"));
  bool load(handle source, bool convert) {
    make_caster<std::pair<int64_t, int64_t>> pair;
    if (!pair.load(source, convert)) return false;
    const auto [before, after] = cast_op<std::pair<int64_t, int64_t>>(pair);
    value = {before, after};
    return true;
  }
  static handle cast(quarry::graph::Pair pair, return_value_policy, handle) {
    return make_tuple(pair.before, pair.after).release();
  }
};

}  // namespace pybind11::detail
