// Patterns with a fixed meaning (design section 5, Idioms). The meter discounts and lowering specialises exactly what these functions
// match: one recogniser, so what is billed as a gather is run as a gather.
#pragma once

#include <optional>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::graph {

/// True when every element of the node is provably 0 or 1 (CMPEQ, bool, MUL or MAX of such, 1 - such, movement and CAST of such, ...).
/// One bottom-up pass over the graph: index by NodeId.
std::vector<bool> zero_or_one_values(const Graph& graph);

/// select(c, x, y) = MUL(POW(x, c), POW(y, SUB(1, c))), in either operand order of the MUL, c provably 0 or 1.
struct Select {
  NodeId condition, if_one, if_zero;
};
std::optional<Select> match_select(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId mul);

/// REDUCE_SUM over one axis k of MUL(mask, table): mask is CMPEQ(iota, index) through CAST and movement, iota runs along k as position
/// (value at position p is p + offset), index does not vary along k, both integer. Element = table with p := index - offset along k,
/// or exactly 0 when that lies outside.
struct Gather {
  NodeId table;      ///< operand of the MUL, same shape as the MUL
  NodeId index;      ///< integer value, same shape as the CMPEQ; read at position 0 along `index_axis`
  NodeId comparison; ///< the CMPEQ
  NodeId mask;       ///< operand of the MUL that holds the CMPEQ (through movement and CAST)
  int axis;          ///< k, in the MUL's shape
  int64_t offset;
};
std::optional<Gather> match_gather(const Graph& graph, NodeId reduce_sum);

/// select(CMPEQ(iota, index), new, old) with `old` an INPUT seen without movement, and iota along one axis.
/// In place when `old` is carried from the output that this node is.
struct RowUpdate {
  NodeId old_value;  ///< an INPUT
  NodeId new_value;  ///< same shape as the node
  NodeId index;      ///< same shape as the comparison; does not vary along `axis`
  NodeId comparison; ///< the CMPEQ
  int axis;
  int64_t offset;
};
std::optional<RowUpdate> match_row_update(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId mul);

/// SUM of MUL through movement and CAST.
struct Contraction {
  NodeId mul;
  NodeId left, right;    ///< the MUL's operands with CASTs stripped where those widen f16/bf16 to f32
  int width_bits;        ///< what the MUL and the SUM count at: the wider source width if both are such CASTs, else the MUL's
};
std::optional<Contraction> match_contraction(const Graph& graph, NodeId reduce_sum);

}  // namespace quarry::graph
