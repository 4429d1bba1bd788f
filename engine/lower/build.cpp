// From the stored value down to what is loaded: each graph node at an index tuple becomes one value expression.
// Iterative, and memoised on (node, index tuple, condition), so a value that is read the same way twice is computed
// once.
#include <map>
#include <tuple>

#include "engine/lower/lower.h"

namespace quarry::lower {

using graph::DType;
using graph::Graph;
using graph::kNoNode;
using graph::NodeId;
using graph::Op;

namespace {

class Build {
 public:
  Build(const Kernel& kernel, LoopNest& nest)
      : kernel_(kernel), graph_(kernel.graph->graph), nest_(nest), arena_(nest.arena) {
    if (kernel.zero_or_one) {
      zero_or_one_ = kernel.zero_or_one;
    } else {
      zero_or_one_ = std::make_shared<std::vector<bool>>(graph::zero_or_one_values(graph_));
    }
    for (size_t i = 0; i < kernel.reads.size(); ++i) slots_.emplace(kernel.reads[i], static_cast<int64_t>(i));
  }

  void run() {
    nest_.store_condition = arena_.always();
    if (kernel_.row_update) return row_update();
    if (kernel_.rounded_sum) return run_rounded_sum(*kernel_.rounded_sum);
    const Op op = graph_[kernel_.result].op;
    if (!graph::is_reduce(op)) return elementwise();
    if (op == Op::ReduceSum) {
      if (auto gather = graph::match_gather(graph_, kernel_.result)) return run_gather(*gather);
    }
    run_reduce(op);
  }

 private:
  using Index = std::vector<ExprId>;
  struct Task {
    NodeId node;
    Index index;
    ExprId condition;  // what holds where the value is used: loads may lie outside their buffer elsewhere
    auto operator<=>(const Task&) const = default;
  };

  ExprId new_axis(int64_t extent, AxisKind kind) {
    if (extent == 1) return arena_.integer(0);
    nest_.axes.push_back({extent, kind});
    return arena_.range(static_cast<int>(nest_.axes.size()) - 1, extent);
  }

  Index output_index(int skip_axis = -1) {
    Index index;
    const auto shape = graph_.shape(kernel_.result);
    for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
      index.push_back(i == skip_axis ? arena_.integer(0) : new_axis(shape[static_cast<size_t>(i)], AxisKind::Output));
    }
    return index;
  }

  void elementwise() {
    const Index index = output_index();
    nest_.store_index = flatten(arena_, graph_.shape(kernel_.result), index);
    nest_.value = value({kernel_.result, index, arena_.always()});
  }

  void run_reduce(Op op) {
    Index index = output_index();
    nest_.store_index = flatten(arena_, graph_.shape(kernel_.result), index);
    reduce_at(kernel_.result, op, std::move(index));
  }

  // The result is the CAST of the SUM, seen through reshapes and permutations.
  void run_rounded_sum(NodeId sum) {
    Index index = output_index();
    nest_.store_index = flatten(arena_, graph_.shape(kernel_.result), index);
    for (NodeId at = graph_[kernel_.result].operands[0]; at != sum; at = graph_[at].operands[0]) {
      index = operand_index(arena_, graph_, at, index);
    }
    reduce_at(sum, Op::ReduceSum, std::move(index));
  }

  // The reduction `node` at an index of its result.
  void reduce_at(NodeId node, Op op, Index index) {
    nest_.reduce = op;
    if (op == Op::ReduceSum && (nest_.result == DType::F16 || nest_.result == DType::BF16))
      nest_.accumulator = DType::F32;
    const NodeId operand = graph_[node].operands[0];
    bool empty = false;
    for (int64_t axis : graph_.axes(node)) {
      const int64_t extent = graph_.shape(operand)[static_cast<size_t>(axis)];
      empty |= extent == 0;
      index[static_cast<size_t>(axis)] = new_axis(extent, AxisKind::Reduce);
    }
    // Nothing to reduce: the nest keeps its empty axis, and codegen stores the identity.
    nest_.value = empty ? arena_.literal(nest_.accumulator, 0) : value({operand, index, arena_.always()});
  }

  // Follows a mask down to its comparison: the index tuple at which the comparison is read.
  Index index_at_comparison(NodeId node, NodeId comparison, Index index) {
    while (node != comparison) {
      index = operand_index(arena_, graph_, node, index);
      node = graph_[node].operands[0];
    }
    return index;
  }

  void run_gather(const graph::Gather& gather) {
    Index index = output_index();
    nest_.store_index = flatten(arena_, graph_.shape(kernel_.result), index);
    const NodeId mul = graph_[kernel_.result].operands[0];
    const size_t axis = static_cast<size_t>(gather.axis);
    const int64_t extent = graph_.shape(mul)[axis];
    if (extent == 0) {
      nest_.value = arena_.literal(nest_.result, 0);
      return;
    }
    const ExprId selected =
        value({gather.index, index_at_comparison(gather.mask, gather.comparison, index), arena_.always()});
    const ExprId inside = arena_.within(selected, gather.offset, gather.offset + extent);
    index[axis] = arena_.position(selected, gather.offset, extent);
    nest_.value = arena_.guard(inside, value({gather.table, index, arena_.always()}));
  }

  void row_update() {
    const graph::RowUpdate& update = *kernel_.row_update;
    const size_t axis = static_cast<size_t>(update.axis);
    const auto shape = graph_.shape(kernel_.result);
    Index index = output_index(update.axis);
    const NodeId condition = graph::match_select(graph_, *zero_or_one_, kernel_.result)->condition;
    const ExprId row = value({update.index, index_at_comparison(condition, update.comparison, index), arena_.always()});
    nest_.store_condition = arena_.within(row, update.offset, update.offset + shape[axis]);
    index[axis] = arena_.position(row, update.offset, shape[axis]);
    nest_.store_index = flatten(arena_, shape, index);
    nest_.value = value({update.new_value, index, arena_.always()});
  }

  // The value of a task, by an explicit stack: graphs are deeper than the C++ stack.
  ExprId value(Task root) {
    std::vector<Task> pending{root};
    while (!pending.empty()) {
      const Task task = pending.back();
      if (done_.contains(task)) {
        pending.pop_back();
        continue;
      }
      const std::vector<Task> needs = operands(task);
      bool ready = true;
      for (auto need = needs.rbegin(); need != needs.rend(); ++need) {
        if (done_.contains(*need)) continue;
        pending.push_back(*need);
        ready = false;
      }
      if (!ready) continue;
      done_.emplace(task, combine(task, needs));
      pending.pop_back();
    }
    return done_.at(root);
  }

  bool is_loaded(NodeId id) const {
    return graph_[id].op == Op::Input || (id != kernel_.result && slots_.contains(id));
  }
  bool is_never(ExprId condition) { return condition == arena_.never(); }

  std::vector<Task> operands(const Task& task) {
    if (is_loaded(task.node) || is_never(task.condition)) return {};
    const Op op = graph_[task.node].op;
    const NodeId first = graph_[task.node].operands[0];
    if (op == Op::Pad) {
      Index index = operand_index(arena_, graph_, task.node, task.index);
      const ExprId inside = pad_condition(arena_, graph_, task.node, index);
      return {{first, std::move(index), arena_.both(task.condition, inside)}};
    }
    if (graph::is_movement(op)) return {{first, operand_index(arena_, graph_, task.node, task.index), task.condition}};
    std::vector<Task> needs;
    for (NodeId operand : effective_operands(graph_, *zero_or_one_, task.node)) {
      needs.push_back({operand, task.index, task.condition});
    }
    return needs;
  }

  ExprId combine(const Task& task, const std::vector<Task>& needs) {
    const graph::Node& node = graph_[task.node];
    if (is_never(task.condition)) return arena_.literal(node.dtype, 0);
    if (is_loaded(task.node)) {
      const ExprId flat = flatten(arena_, graph_.shape(task.node), task.index);
      const ExprId guard = task.condition == arena_.always() ? kNoExpr : task.condition;
      return arena_.load(node.dtype, slots_.at(task.node), flat, guard);
    }
    std::vector<ExprId> values;
    for (const Task& need : needs) values.push_back(done_.at(need));
    switch (node.op) {
      case Op::Pad:
        return arena_.guard(pad_condition(arena_, graph_, task.node, needs[0].index), values[0]);
      case Op::Const:
        return arena_.literal(node.dtype, graph_.const_bits(task.node));
      case Op::Iota:
        return arena_.from_index(node.dtype, task.index[static_cast<size_t>(graph_.iota_axis(task.node))]);
      case Op::Rand: {
        const ExprId element = flatten(arena_, graph_.shape(task.node), task.index);
        return arena_.random(node.dtype, graph_.rand_stream(task.node), element);
      }
      case Op::Step:
        return arena_.step_number();
      case Op::Cast:
        return arena_.cast(node.dtype, values[0]);
      default:
        break;
    }
    if (graph::is_movement(node.op)) return values[0];
    if (node.op == Op::Mul && graph::match_select(graph_, *zero_or_one_, task.node)) {
      return arena_.choose(values[0], values[1], values[2]);
    }
    return arena_.compute(node.op, node.dtype, values[0], values.size() > 1 ? values[1] : kNoExpr);
  }

  const Kernel& kernel_;
  const Graph& graph_;
  LoopNest& nest_;
  Arena& arena_;
  std::shared_ptr<const std::vector<bool>> zero_or_one_;
  std::map<NodeId, int64_t> slots_;  // node -> read number
  std::map<Task, ExprId> done_;
};

}  // namespace

void build_expressions(const Kernel& kernel, LoopNest& nest) {
  Build(kernel, nest).run();
}

}  // namespace quarry::lower
