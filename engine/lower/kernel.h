// A kernel computes one stored value from INPUTs and other stored values, with everything between fused into it.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/idioms.h"

namespace quarry::lower {

struct Kernel {
  std::shared_ptr<const graph::NormalGraph> graph;
  graph::NodeId result;                  ///< the stored value
  std::vector<graph::NodeId> reads;      ///< INPUTs and stored values that it loads, ascending: the order of its buffer arguments
  bool reads_step = false;
  bool reads_seed = false;
  /// Set when the result is written into the buffer of `row_update->old_value` and only the named rows are touched.
  std::optional<graph::RowUpdate> row_update;
};

/// Splits a graph into kernels in launch order: one per stored value. `carry` (input name <- output name) makes row updates in place.
std::vector<Kernel> partition(std::shared_ptr<const graph::NormalGraph> graph,
                              const std::vector<std::pair<std::string, std::string>>& carry);

}  // namespace quarry::lower
