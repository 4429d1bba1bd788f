// Splits a graph into kernels: one per stored value, in launch order.
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
        visited_in_(graph_->graph.size(), 0) {}

  std::vector<Kernel> run(const std::vector<std::pair<std::string, std::string>>& carry) {
    const graph::RowUpdates in_place = graph::in_place_row_updates(graph_->graph, *zero_or_one_, carry);
    std::vector<Kernel> kernels;
    for (meter::StoredValue& value : meter::stored_values(*graph_)) {
      Kernel& kernel = kernels.emplace_back();
      kernel.graph = graph_;
      kernel.zero_or_one = zero_or_one_;
      kernel.result = value.node;
      kernel.reads = std::move(value.reads);
      find_scalars(kernel);
      if (const auto update = in_place.find(value.node); update != in_place.end()) kernel.row_update = update->second;
    }
    return kernels;
  }

 private:
  // Walks down to what is loaded.
  void find_scalars(Kernel& kernel) {
    ++walk_;
    for (const NodeId read : kernel.reads) visited_in_[read] = walk_;
    std::vector<NodeId> pending{kernel.result};
    while (!pending.empty()) {
      const NodeId id = pending.back();
      pending.pop_back();
      const Op op = graph_->graph[id].op;
      if (op == Op::Step || op == Op::Rand) kernel.reads_step = true;
      if (op == Op::Rand) kernel.reads_seed = true;
      for (const NodeId operand : effective_operands(graph_->graph, *zero_or_one_, id)) {
        if (visited_in_[operand] == walk_) continue;
        visited_in_[operand] = walk_;
        pending.push_back(operand);
      }
    }
  }

  std::shared_ptr<const graph::NormalGraph> graph_;
  std::shared_ptr<const std::vector<bool>> zero_or_one_;
  std::vector<uint64_t> visited_in_;  // the last walk that reached the node
  uint64_t walk_ = 0;
};

}  // namespace

std::vector<Kernel> partition(std::shared_ptr<const graph::NormalGraph> graph,
                              const std::vector<std::pair<std::string, std::string>>& carry) {
  return Partitioner(std::move(graph)).run(carry);
}

}  // namespace quarry::lower
