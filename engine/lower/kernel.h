// A kernel computes one stored value from INPUTs and other stored values, with everything between fused into it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/idioms.h"

namespace quarry::lower {

struct Kernel {
  std::shared_ptr<const graph::NormalGraph> graph;
  graph::NodeId result;  ///< the stored value
  /// INPUTs and stored values that it loads, ascending: the order of its buffer arguments. Those of
  /// meter::StoredValue, by which memory is laid out: a gather reads its table and index even where its mask is stored,
  /// and a row update lists its old value too (the result's own buffer).
  std::vector<graph::NodeId> reads;
  bool reads_step = false;
  bool reads_seed = false;
  /// Set when the result is written into the buffer of `row_update->old_value` and only the named rows are touched.
  std::optional<graph::RowUpdate> row_update;
  /// Set when the result is the CAST of this f32 SUM to 16 bits, through reshapes and permutations: one kernel computes
  /// both, and the SUM is not stored (fuse_casts).
  std::optional<graph::NodeId> rounded_sum;
  /// graph::zero_or_one_values of the graph, computed once for all of its kernels.
  std::shared_ptr<const std::vector<bool>> zero_or_one;
};

/// What a node's value is computed from, idioms seen through: a select's condition and branches, a gather's table and
/// index, else the node's operands.
std::vector<graph::NodeId> effective_operands(const graph::Graph& graph, const std::vector<bool>& zero_or_one,
                                              graph::NodeId id);

/// Splits a graph into kernels in launch order: one per stored value. `carry` (input name <- output name) makes row
/// updates in place.
std::vector<Kernel> partition(std::shared_ptr<const graph::NormalGraph> graph,
                              const std::vector<std::pair<std::string, std::string>>& carry);

/// Joins each f32 SUM that nothing reads but its CAST to 16 bits with that CAST, where `takes` accepts the joined
/// kernel: the SUM's four bytes an element are then neither written nor read. The results keep their bits.
std::vector<Kernel> fuse_casts(const std::vector<Kernel>& kernels, const std::function<bool(const Kernel&)>& takes);

}  // namespace quarry::lower
