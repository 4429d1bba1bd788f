#include "engine/tensor/build.h"

#include <ranges>
#include <unordered_map>
#include <unordered_set>

namespace quarry::tensor {
namespace {

std::vector<Pair> pairs_of(const Node& node) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < node.attributes.size(); i += 2) pairs.push_back({node.attributes[i], node.attributes[i + 1]});
  return pairs;
}

/// Writes one node after the other; operands come before their users.
class Writer {
 public:
  graph::NodeId write(const Node& node) {
    const graph::NodeId x = operand(node, 0);
    const std::vector<int64_t>& attributes = node.attributes;
    switch (node.op) {
      case Op::Exp:
      case Op::Log:
        return builder_.unary(node.op, x);
      case Op::Cast:
        return builder_.cast(x, node.dtype);
      case Op::ReduceSum:
      case Op::ReduceMax:
        return builder_.reduce(node.op, x, attributes);
      case Op::Reshape:
        return builder_.reshape(x, node.shape);
      case Op::Permute:
        return builder_.permute(x, attributes);
      case Op::Expand:
        return builder_.expand(x, node.shape);
      case Op::Pad:
        return builder_.pad(x, pairs_of(node));
      case Op::Shrink:
        return builder_.shrink(x, pairs_of(node));
      case Op::Stride:
        return builder_.stride(x, attributes);
      case Op::Input:
        return builder_.input(name_.at(&node), node.dtype, node.shape);
      case Op::Const:
        return builder_.constant(node.dtype, node.shape, static_cast<uint64_t>(attributes[0]));
      case Op::Iota:
        return builder_.iota(node.dtype, node.shape, static_cast<int>(attributes[0]));
      case Op::Rand:
        return builder_.rand(node.dtype, node.shape, static_cast<uint32_t>(attributes[0]));
      case Op::Step:
        return builder_.step();
      default:
        return builder_.binary(node.op, x, operand(node, 1));
    }
  }

  void add(const Node& node) { id_.emplace(&node, write(node)); }
  void name(const Node& node, std::string text) { name_.emplace(&node, std::move(text)); }
  void output(const std::string& text, const Tensor& value) { builder_.output(text, id_.at(&value.node())); }

  graph::Graph finish() {
    Result<graph::Graph> graph = builder_.finish();
    if (!graph.ok()) throw TensorError(graph.problem().detail);
    return std::move(graph).value();
  }

 private:
  graph::NodeId operand(const Node& node, int index) const {
    const Tensor& operand = node.operands[index];
    return operand ? id_.at(&operand.node()) : graph::kNoNode;
  }

  graph::Builder builder_;
  std::unordered_map<const Node*, graph::NodeId> id_;
  std::unordered_map<const Node*, std::string> name_;
};

/// Names for INPUTs without one, apart from the names that others have.
std::vector<BuiltInput> named_inputs(const std::vector<NodePointer>& order) {
  std::unordered_set<std::string> taken;
  for (const NodePointer& node : order) {
    if (node->op != Op::Input || node->name.empty()) continue;
    if (!taken.insert(node->name).second) throw TensorError("two inputs are called \"" + node->name + "\"");
  }
  std::vector<BuiltInput> inputs;
  size_t next = 0;
  for (const NodePointer& node : order) {
    if (node->op != Op::Input) continue;
    std::string name = node->name;
    while (name.empty() || (node->name.empty() && taken.contains(name))) name = "x" + std::to_string(next++);
    inputs.push_back({std::move(name), Tensor(node)});
  }
  return inputs;
}

}  // namespace

std::vector<NodePointer> topological_order(std::span<const Tensor> outputs, Follow follow) {
  std::vector<NodePointer> order;
  std::unordered_set<const Node*> entered, left;
  std::vector<NodePointer> pending;
  for (const Tensor& output : outputs) {
    pending.push_back(output.pointer());
    while (!pending.empty()) {
      const NodePointer node = pending.back();
      if (entered.insert(node.get()).second) {
        const bool has_own_way = follow == Follow::Derivatives && node->derivative != nullptr;
        const std::span<const Tensor> below =
            has_own_way ? std::span<const Tensor>(node->derivative->of) : node->operands;
        for (const Tensor& next : below | std::views::reverse) {
          if (next && !entered.contains(&next.node())) pending.push_back(next.pointer());
        }
        continue;
      }
      pending.pop_back();
      if (left.insert(node.get()).second) order.push_back(node);
    }
  }
  return order;
}

Built build(const std::vector<std::pair<std::string, Tensor>>& outputs) {
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : outputs) tensors.push_back(tensor);
  const std::vector<NodePointer> order = topological_order(tensors);
  Writer writer;
  std::vector<BuiltInput> inputs = named_inputs(order);
  for (const BuiltInput& input : inputs) writer.name(input.tensor.node(), input.name);
  for (const NodePointer& node : order) writer.add(*node);
  for (const auto& [name, tensor] : outputs) writer.output(name, tensor);
  return {writer.finish(), std::move(inputs)};
}

}  // namespace quarry::tensor
