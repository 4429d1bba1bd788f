// Everything of a kernel between its arrays and one node, without reduces: elementwise ops, movement and sources.
// Evaluated for a list of positions at a time, so that a virtual value of any size costs one block of elements.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/device/device.h"
#include "engine/device/interpreter/view.h"
#include "engine/graph/idioms.h"
#include "engine/lower/kernel.h"

namespace quarry::device::interpreter {

/// Values that are loaded, not computed: what the kernel reads and what was reduced before.
using Arrays = std::unordered_map<graph::NodeId, const std::byte*>;

class Expression {
 public:
  /// Values of `root` are computed down to `loaded`, which must have every INPUT and reduce on the way.
  Expression(const lower::Kernel& kernel, const std::vector<bool>& loaded, graph::NodeId root);

  /// The index of a gather as its MUL's coordinates see it: the mask with its CASTs and its CMPEQ left out.
  static Expression index_of(const lower::Kernel& kernel, const std::vector<bool>& loaded, const graph::Gather& gather);

  /// The elements at these positions, as bits.
  std::vector<uint64_t> evaluate(Positions positions, const Arrays& arrays, const LaunchScalars& scalars) const;

 private:
  enum class Kind { Load, Source, Forward, Viewed, Unary, Binary, Cast, Select };
  struct Rule {
    graph::NodeId node;
    Kind kind;
    std::vector<size_t> operands;  ///< rules, all below this one
    std::optional<View> view;      ///< of Viewed: where it shows its operand
  };
  class Block;

  Expression(const lower::Kernel& kernel, const std::vector<bool>& loaded, graph::NodeId root,
             std::unordered_map<graph::NodeId, graph::NodeId> forwards);
  std::vector<graph::NodeId> operands_of(graph::NodeId node) const;
  Kind kind_of(graph::NodeId node) const;

  std::shared_ptr<const graph::NormalGraph> graph_;
  std::shared_ptr<const std::vector<bool>> zero_or_one_;
  const std::vector<bool>* loaded_;                            // only while the rules are made
  std::unordered_map<graph::NodeId, graph::NodeId> forwards_;  // nodes that pass on another one's elements
  std::vector<Rule> rules_;                                    // ascending, the root last
};

}  // namespace quarry::device::interpreter
