// Graphs: from tensors, from their wire forms, and what they cost.
#include "engine/graph/graph.h"

#include "common/uint128.h"
#include "engine/meter/meter.h"
#include "engine/tensor/build.h"
#include "sdk/python/bindings/bindings.h"
#include "sdk/python/bindings/rewrite.h"

namespace quarry::python {
namespace {

using tensor::Tensor;

Graph normal(const graph::Graph& graph) {
  return {std::make_shared<const graph::NormalGraph>(graph::normalise(graph))};
}

/// Any text or bytes-like object's bytes.
Graph parse(const py::buffer& text, bool json) {
  const py::buffer_info info = text.request();
  if (info.ndim != 1 || info.itemsize != 1 || (info.size > 0 && info.strides[0] != 1)) {
    throw tensor::TensorError("a graph is read from contiguous bytes");
  }
  const auto* first = static_cast<const std::byte*>(info.ptr);
  const std::span<const std::byte> bytes(first, static_cast<size_t>(info.size));
  const py::gil_scoped_release released;
  auto parsed =
      json ? graph::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) : graph::parse_cbor(bytes);
  if (parsed.ok()) return normal(parsed.value());
  const py::gil_scoped_acquire gil;
  raise(parsed.problem());
}

/// Exact: FLOP counts pass 2^64.
py::int_ integer(UInt128 value) {
  PyObject* parsed = PyLong_FromString(to_decimal(value).c_str(), nullptr, 10);
  if (parsed == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::int_>(parsed);
}

py::dict count(const Graph& graph, const std::vector<std::pair<std::string, std::string>>& carry,
               const std::vector<std::string>& feed, const std::vector<std::string>& keep_each, int64_t steps,
               std::optional<int64_t> checkpoint_every) {
  const meter::StepCount step = value_or_raise(meter::count(*graph.normal, {carry, feed, keep_each}));
  const int64_t each = meter::steps_per_segment(step, steps, checkpoint_every);
  const int64_t segments = each == 0 ? 1 : (steps + each - 1) / each;
  const Flops metered = value_or_raise(meter::metered_job(step, steps, segments));
  py::dict counted;
  counted["tariff"] = static_cast<int>(step.tariff);
  counted["segments"] = segments;
  counted["flops"] = integer(step.flops.count);
  counted["weighted"] = integer(step.weighted_total().count);
  counted["weighted_by_width"] =
      py::make_tuple(integer(step.weighted[0].count), integer(step.weighted[1].count), integer(step.weighted[2].count));
  counted["bytes"] = integer(step.bytes);
  counted["stored_values"] = step.stored_values;
  counted["memory_bound_bytes"] = step.memory_bound_bytes;
  counted["metered"] = integer(step.metered().count);
  counted["job_metered"] = integer(metered.count);
  return counted;
}

py::dict described(const Graph& self, bool inputs) {
  const graph::Graph& graph = self.normal->graph;
  py::dict values;
  const auto add = [&](std::string_view name, graph::NodeId node) {
    values[py::str(std::string(name))] =
        py::make_tuple(std::string(graph::name(graph[node].dtype)), shape_tuple(graph.shape(node)));
  };
  if (inputs) {
    for (const graph::NodeId node : graph.inputs()) add(graph.input_name(node), node);
  } else {
    for (const graph::Output& output : graph.outputs()) add(output.name, output.node);
  }
  return values;
}

/// The graph with replace() applied to it, and the payload of each of its inputs by name.
py::tuple build(std::vector<std::pair<std::string, Tensor>> outputs,
                const std::vector<std::pair<Tensor, Tensor>>& replacements, const Realised& realised) {
  std::vector<Tensor> values;
  for (const auto& [name, value] : outputs) values.push_back(value);
  values = replace(values, by_node(replacements), realised);
  for (size_t i = 0; i < values.size(); ++i) outputs[i].second = values[i];
  const tensor::Built built = tensor::build(outputs);
  py::dict payloads;
  for (const tensor::BuiltInput& input : built.inputs) {
    payloads[py::str(input.name)] = object_of(input.tensor.node().payload);
  }
  return py::make_tuple(normal(built.graph), payloads);
}

}  // namespace

void bind_graph(py::module_& module) {
  py::class_<Graph> type(module, "Graph");
  forbid_making(type);
  type.def_static("from_json", [](const py::buffer& text) { return parse(text, true); })
      .def_static("from_cbor", [](const py::buffer& bytes) { return parse(bytes, false); })
      .def_property_readonly("id", [](const Graph& self) { return self.normal->id_text(); })
      .def_property_readonly("nodes", [](const Graph& self) { return self.normal->graph.size(); })
      .def_property_readonly("inputs", [](const Graph& self) { return described(self, true); })
      .def_property_readonly("outputs", [](const Graph& self) { return described(self, false); })
      .def("json", [](const Graph& self) { return graph::write_json(self.normal->graph); })
      .def("cbor",
           [](const Graph& self) {
             const std::vector<std::byte> bytes = graph::write_cbor(self.normal->graph);
             return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
           })
      .def("count", &count, "carry"_a, "feed"_a, "keep_each"_a, "steps"_a, "checkpoint_every"_a);
  module.def("build", &build, "outputs"_a, "replacements"_a, "realised"_a);
}

}  // namespace quarry::python
