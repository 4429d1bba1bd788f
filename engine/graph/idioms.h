// Patterns with a fixed meaning (docs/graph-format.md, section 5). The meter discounts and lowering specialises exactly
// what these functions match: one recogniser, so what is billed as a gather is run as a gather.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::graph {

/// How many nodes of movement and CAST a recogniser looks through before it gives up: keeps each match local. A graph
/// may have kMaxMovementInARow of movement in a row; the rest is for CASTs between them.
inline constexpr int kIdiomReach = 80;

/// True when every element of the node is provably 0 or 1 (CMPEQ, bool, MUL or MAX of such, 1 - such, movement and CAST
/// of such, ...). One bottom-up pass over the graph: index by NodeId.
std::vector<bool> zero_or_one_values(const Graph& graph);

/// The part of that rule that looks at one node: whether an op of this result dtype keeps to 0 and 1, from what is
/// known of its operands. Of sources and reduces it knows only that bools do; `first_is_one` matters where `second`
/// holds.
struct KnownOperands {
  bool first = false, second = false;  ///< the operand is provably 0 or 1
  bool first_is_one = false;           ///< it is the constant 1
};
bool keeps_zero_or_one(Op op, DType dtype, const KnownOperands& known);
/// Of the element of a CONST. -0.0 is neither: POW and DIV tell it from 0.
bool is_zero_or_one(DType dtype, uint64_t bits);

/// select(c, x, y) = MUL(POW(x, c), POW(y, SUB(1, c))), in either operand order of the MUL, c provably 0 or 1.
struct Select {
  NodeId condition, if_one, if_zero;
};
std::optional<Select> match_select(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId mul);

/// REDUCE_SUM over one axis k of MUL(mask, table): mask is CMPEQ(iota, index) through CAST and movement, iota runs
/// along k as position (value at position p is p + offset), index does not vary along k, both integer. Element = table
/// with p := index - offset along k, or exactly 0 when that lies outside.
struct Gather {
  NodeId table;       ///< operand of the MUL, same shape as the MUL
  NodeId index;       ///< integer value, same shape as the CMPEQ; does not vary along k: read at position 0 of it
  NodeId comparison;  ///< the CMPEQ
  NodeId mask;        ///< operand of the MUL that holds the CMPEQ (through movement and CAST)
  int axis;           ///< k, in the MUL's shape
  int64_t offset;
};
std::optional<Gather> match_gather(const Graph& graph, NodeId reduce_sum);

/// select(CMPEQ(iota, index), new, old) with `old` an INPUT seen without movement, and iota along one axis.
/// In place when `old` is carried from the output that this node is.
struct RowUpdate {
  NodeId old_value;   ///< an INPUT
  NodeId new_value;   ///< same shape as the node
  NodeId index;       ///< same shape as the comparison; does not vary along `axis`
  NodeId comparison;  ///< the CMPEQ
  int axis;
  int64_t offset;
};
std::optional<RowUpdate> match_row_update(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId mul);

/// By the node that updates.
using RowUpdates = std::unordered_map<NodeId, RowUpdate>;
/// The row updates that are done in place: the node is the output that `carry` (input <- output) assigns to the INPUT
/// it updates, and nothing else in the graph reads that INPUT or shows it as an output.
RowUpdates in_place_row_updates(const Graph& graph, const std::vector<bool>& zero_or_one,
                                const std::vector<std::pair<std::string, std::string>>& carry);

/// The elements of one row: what an update in place writes.
int64_t row_elements(const Graph& graph, NodeId node, const RowUpdate& update);

/// Twice the value of a node whose elements are all one small constant (a multiple of 1/2, at most 64 in size), seen
/// through movement and CASTs that keep it: 4 for 2.0, -1 for -0.5. The exponents of POW that are cheaper than a
/// general POW are found by it.
std::optional<int> constant_in_halves(const Graph& graph, NodeId node);

/// SUM of MUL through movement and CAST.
struct Contraction {
  NodeId mul;
  NodeId left,
      right;       ///< the MUL's operands; those that are themselves CASTs from f16/bf16 to f32 with the CAST stripped
  int width_bits;  ///< the wider source width if both are such CASTs (also seen through movement), else the MUL's
  bool is_narrow;  ///< both are such CASTs: the MUL and the SUM count at width_bits
};
std::optional<Contraction> match_contraction(const Graph& graph, NodeId reduce_sum);

}  // namespace quarry::graph
