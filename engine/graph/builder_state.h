// What a Builder has gathered so far, and the checks that every op shares. Private to builder.cpp and
// builder_checks.cpp.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/interner.h"

namespace quarry::graph {

struct Builder::State {
  Graph graph;
  Interner shapes, attributes;
  std::set<std::string, std::less<>> input_names, output_names;
  std::vector<uint8_t> movement_run;  ///< by node: how many movement ops in a row end here
  size_t reduces = 0;
  std::string next_label;
  std::optional<Problem> problem;

  /// Records what is wrong with the node being added. `place` is the rest of the pointer, e.g. "/axes/1". Returns
  /// kNoNode.
  NodeId refuse(Op op, std::string_view code, const std::string& detail, std::string_view place = "");
  /// Operand number `index` must be an earlier node.
  bool has_operand(Op op, NodeId x, int index);
  bool has_rank(Op op, NodeId x, size_t count, std::string_view field);
  bool has_valid_name(std::string_view text, const std::string& what, const std::string& pointer);
  /// Adds a node whose operands and attributes were checked; the limits on its shape and position are checked here.
  NodeId append(Op op, DType dtype, std::span<const int64_t> shape, NodeId x = kNoNode, NodeId y = kNoNode,
                uint32_t attribute = 0);

  bool within_shape_limits(Op op, std::span<const int64_t> shape);
  bool within_graph_limits(Op op, NodeId x);

  std::span<const int64_t> shape(NodeId id) const { return graph.shape(id); }
  std::string shape_text(NodeId id) const;
};

/// "[2, 3]"
std::string to_text(std::span<const int64_t> values);

}  // namespace quarry::graph
