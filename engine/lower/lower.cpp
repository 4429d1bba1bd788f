// The spine of lowering: the passes in order.
#include "engine/lower/lower.h"

namespace quarry::lower {

LoopNest lower_kernel(const Kernel& kernel) {
  const graph::Graph& graph = kernel.graph->graph;
  LoopNest nest;
  nest.result = graph[kernel.result].dtype;
  nest.accumulator = nest.result;
  nest.result_elements = graph.elements(kernel.result);
  nest.reads_step = kernel.reads_step;
  nest.reads_seed = kernel.reads_seed;
  for (graph::NodeId id : kernel.reads) nest.reads.push_back({graph[id].dtype, graph.elements(id)});
  if (nest.result_elements == 0) return nest;
  build_expressions(kernel, nest);
  reshape_axes(nest);
  return nest;
}

int64_t LoopNest::points(AxisKind kind) const {
  int64_t product = 1;
  for (const Axis& axis : axes) {
    if (axis.kind == kind) product *= axis.extent;
  }
  return product;
}

std::string to_string(const LoopNest& nest) {
  std::string text;
  for (size_t i = 0; i < nest.axes.size(); ++i) {
    text += "r" + std::to_string(i) + (nest.axes[i].kind == AxisKind::Output ? " output " : " reduce ") +
            std::to_string(nest.axes[i].extent) + "\n";
  }
  if (nest.value == kNoExpr) return text + "nothing\n";
  const std::string value = to_string(nest.arena, nest.value);
  text += "result:" + std::string(graph::name(nest.result)) + "[" + to_string(nest.arena, nest.store_index) + "]";
  const std::string condition = to_string(nest.arena, nest.store_condition);
  if (condition != "true") text += " if " + condition;
  text += " = " + (nest.reduce ? std::string(graph::name(*nest.reduce)) + " " : std::string()) + value + "\n";
  return text;
}

}  // namespace quarry::lower
