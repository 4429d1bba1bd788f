// Which values are stored and what each of their kernels reads (design section 5, Stored values). Free of devices: the
// bill, the memory bound and lowering all follow from it.
#pragma once

#include <array>
#include <unordered_map>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/idioms.h"
#include "engine/meter/meter.h"

namespace quarry::meter {

// A value that is neither a reduce result nor an output is stored when
inline constexpr int kMostIndexMaps = 2;  // it is reached through more index maps than this,
inline constexpr int kCheapWeight = 8;    // or its expression weighs more than this
inline constexpr int kFewReads = 4;       // and it is read by more kernels than this, or each element more often,
inline constexpr uint32_t kMostExpressionNodes = 512;  // or it would make an expression of more nodes than this.

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

/// One value that the kernel of `reader` loads.
struct Read {
  graph::NodeId reader, value;
  int64_t elements;  ///< how many different elements, summed over the views and at most all
  uint32_t views;
};

struct Fusion {
  std::vector<bool> stored;
  std::vector<Read> reads;
};

/// Linear in the graph, but for expressions near the limit: those are searched once for each of their nodes.
Fusion fuse(const Meaning& meaning);
/// The stored values with what their kernels read, both ascending.
std::vector<StoredValue> stored_values(const Fusion& fusion);

}  // namespace quarry::meter
