// Splits a graph into kernels: one per stored value, in launch order.
#include <algorithm>

#include "engine/lower/kernel.h"
#include "engine/meter/meter.h"

namespace quarry::lower {

using graph::Graph;
using graph::kNoNode;
using graph::NodeId;
using graph::Op;

std::vector<NodeId> effective_operands(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId id) {
  const graph::Node& node = graph[id];
  if (node.op == Op::Mul) {
    if (auto select = graph::match_select(graph, zero_or_one, id)) {
      return {select->condition, select->if_one, select->if_zero};
    }
  }
  if (node.op == Op::ReduceSum) {
    if (auto gather = graph::match_gather(graph, id)) return {gather->table, gather->index};
  }
  std::vector<NodeId> operands;
  for (NodeId operand : node.operands) {
    if (operand != kNoNode) operands.push_back(operand);
  }
  return operands;
}

namespace {

class Partitioner {
 public:
  explicit Partitioner(std::shared_ptr<const graph::NormalGraph> graph)
      : graph_(std::move(graph)),
        zero_or_one_(std::make_shared<std::vector<bool>>(graph::zero_or_one_values(graph_->graph))),
        stored_(graph_->graph.size(), false),
        visited_in_(graph_->graph.size(), 0) {}

  std::vector<Kernel> run(const std::vector<std::pair<std::string, std::string>>& carry) {
    const std::vector<NodeId> results = meter::stored_values(*graph_);
    for (NodeId id : results) stored_[id] = true;
    std::vector<Kernel> kernels;
    kernels.reserve(results.size());
    for (NodeId id : results) kernels.push_back(kernel_of(id));
    for (const auto& [input, output] : carry) mark_row_update(kernels, input, output);
    return kernels;
  }

 private:
  bool is_loaded(NodeId id) const { return stored_[id] || graph_->graph[id].op == Op::Input; }

  Kernel kernel_of(NodeId result) {
    Kernel kernel;
    kernel.graph = graph_;
    kernel.zero_or_one = zero_or_one_;
    kernel.result = result;
    collect(kernel, {result}, result);
    std::sort(kernel.reads.begin(), kernel.reads.end());
    return kernel;
  }

  // Walks from `pending` to what is loaded; `result` itself is looked through although it is stored.
  void collect(Kernel& kernel, std::vector<NodeId> pending, NodeId result) {
    ++walk_;
    for (NodeId id : pending) visited_in_[id] = walk_;
    while (!pending.empty()) {
      const NodeId id = pending.back();
      pending.pop_back();
      if (id != result && is_loaded(id)) {
        kernel.reads.push_back(id);
        continue;
      }
      const Op op = graph_->graph[id].op;
      if (op == Op::Input) kernel.reads.push_back(id);
      if (op == Op::Step || op == Op::Rand) kernel.reads_step = true;
      if (op == Op::Rand) kernel.reads_seed = true;
      for (NodeId operand : effective_operands(graph_->graph, *zero_or_one_, id)) {
        if (visited_in_[operand] == walk_) continue;
        visited_in_[operand] = walk_;
        pending.push_back(operand);
      }
    }
  }

  // In place only where nobody can see the difference: the old value is read by no later kernel, is no output itself,
  // and the rows written do not depend on it.
  void mark_row_update(std::vector<Kernel>& kernels, const std::string& input, const std::string& output) {
    const Graph& graph = graph_->graph;
    const NodeId node = graph.find_output(output);
    const NodeId old_value = graph.find_input(input);
    if (node == kNoNode || old_value == kNoNode || graph[node].op != Op::Mul) return;
    auto update = graph::match_row_update(graph, *zero_or_one_, node);
    if (!update || update->old_value != old_value) return;
    for (const graph::Output& other : graph.outputs()) {
      if (other.node == old_value) return;
    }
    auto kernel = std::lower_bound(kernels.begin(), kernels.end(), node,
                                   [](const Kernel& k, NodeId id) { return k.result < id; });
    if (kernel == kernels.end() || kernel->result != node || kernel->row_update) return;
    for (auto later = kernel + 1; later != kernels.end(); ++later) {
      if (std::binary_search(later->reads.begin(), later->reads.end(), old_value)) return;
    }
    // A second walk that starts below the select: what the written rows need.
    Kernel rows;
    collect(rows, {update->new_value, update->index}, node);
    if (std::find(rows.reads.begin(), rows.reads.end(), old_value) != rows.reads.end()) return;
    kernel->row_update = update;
  }

  std::shared_ptr<const graph::NormalGraph> graph_;
  std::shared_ptr<const std::vector<bool>> zero_or_one_;
  std::vector<bool> stored_;
  std::vector<uint64_t> visited_in_;  // the last walk that reached the node
  uint64_t walk_ = 0;
};

}  // namespace

std::vector<Kernel> partition(std::shared_ptr<const graph::NormalGraph> graph,
                              const std::vector<std::pair<std::string, std::string>>& carry) {
  return Partitioner(std::move(graph)).run(carry);
}

}  // namespace quarry::lower
