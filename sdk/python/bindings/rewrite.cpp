#include "sdk/python/bindings/rewrite.h"

#include <unordered_set>

#include "engine/tensor/build.h"

namespace quarry::python {

using tensor::Node;
using tensor::NodePointer;
using tensor::Tensor;

namespace {

constexpr char kDetached[] = {kReservedNameStart, 0};

/// The node that a detached tensor stands for. Its payload points into the node, and keeps it alive.
NodePointer original(const Node& node) {
  return std::static_pointer_cast<const Node>(node.payload);
}

/// Drops a node, or leaves that to the drop that is under way: chains of detached tensors are deeper than stacks.
void drop(NodePointer node) {
  thread_local std::vector<NodePointer>* waiting = nullptr;
  if (waiting != nullptr) {
    waiting->push_back(std::move(node));
    return;
  }
  std::vector<NodePointer> dying;
  dying.push_back(std::move(node));
  waiting = &dying;
  while (!dying.empty()) {
    const NodePointer last = std::move(dying.back());
    dying.pop_back();
  }
  waiting = nullptr;
}

class Replacer {
 public:
  Replacer(const Replacements& replacements, const Realised& realised)
      : replacements_(replacements), realised_(realised) {}

  Tensor operator()(const Tensor& output) {
    std::vector<NodePointer> pending{output.pointer()};
    while (!pending.empty()) {
      const NodePointer node = pending.back();
      if (done_.contains(node.get()) || known(node)) {
        pending.pop_back();
        continue;
      }
      const size_t before = pending.size();
      for (const NodePointer& below : needed(*node)) {
        if (!done_.contains(below.get())) pending.push_back(below);
      }
      if (pending.size() > before) continue;
      pending.pop_back();
      done_.emplace(node.get(), rewritten(node));
    }
    return done_.at(&output.node());
  }

 private:
  bool known(const NodePointer& node) {
    if (const auto found = replacements_.find(node.get()); found != replacements_.end()) {
      done_.emplace(node.get(), found->second);
      return true;
    }
    const Tensor leaf = realised_.find(node);
    if (leaf) done_.emplace(node.get(), leaf);
    return static_cast<bool>(leaf);
  }

  static std::vector<NodePointer> needed(const Node& node) {
    if (is_detached(node)) return {original(node)};
    std::vector<NodePointer> below;
    for (const Tensor& operand : node.operands) {
      if (operand) below.push_back(operand.pointer());
    }
    return below;
  }

  Tensor rewritten(const NodePointer& node) const {
    if (is_detached(*node)) return done_.at(original(*node).get());
    Tensor operands[2];
    bool changed = false;
    for (int i = 0; i < 2; ++i) {
      if (!node->operands[i]) continue;
      operands[i] = done_.at(&node->operands[i].node());
      changed |= operands[i].pointer() != node->operands[i].pointer();
    }
    if (!changed) return Tensor(node);
    auto copy = std::make_shared<Node>();
    copy->op = node->op;
    copy->dtype = node->dtype;
    copy->shape = node->shape;
    copy->operands[0] = operands[0];
    copy->operands[1] = operands[1];
    copy->attributes = node->attributes;
    return Tensor(std::move(copy));
  }

  const Replacements& replacements_;
  const Realised& realised_;
  std::unordered_map<const Node*, Tensor> done_;
};

}  // namespace

bool is_detached(const Node& node) {
  return node.op == graph::Op::Input && node.name == kDetached;
}

void Realised::remember(const Tensor& expression, const Tensor& leaf) {
  if (entries_.size() >= drop_at_) drop_dead();
  entries_[&expression.node()] = {expression.pointer(), leaf.pointer()};
}

Tensor Realised::find(const NodePointer& node) const {
  const auto found = entries_.find(node.get());
  // An expression that died may have left its address to another node.
  if (found == entries_.end() || found->second.expression.lock() != node) return {};
  NodePointer leaf = found->second.leaf.lock();
  return leaf ? Tensor(std::move(leaf)) : Tensor();
}

void Realised::drop_dead() {
  std::erase_if(entries_,
                [](const auto& entry) { return entry.second.expression.expired() || entry.second.leaf.expired(); });
  drop_at_ = std::max<size_t>(1024, 2 * entries_.size());
}

Tensor detached(const Tensor& value) {
  if (is_detached(value.node())) return value;
  const std::shared_ptr<const void> payload(value.pointer().get(),
                                            [node = value.pointer()](const void*) mutable { drop(std::move(node)); });
  return tensor::input(kDetached, value.dtype(), value.shape(), payload);
}

Replacements by_node(const std::vector<std::pair<Tensor, Tensor>>& replacements) {
  Replacements map;
  for (const auto& [from, to] : replacements) map.emplace(&from.node(), to);
  return map;
}

std::vector<Tensor> replace(std::span<const Tensor> outputs, const Replacements& replacements,
                            const Realised& realised) {
  Replacer replacer(replacements, realised);
  std::vector<Tensor> replaced;
  for (const Tensor& output : outputs) replaced.push_back(replacer(output));
  return replaced;
}

std::vector<bool> reached(std::span<const Tensor> outputs, std::span<const Tensor> candidates) {
  std::unordered_set<const Node*> seen;
  for (const NodePointer& node : tensor::topological_order(outputs)) seen.insert(node.get());
  std::vector<bool> answers;
  for (const Tensor& candidate : candidates) answers.push_back(seen.contains(&candidate.node()));
  return answers;
}

}  // namespace quarry::python
