#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

[[noreturn]] void fail(const Problem& problem) {
  throw std::runtime_error(problem.code + " at " + problem.pointer + ": " + problem.detail);
}

}  // namespace

graph::Graph Pen::done() {
  if (failed()) fail(problem());
  auto graph = finish();
  if (!graph.ok()) fail(graph.problem());
  return std::move(graph).value();
}

meter::StepCount counted(const graph::Graph& graph, const meter::Usage& usage, meter::Tariff tariff) {
  const auto count = meter::count(graph::normalise(graph), usage, tariff);
  if (!count.ok()) fail(count.problem());
  return count.value();
}

}  // namespace quarry::testing
