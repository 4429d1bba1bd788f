// The graph as the meter reads it: after its idioms have been recognised.
#pragma once

#include <array>
#include <unordered_map>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/idioms.h"

namespace quarry::meter {

/// What a graph means once its idioms are seen.
struct Meaning {
  explicit Meaning(const graph::Graph& graph);

  const graph::Graph& graph;
  std::vector<bool> zero_or_one;
  /// A select's condition, if_one and if_zero; a gather's table and index; the base of a POW with a cheap constant
  /// exponent; else the node's operands. kNoNode where absent.
  std::vector<std::array<graph::NodeId, 3>> operands;
  std::vector<bool> is_select;
  std::unordered_map<graph::NodeId, graph::Gather> gathers;  ///< by REDUCE_SUM
};

}  // namespace quarry::meter
