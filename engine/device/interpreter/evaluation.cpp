#include "engine/device/interpreter/evaluation.h"

#include <algorithm>
#include <new>
#include <numeric>
#include <set>
#include <utility>

#include "common/uint128.h"
#include "engine/device/interpreter/semantics.h"
#include "engine/graph/number.h"

namespace quarry::device::interpreter {

using graph::NodeId;
using graph::Op;

namespace {

// Small enough that the blocks of a long expression stay in the cache, large enough to hide the cost of starting one.
constexpr int64_t kBlockElements = 1024;

Positions consecutive(int64_t first, int64_t count) {
  Positions positions(static_cast<size_t>(count));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

// Elements of the operand behind each result.
int64_t reduced_elements(const graph::Graph& graph, NodeId reduce) {
  int64_t count = 1;
  for (const int64_t axis : graph.axes(reduce))
    count *= graph.shape(graph[reduce].operands[0])[static_cast<size_t>(axis)];
  return count;
}

}  // namespace

Result<std::unique_ptr<Evaluation>> Evaluation::plan(const lower::Kernel& kernel) {
  const graph::Graph& graph = kernel.graph->graph;
  std::vector<bool> loaded(graph.size(), false);
  for (const NodeId read : kernel.reads)
    if (read != kernel.result) loaded[read] = true;
  std::set<NodeId> needed{kernel.result};
  std::vector<NodeId> reduces;
  for (auto next = needed.rbegin(); next != needed.rend(); ++next) {  // operands always sort below their user
    if (loaded[*next]) continue;
    if (graph[*next].op == Op::Input)
      return Problem{"compile_failed",
                     "the kernel of node " + std::to_string(kernel.result) + " does not read input '" +
                         std::string(graph.input_name(*next)) + "', which it needs",
                     "", ""};
    if (graph::is_reduce(graph[*next].op) && *next != kernel.result) reduces.push_back(*next);
    const auto operands = lower::effective_operands(graph, *kernel.zero_or_one, *next);
    needed.insert(operands.begin(), operands.end());
  }
  auto evaluation = std::unique_ptr<Evaluation>(new Evaluation(kernel));
  std::sort(reduces.begin(), reduces.end());
  reduces.push_back(kernel.result);
  for (const NodeId node : reduces) {
    evaluation->stages_.push_back(evaluation->stage_of(node, loaded));
    loaded[node] = true;
  }
  return evaluation;
}

Evaluation::Stage Evaluation::stage_of(NodeId node, std::vector<bool> loaded) const {
  const graph::Graph& graph = kernel_.graph->graph;
  loaded[node] = false;
  if (!graph::is_reduce(graph[node].op)) return {node, Expression(kernel_, loaded, node), {}, {}, {}};
  View reduction = reduction_view(graph, node);
  if (graph[node].op == Op::ReduceSum) {
    if (const auto gather = graph::match_gather(graph, node))
      return {node, Expression(kernel_, loaded, gather->table), std::move(reduction), gather,
              Expression::index_of(kernel_, loaded, *gather)};
  }
  return {node, Expression(kernel_, loaded, graph[node].operands[0]), std::move(reduction), {}, {}};
}

Status Evaluation::run(std::byte* result, std::span<const std::byte* const> reads, const LaunchScalars& scalars) const {
  const graph::Graph& graph = kernel_.graph->graph;
  Arrays arrays;
  for (size_t i = 0; i < reads.size(); ++i) arrays.emplace(kernel_.reads[i], reads[i]);
  std::vector<std::unique_ptr<std::byte[]>> intermediates;
  for (const Stage& stage : stages_) {
    if (stage.node == kernel_.result) {
      fill(stage, result, arrays, scalars);
      continue;
    }
    const auto bytes = static_cast<UInt128>(graph.elements(stage.node)) *
                       static_cast<UInt128>(graph::byte_size(graph[stage.node].dtype));
    std::unique_ptr<std::byte[]> array(bytes > PTRDIFF_MAX ? nullptr
                                                           : new (std::nothrow) std::byte[static_cast<size_t>(bytes)]);
    if (!array)
      return Problem{"out_of_memory", "the interpreter needs " + to_decimal(bytes) + " bytes for one reduce", "",
                     "Use a smaller graph or another device."};
    fill(stage, array.get(), arrays, scalars);
    arrays[stage.node] = array.get();
    intermediates.push_back(std::move(array));
  }
  return {};
}

void Evaluation::fill(const Stage& stage, std::byte* array, const Arrays& arrays, const LaunchScalars& scalars) const {
  if (stage.gather) {
    fill_gather(stage, array, arrays, scalars);
  } else if (stage.reduction) {
    fill_reduce(stage, array, arrays, scalars);
  } else {
    fill_elementwise(stage, array, arrays, scalars);
  }
}

void Evaluation::fill_elementwise(const Stage& stage, std::byte* array, const Arrays& arrays,
                                  const LaunchScalars& scalars) const {
  const graph::Graph& graph = kernel_.graph->graph;
  const int64_t elements = graph.elements(stage.node);
  for (int64_t first = 0; first < elements; first += kBlockElements) {
    const auto values =
        stage.expression.evaluate(consecutive(first, std::min(kBlockElements, elements - first)), arrays, scalars);
    for (size_t i = 0; i < values.size(); ++i)
      store_element(graph[stage.node].dtype, array, first + static_cast<int64_t>(i), values[i]);
  }
}

void Evaluation::fill_reduce(const Stage& stage, std::byte* array, const Arrays& arrays,
                             const LaunchScalars& scalars) const {
  const graph::Graph& graph = kernel_.graph->graph;
  const auto [op, dtype] = std::pair(graph[stage.node].op, graph[stage.node].dtype);
  const int64_t results = graph.elements(stage.node), each = reduced_elements(graph, stage.node);
  for (int64_t i = 0; each == 0 && i < results; ++i) store_element(dtype, array, i, reduce_identity(op, dtype));
  const int64_t total = results * each;
  std::vector<bool> unbounded;
  Accumulator accumulator(op, dtype);
  int64_t result = 0, folded = 0;
  for (int64_t first = 0; first < total; first += kBlockElements) {
    const Positions walk = consecutive(first, std::min(kBlockElements, total - first));
    for (const uint64_t value : stage.expression.evaluate(stage.reduction->map(walk, unbounded), arrays, scalars)) {
      accumulator.add(value);
      if (++folded < each) continue;
      store_element(dtype, array, result++, accumulator.result());
      accumulator = Accumulator(op, dtype);
      folded = 0;
    }
  }
}

// The term whose mask is 1, and exactly 0 when there is none: the other terms would be 0 times an element, which is not
// always 0.
void Evaluation::fill_gather(const Stage& stage, std::byte* array, const Arrays& arrays,
                             const LaunchScalars& scalars) const {
  const graph::Graph& graph = kernel_.graph->graph;
  const auto dtype = graph[stage.node].dtype, index_dtype = graph[stage.gather->index].dtype;
  const int64_t results = graph.elements(stage.node), rows = reduced_elements(graph, stage.node);
  for (int64_t i = 0; rows == 0 && i < results; ++i) store_element(dtype, array, i, 0);
  if (rows == 0) return;
  std::vector<bool> unbounded;
  for (int64_t first = 0; first < results; first += kBlockElements) {
    Positions at_row_zero = consecutive(first, std::min(kBlockElements, results - first));
    for (int64_t& position : at_row_zero) position *= rows;
    const auto indices = stage.index->evaluate(stage.reduction->map(at_row_zero, unbounded), arrays, scalars);
    Positions hits;
    std::vector<int64_t> hit_results;
    for (size_t i = 0; i < indices.size(); ++i) {
      const Int128 row = static_cast<Int128>(graph::to_integer(index_dtype, indices[i])) - stage.gather->offset;
      const int64_t result = first + static_cast<int64_t>(i);
      store_element(dtype, array, result, 0);
      if (row < 0 || row >= rows) continue;
      hits.push_back(at_row_zero[i] + static_cast<int64_t>(row));
      hit_results.push_back(result);
    }
    const auto values = stage.expression.evaluate(stage.reduction->map(hits, unbounded), arrays, scalars);
    for (size_t i = 0; i < values.size(); ++i) store_element(dtype, array, hit_results[i], values[i]);
  }
}

}  // namespace quarry::device::interpreter
