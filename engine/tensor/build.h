// From tensors to a wire graph.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// An INPUT of a built graph: its wire name there, and the tensor it came from.
struct BuiltInput {
  std::string name;
  Tensor tensor;
};

struct Built {
  graph::Graph graph;
  std::vector<BuiltInput> inputs;  ///< in order of first use
};

/// Writes the graph that computes `outputs`. INPUTs without a name are called "x0", "x1", ... in order of first use, so
/// the same program gives the same graph id. Throws TensorError when two INPUTs have one name, or past a limit of the
/// graph format.
Built build(const std::vector<std::pair<std::string, Tensor>>& outputs);

enum class Follow {
  Operands,    ///< what is computed from what
  Derivatives  ///< which way gradients go: a node with a derivative of its own leads to what that is of, not to
               ///< operands
};
/// The nodes that `outputs` need, operands before users, each once.
std::vector<NodePointer> topological_order(std::span<const Tensor> outputs, Follow follow = Follow::Operands);

}  // namespace quarry::tensor
