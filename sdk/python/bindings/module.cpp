// The module, its exceptions, and how dtypes, shapes and payloads cross.
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

// Of the module that is being imported; Python keeps them alive with it.
PyObject* graph_error = nullptr;
PyObject* run_error = nullptr;
PyObject* tensor_error = nullptr;

PyObject* make_exception(py::module_& module, const char* name, const char* doc, PyObject* base) {
  PyObject* type = PyErr_NewExceptionWithDoc((std::string("quarry.") + name).c_str(), doc, base, nullptr);
  if (type == nullptr) throw py::error_already_set();
  module.add_object(name, py::reinterpret_steal<py::object>(type));
  return type;
}

bool is_failure_of_running(const std::string& code) {
  return code == "device_error" || code == "out_of_memory" || code == "compile_failed" ||
         code == "memory_bound_exceeded" || code == "unknown_device" || code == "run_stopped" || code == "forked";
}

}  // namespace

void raise(const Problem& problem) {
  std::string text = problem.detail;
  if (!problem.pointer.empty()) text += " (at " + problem.pointer + ")";
  if (!problem.action.empty()) text += ". " + problem.action;
  PyObject* type = is_failure_of_running(problem.code) ? run_error : graph_error;
  // A name out of a broken document may not be UTF-8.
  const auto printable = [](const std::string& bytes) {
    PyObject* decoded = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
    if (decoded == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::str>(decoded);
  };
  const py::object error = py::reinterpret_borrow<py::object>(type)(printable(text));
  error.attr("code") = printable(problem.code);
  error.attr("pointer") = printable(problem.pointer);
  error.attr("action") = printable(problem.action);
  PyErr_SetObject(type, error.ptr());
  throw py::error_already_set();
}

void bind_errors(py::module_& module) {
  tensor_error = make_exception(module, "TensorError",
                                "A wrong shape, dtype, axis or argument. The text has both shapes.", PyExc_ValueError);
  graph_error =
      make_exception(module, "GraphError",
                     "A graph, or the inputs, carries, feeds or keeps given with it, are wrong. `code` is a stable "
                     "name, `pointer` a JSON Pointer to the place, `action` what to do.",
                     PyExc_ValueError);
  run_error = make_exception(module, "RunError",
                             "A device is unknown, failed, or has too little memory. `code` is a stable name.",
                             PyExc_RuntimeError);
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const tensor::TensorError& error) {
      PyErr_SetString(tensor_error, error.what());
    }
  });
}

graph::DType dtype_named(const std::string& name) {
  if (const auto dtype = graph::parse_dtype(name)) return *dtype;
  std::string known;
  for (int i = 0; i < graph::kDTypes; ++i) {
    known += (i == 0 ? "" : ", ") + std::string(graph::name(static_cast<graph::DType>(i)));
  }
  throw tensor::TensorError("there is no dtype \"" + name + "\"; use one of " + known);
}

py::tuple shape_tuple(std::span<const int64_t> shape) {
  py::tuple sizes(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) sizes[i] = shape[i];
  return sizes;
}

std::shared_ptr<const void> payload_of(py::object object) {
  if (object.is_none()) return nullptr;
  PyObject* owned = object.release().ptr();
  return {owned, [](const void* held) {
            if (!Py_IsInitialized()) return;  // the process ends, and frees all
            const py::gil_scoped_acquire gil;
            Py_DECREF(static_cast<PyObject*>(const_cast<void*>(held)));
          }};
}

py::object object_of(const std::shared_ptr<const void>& payload) {
  if (!payload) return py::none();
  return py::reinterpret_borrow<py::object>(static_cast<PyObject*>(const_cast<void*>(payload.get())));
}

void forbid_making(const py::object& type) {
  reinterpret_cast<PyTypeObject*>(type.ptr())->tp_new = [](PyTypeObject* refused, PyObject*, PyObject*) -> PyObject* {
    PyErr_Format(PyExc_TypeError, "%s objects are made by functions of the module", refused->tp_name);
    return nullptr;
  };
}

}  // namespace quarry::python

PYBIND11_MODULE(_quarry, module) {
  module.doc() = "Quarry's engine: lazy tensors, graphs, counting and running. Used by the package quarry.";
  quarry::python::bind_errors(module);
  quarry::python::bind_tensor(module);
  quarry::python::bind_elementwise(module);
  quarry::python::bind_shape(module);
  quarry::python::bind_index(module);
  quarry::python::bind_products(module);
  quarry::python::bind_layers(module);
  quarry::python::bind_graph(module);
  quarry::python::bind_run(module);
  quarry::python::bind_files(module);
}
