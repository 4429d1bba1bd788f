// Graphs with some of their nodes replaced: how values that are already known, detached tensors and the state of a
// captured step get into what is built.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/tensor/tensor.h"

namespace quarry::python {

/// Which tensors' values are known: node -> an INPUT that has the value. Holds neither of them alive.
class Realised {
 public:
  void remember(const tensor::Tensor& expression, const tensor::Tensor& leaf);
  /// The leaf, or no tensor.
  tensor::Tensor find(const tensor::NodePointer& node) const;

 private:
  struct Entry {
    std::weak_ptr<const tensor::Node> expression, leaf;
  };
  void drop_dead();
  std::unordered_map<const tensor::Node*, Entry> entries_;
  size_t drop_at_ = 1024;
};

/// No input's name begins with it: the mark of detached tensors.
inline constexpr char kReservedNameStart = '\x01';
/// An INPUT that stands for `value` but lets no gradient through: replace() puts the value in its place.
tensor::Tensor detached(const tensor::Tensor& value);
/// Whether it is one: then its payload is a node, no Python object.
bool is_detached(const tensor::Node& node);

using Replacements = std::unordered_map<const tensor::Node*, tensor::Tensor>;
Replacements by_node(const std::vector<std::pair<tensor::Tensor, tensor::Tensor>>& replacements);

/// `outputs` written anew: nodes in `replacements` are replaced (and not looked into), those in `realised` become their
/// leaves, detached tensors the values they stand for. What has nothing of these below it stays the same node.
std::vector<tensor::Tensor> replace(std::span<const tensor::Tensor> outputs, const Replacements& replacements,
                                    const Realised& realised);

/// For each candidate whether `outputs` are computed from it, without looking through detached tensors.
std::vector<bool> reached(std::span<const tensor::Tensor> outputs, std::span<const tensor::Tensor> candidates);

}  // namespace quarry::python
