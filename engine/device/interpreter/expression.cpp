#include "engine/device/interpreter/expression.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "engine/device/interpreter/philox.h"
#include "engine/device/interpreter/semantics.h"
#include "engine/graph/number.h"

namespace quarry::device::interpreter {

using graph::DType;
using graph::NodeId;
using graph::Op;

// ---- the rules: which nodes are computed, and from what

Expression::Expression(const lower::Kernel& kernel, const std::vector<bool>& loaded, NodeId root)
    : Expression(kernel, loaded, root, {}) {}

Expression Expression::index_of(const lower::Kernel& kernel, const std::vector<bool>& loaded,
                                const graph::Gather& gather) {
  const graph::Graph& graph = kernel.graph->graph;
  std::unordered_map<NodeId, NodeId> forwards{{gather.comparison, gather.index}};
  for (NodeId node = gather.mask; node != gather.comparison; node = graph[node].operands[0])
    if (graph[node].op == Op::Cast) forwards.emplace(node, graph[node].operands[0]);
  return Expression(kernel, loaded, gather.mask, std::move(forwards));
}

Expression::Expression(const lower::Kernel& kernel, const std::vector<bool>& loaded, NodeId root,
                       std::unordered_map<NodeId, NodeId> forwards)
    : graph_(kernel.graph), zero_or_one_(kernel.zero_or_one), loaded_(&loaded), forwards_(std::move(forwards)) {
  std::set<NodeId> needed{root};
  for (auto next = needed.rbegin(); next != needed.rend(); ++next) {  // operands always sort below their user
    const auto operands = operands_of(*next);
    needed.insert(operands.begin(), operands.end());
  }
  std::unordered_map<NodeId, size_t> rule_of;
  for (const NodeId node : needed) {
    Rule rule{node, kind_of(node), {}, std::nullopt};
    for (const NodeId operand : operands_of(node)) rule.operands.push_back(rule_of.at(operand));
    if (rule.kind == Kind::Viewed) rule.view = movement_view(graph_->graph, node);
    rule_of.emplace(node, rules_.size());
    rules_.push_back(std::move(rule));
  }
  loaded_ = nullptr;
}

std::vector<NodeId> Expression::operands_of(NodeId node) const {
  if (const auto forward = forwards_.find(node); forward != forwards_.end()) return {forward->second};
  if ((*loaded_)[node]) return {};
  return lower::effective_operands(graph_->graph, *zero_or_one_, node);
}

Expression::Kind Expression::kind_of(NodeId node) const {
  if (forwards_.contains(node)) return Kind::Forward;
  if ((*loaded_)[node]) return Kind::Load;
  const Op op = graph_->graph[node].op;
  if (graph::is_source(op)) return Kind::Source;
  if (op == Op::Reshape) return Kind::Forward;  // keeps the row-major position
  if (graph::is_movement(op)) return Kind::Viewed;
  if (op == Op::Cast) return Kind::Cast;
  if (graph::is_unary(op)) return Kind::Unary;
  return operands_of(node).size() == 3 ? Kind::Select : Kind::Binary;
}

// ---- one block of elements

// Two passes over the rules instead of a recursion: down, to find which positions of which value are needed, and up, to
// compute them. Equal lists of positions are one list, so a value reached twice through equal index maps is computed
// once.
class Expression::Block {
 public:
  Block(const Expression& expression, const Arrays& arrays, const LaunchScalars& scalars)
      : graph_(expression.graph_->graph),
        rules_(expression.rules_),
        arrays_(arrays),
        scalars_(scalars),
        demands_(rules_.size()) {}

  std::vector<uint64_t> evaluate(Positions positions) {
    demand(rules_.size() - 1, intern(std::move(positions)));
    for (size_t rule = rules_.size(); rule-- > 0;)
      for (size_t i = 0; i < demands_[rule].size(); ++i) demand_operands(rules_[rule], demands_[rule][i]);
    for (size_t rule = 0; rule < rules_.size(); ++rule)
      for (Demand& wanted : demands_[rule]) compute(rules_[rule], wanted);
    return std::move(demands_.back().front().values);
  }

 private:
  struct Demand {
    size_t positions;              // a list
    std::vector<size_t> operands;  // for each operand of the rule, its demand
    std::vector<bool> inside;      // for a bounded view: which positions show the operand
    std::vector<uint64_t> values;
  };

  size_t intern(Positions positions) {
    uint64_t hash = positions.size();
    for (const int64_t position : positions) hash = (hash ^ static_cast<uint64_t>(position)) * 0x9E3779B97F4A7C15;
    const auto [begin, end] = lists_by_hash_.equal_range(hash);
    for (auto known = begin; known != end; ++known)
      if (lists_[known->second] == positions) return known->second;
    lists_by_hash_.emplace(hash, lists_.size());
    lists_.push_back(std::move(positions));
    return lists_.size() - 1;
  }

  size_t demand(size_t rule, size_t positions) {
    auto& wanted = demands_[rule];
    for (size_t i = 0; i < wanted.size(); ++i)
      if (wanted[i].positions == positions) return i;
    wanted.push_back({positions, {}, {}, {}});
    return wanted.size() - 1;
  }

  void demand_operands(const Rule& rule, Demand& wanted) {
    size_t positions = wanted.positions;
    if (rule.view) positions = intern(rule.view->map(lists_[positions], wanted.inside));
    for (const size_t operand : rule.operands) wanted.operands.push_back(demand(operand, positions));
  }

  const std::vector<uint64_t>& operand(const Rule& rule, const Demand& wanted, size_t i) const {
    return demands_[rule.operands[i]][wanted.operands[i]].values;
  }

  void compute(const Rule& rule, Demand& wanted) {
    const size_t count = lists_[wanted.positions].size();
    const DType dtype = graph_[rule.node].dtype;
    auto& values = wanted.values;
    values.resize(count);
    switch (rule.kind) {
      case Kind::Load:
        return load(rule, lists_[wanted.positions], values);
      case Kind::Source:
        return generate(rule.node, lists_[wanted.positions], values);
      case Kind::Forward:
        values = operand(rule, wanted, 0);
        return;
      case Kind::Viewed:
        return place(operand(rule, wanted, 0), wanted);
      case Kind::Unary: {
        const auto& x = operand(rule, wanted, 0);
        for (size_t i = 0; i < count; ++i) values[i] = apply_unary(graph_[rule.node].op, dtype, x[i]);
        return;
      }
      case Kind::Cast: {
        const auto& x = operand(rule, wanted, 0);
        const DType from = graph_[graph_[rule.node].operands[0]].dtype;
        for (size_t i = 0; i < count; ++i) values[i] = graph::cast_bits(from, dtype, x[i]);
        return;
      }
      case Kind::Binary: {
        const auto &x = operand(rule, wanted, 0), &y = operand(rule, wanted, 1);
        const DType operands = graph_[graph_[rule.node].operands[0]].dtype;
        for (size_t i = 0; i < count; ++i) values[i] = apply_binary(graph_[rule.node].op, operands, x[i], y[i]);
        return;
      }
      case Kind::Select: {
        const auto &condition = operand(rule, wanted, 0), &x = operand(rule, wanted, 1), &y = operand(rule, wanted, 2);
        for (size_t i = 0; i < count; ++i) values[i] = condition[i] != 0 ? x[i] : y[i];
        return;
      }
    }
  }

  void load(const Rule& rule, const Positions& positions, std::vector<uint64_t>& values) const {
    const std::byte* array = arrays_.at(rule.node);
    const DType dtype = graph_[rule.node].dtype;
    for (size_t i = 0; i < values.size(); ++i) values[i] = load_element(dtype, array, positions[i]);
  }

  // PAD: zeros wherever the operand is not shown.
  static void place(const std::vector<uint64_t>& shown, Demand& wanted) {
    if (wanted.inside.empty()) {
      wanted.values = shown;
      return;
    }
    size_t next = 0;
    for (size_t i = 0; i < wanted.values.size(); ++i) wanted.values[i] = wanted.inside[i] ? shown[next++] : 0;
  }

  void generate(NodeId node, const Positions& positions, std::vector<uint64_t>& values) const {
    const DType dtype = graph_[node].dtype;
    switch (graph_[node].op) {
      case Op::Const:
        std::fill(values.begin(), values.end(), graph_.const_bits(node));
        return;
      case Op::Step:
        std::fill(values.begin(), values.end(), static_cast<uint32_t>(scalars_.step));
        return;
      case Op::Iota: {
        const auto axis = static_cast<size_t>(graph_.iota_axis(node));
        const int64_t stride = row_major_strides(graph_.shape(node))[axis];
        const int64_t size = graph_.shape(node)[axis];
        for (size_t i = 0; i < values.size(); ++i) values[i] = graph::from_integer(dtype, positions[i] / stride % size);
        return;
      }
      default:  // RAND
        for (size_t i = 0; i < values.size(); ++i)
          values[i] = random_element(dtype, positions[i], graph_.rand_stream(node), scalars_.step, scalars_.seed);
    }
  }

  const graph::Graph& graph_;
  const std::vector<Rule>& rules_;
  const Arrays& arrays_;
  const LaunchScalars& scalars_;
  std::deque<Positions> lists_;
  std::unordered_multimap<uint64_t, size_t> lists_by_hash_;
  std::vector<std::vector<Demand>> demands_;  // by rule
};

std::vector<uint64_t> Expression::evaluate(Positions positions, const Arrays& arrays,
                                           const LaunchScalars& scalars) const {
  return Block(*this, arrays, scalars).evaluate(std::move(positions));
}

}  // namespace quarry::device::interpreter
