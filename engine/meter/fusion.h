// Which values are stored and what each of their kernels reads (docs/metering.md, Stored values). Must not depend on
// the device, because the bill and the memory bound are computed from it.
#pragma once

#include <array>
#include <unordered_map>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/idioms.h"
#include "engine/meter/index_work.h"
#include "engine/meter/meter.h"

namespace quarry::meter {

// A value that is neither a reduce result nor an output is stored when
inline constexpr int kMostIndexMaps = 2;  // it is reached through more index maps than this,
inline constexpr int kCheapWeight = 8;    // or its expression weighs more than this
inline constexpr int kFewReads = 4;       // and it is read by more kernels than this, or each element more often,
inline constexpr uint32_t kMostExpressionNodes = 512;  // or it would make an expression of more nodes than this.

/// One value that the kernel of `reader` loads.
struct Read {
  graph::NodeId reader, value;
  int64_t elements;  ///< how many different elements, summed over the views and at most all
  uint32_t views;
};

struct Fusion {
  std::vector<bool> stored;
  std::vector<Read> reads;
  std::vector<View> views;  ///< where kernels find elements; only With::Views
  IndexForms forms;         ///< of the views
};

/// Linear in the graph, but for expressions near the limit: those are searched once for each of their nodes.
enum class With { Reads, Views };
Fusion fuse(const Meaning& meaning, With with = With::Reads);
/// The stored values with what their kernels read, both ascending.
std::vector<StoredValue> stored_values(const Fusion& fusion);

}  // namespace quarry::meter
