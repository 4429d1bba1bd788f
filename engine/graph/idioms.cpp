#include "engine/graph/idioms.h"

#include <algorithm>
#include <cmath>

#include "engine/graph/coordinates.h"
#include "engine/graph/number.h"

namespace quarry::graph {

namespace {

constexpr int kLargestHalves = 128;  // 64.0: multiples of 1/2 up to it are exact in every float dtype

bool holds_halves(DType dtype, int halves) {
  if (is_float(dtype)) return true;
  if (halves % 2 != 0) return false;
  if (dtype == DType::Bool) return halves == 0 || halves == 2;
  return halves >= 0 || dtype != DType::U8;
}

/// Twice the number, where that is a small integer. -0.0 is not 0: POW and DIV tell them apart.
std::optional<int> const_halves(DType dtype, uint64_t bits) {
  const double halves = 2 * to_double(dtype, bits);
  const bool is_small_integer = std::abs(halves) <= kLargestHalves && halves == std::trunc(halves);
  if (!is_small_integer || (halves == 0 && std::signbit(halves))) return std::nullopt;
  return static_cast<int>(halves);
}

bool is_constant(const Graph& graph, NodeId node, int halves) {
  return constant_in_halves(graph, node) == halves;
}

bool node_is_zero_or_one(const Graph& graph, const std::vector<bool>& known, NodeId id) {
  const Node& node = graph[id];
  const auto operand = [&](int i) { return node.operands[i] != kNoNode && known[node.operands[i]]; };
  switch (node.op) {
    // The greatest of nothing is the lowest value.
    case Op::ReduceMax:
      return node.dtype == DType::Bool ||
             (operand(0) && (graph.elements(node.operands[0]) > 0 || graph.elements(id) == 0));
    case Op::Const:
      return is_zero_or_one(node.dtype, graph.const_bits(id));
    case Op::Iota:
      return graph.shape(id)[static_cast<size_t>(graph.iota_axis(id))] <= 2;
    default:
      return keeps_zero_or_one(
          node.op, node.dtype,
          {operand(0), operand(1), node.op == Op::Sub && operand(1) && is_constant(graph, node.operands[0], 2)});
  }
}

bool same_shape(const Graph& graph, NodeId a, NodeId b) {
  return std::ranges::equal(graph.shape(a), graph.shape(b));
}

/// Whether two movement or CAST nodes do the same to their operands. PAD is left out: its zeros are no 1 - c.
bool same_step(const Graph& graph, NodeId a, NodeId b) {
  if (graph[a].op != graph[b].op || graph[a].dtype != graph[b].dtype || !same_shape(graph, a, b)) return false;
  const NodeId from_a = graph[a].operands[0];
  const NodeId from_b = graph[b].operands[0];
  switch (graph[a].op) {
    case Op::Cast:
      return graph[from_a].dtype == graph[from_b].dtype;
    case Op::Reshape:
    case Op::Expand:
      return same_shape(graph, from_a, from_b);
    case Op::Permute:
      return std::ranges::equal(graph.axes(a), graph.axes(b));
    case Op::Shrink:
      return same_shape(graph, from_a, from_b) &&
             std::ranges::equal(graph.pairs(a), graph.pairs(b), [](const Pair& x, const Pair& y) {
               return x.before == y.before && x.after == y.after;
             });
    case Op::Stride:
      return same_shape(graph, from_a, from_b) && std::ranges::equal(graph.strides(a), graph.strides(b));
    default:
      return false;
  }
}

/// Whether `inverse` is 1 - condition for a condition that is 0 or 1: SUB(1, condition), or the same movement and CASTs
/// of such a pair.
bool is_complement(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId condition, NodeId inverse) {
  for (int i = 0; i < kIdiomReach; ++i) {
    const Node& node = graph[inverse];
    if (node.op == Op::Sub && node.operands[1] == condition) {
      return zero_or_one[condition] && is_constant(graph, node.operands[0], 2);
    }
    if (!same_step(graph, condition, inverse)) return false;
    condition = graph[condition].operands[0];
    inverse = graph[inverse].operands[0];
  }
  return false;
}

/// A node seen from further up: the coordinates at which it is read.
struct Seen {
  NodeId node;
  Coordinates at;
};

/// Follows movement and CASTs from `from` to the first node of another kind. Every CAST on the way must satisfy
/// `accepts`.
template <class AcceptsCast>
std::optional<Seen> look_through(const Graph& graph, Seen from, AcceptsCast accepts) {
  for (int i = 0; i < kIdiomReach; ++i) {
    const Node& node = graph[from.node];
    if (is_movement(node.op)) {
      if (!follow_movement(graph, from.node, from.at)) return std::nullopt;
    } else if (node.op != Op::Cast || !accepts(from.node)) {
      return from;
    }
    from.node = node.operands[0];
  }
  return std::nullopt;
}

bool any_cast(NodeId) {
  return true;
}

/// The position that an IOTA counts, if `from` is one seen through movement and integer CASTs that keep its values.
std::optional<Coordinate> iota_coordinate(const Graph& graph, Seen from) {
  int64_t kept = highest_integer(graph[from.node].dtype);
  const auto keeps_values = [&](NodeId cast) {
    kept = std::min(kept, highest_integer(graph[cast].dtype));
    return is_integer(graph[graph[cast].operands[0]].dtype) && is_integer(graph[cast].dtype);
  };
  auto seen = look_through(graph, std::move(from), keeps_values);
  if (!seen || graph[seen->node].op != Op::Iota) return std::nullopt;
  const auto axis = static_cast<size_t>(graph.iota_axis(seen->node));
  if (graph.shape(seen->node)[axis] - 1 > kept) return std::nullopt;
  return seen->at[axis];
}

/// Whether the value provably stays the same when only the coordinate p[axis] changes. Looks through arithmetic too, at
/// kIdiomReach nodes at most.
bool does_not_vary(const Graph& graph, Seen from, int axis) {
  std::vector<Seen> pending{std::move(from)};
  for (int visited = 0; !pending.empty(); ++visited) {
    if (visited == kIdiomReach) return false;
    Seen seen = std::move(pending.back());
    pending.pop_back();
    const Node& node = graph[seen.node];
    if (node.op == Op::Const || !any_depends_on(seen.at, axis)) continue;
    if (is_movement(node.op)) {
      if (!follow_movement(graph, seen.node, seen.at)) return false;
      pending.push_back({node.operands[0], std::move(seen.at)});
    } else if (node.op == Op::Iota) {
      if (seen.at[static_cast<size_t>(graph.iota_axis(seen.node))].depends_on(axis)) return false;
    } else if (is_unary(node.op) || is_binary(node.op)) {
      for (int i = 0; i < graph.operand_count(seen.node); ++i) pending.push_back({node.operands[i], seen.at});
    } else {
      return false;
    }
  }
  return true;
}

/// CMPEQ(iota, index) as seen from above: the IOTA's position and the other operand.
struct Comparison {
  NodeId node, index;
  Coordinate position;
  Coordinates at;
};

/// The comparison below `mask`, in every reading of its operands (both may be IOTAs), integer operands only.
std::vector<Comparison> comparisons(const Graph& graph, NodeId mask) {
  auto start = identity_coordinates(graph.shape(mask));
  if (!start) return {};
  auto seen = look_through(graph, {mask, std::move(*start)}, any_cast);
  if (!seen || graph[seen->node].op != Op::CmpEq || !is_integer(graph[seen->node].dtype)) return {};
  std::vector<Comparison> found;
  const Node& node = graph[seen->node];
  for (int side : {0, 1}) {
    if (auto position = iota_coordinate(graph, {node.operands[side], seen->at})) {
      found.push_back({seen->node, node.operands[1 - side], std::move(*position), seen->at});
    }
  }
  return found;
}

/// The one axis that is summed, others having size 1.
std::optional<int> only_axis(const Graph& graph, NodeId reduce) {
  const auto shape = graph.shape(graph[reduce].operands[0]);
  std::optional<int> only;
  for (int64_t axis : graph.axes(reduce)) {
    if (shape[static_cast<size_t>(axis)] == 1 && graph.axes(reduce).size() > 1) continue;
    if (only) return std::nullopt;
    only = static_cast<int>(axis);
  }
  return only;
}

std::optional<Gather> gather_of(const Graph& graph, NodeId mul, int side, int axis) {
  const auto shape = graph.shape(mul);
  const NodeId mask = graph[mul].operands[side];
  for (const Comparison& comparison : comparisons(graph, mask)) {
    const auto position = as_axis_position(comparison.position, shape);
    const bool runs_along_axis = position && position->axis == axis;
    const bool stands_still = shape[static_cast<size_t>(axis)] == 1 && comparison.position.terms.empty();
    if (!runs_along_axis && !stands_still) continue;
    if (!does_not_vary(graph, {comparison.index, comparison.at}, axis)) continue;
    return Gather{graph[mul].operands[1 - side], comparison.index, comparison.node, mask, axis,
                  comparison.position.constant};
  }
  return std::nullopt;
}

/// Width of the f16 or bf16 value that `node` shows as f32, through movement; 0 when it is no such thing.
int widened_from_bits(const Graph& graph, NodeId node) {
  for (int i = 0; i < kIdiomReach && is_movement(graph[node].op); ++i) node = graph[node].operands[0];
  if (graph[node].op != Op::Cast || graph[node].dtype != DType::F32) return 0;
  const DType source = graph[graph[node].operands[0]].dtype;
  return source == DType::F16 || source == DType::BF16 ? 16 : 0;
}

NodeId without_widening(const Graph& graph, NodeId node) {
  return graph[node].op == Op::Cast && widened_from_bits(graph, node) > 0 ? graph[node].operands[0] : node;
}

}  // namespace

std::vector<bool> zero_or_one_values(const Graph& graph) {
  std::vector<bool> known(graph.size(), false);
  for (NodeId id = 0; id < graph.size(); ++id) known[id] = node_is_zero_or_one(graph, known, id);
  return known;
}

bool keeps_zero_or_one(Op op, DType dtype, const KnownOperands& known) {
  if (dtype == DType::Bool || op == Op::CmpEq) return true;
  switch (op) {
    case Op::Mul:
    case Op::Max:
    case Op::Pow:
      return known.first && known.second;
    case Op::Sub:
      return known.second && known.first_is_one;
    case Op::Cast:
      return known.first;
    default:
      return is_movement(op) && known.first;
  }
}

bool is_zero_or_one(DType dtype, uint64_t bits) {
  const auto halves = const_halves(dtype, bits);
  return halves == 0 || halves == 2;
}

std::optional<int> constant_in_halves(const Graph& graph, NodeId node) {
  const NodeId seen_as = node;
  for (int i = 0; i < kIdiomReach && graph[node].op != Op::Const; ++i) {
    const Op op = graph[node].op;
    const bool keeps_values = is_movement(op) && op != Op::Pad;
    if (!keeps_values && op != Op::Cast) return std::nullopt;
    node = graph[node].operands[0];
  }
  if (graph[node].op != Op::Const) return std::nullopt;
  const auto halves = const_halves(graph[node].dtype, graph.const_bits(node));
  if (!halves) return std::nullopt;
  for (NodeId step = seen_as; step != node; step = graph[step].operands[0]) {
    if (!holds_halves(graph[step].dtype, *halves)) return std::nullopt;
  }
  return halves;
}

std::optional<Select> match_select(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId mul) {
  if (graph[mul].op != Op::Mul) return std::nullopt;
  const auto [left, right] = graph[mul].operands;
  if (graph[left].op != Op::Pow || graph[right].op != Op::Pow) return std::nullopt;
  for (const auto& [one, zero] : {std::pair(left, right), std::pair(right, left)}) {
    const NodeId condition = graph[one].operands[1];
    if (is_complement(graph, zero_or_one, condition, graph[zero].operands[1])) {
      return Select{condition, graph[one].operands[0], graph[zero].operands[0]};
    }
  }
  return std::nullopt;
}

std::optional<Gather> match_gather(const Graph& graph, NodeId reduce_sum) {
  if (graph[reduce_sum].op != Op::ReduceSum) return std::nullopt;
  const NodeId mul = graph[reduce_sum].operands[0];
  if (graph[mul].op != Op::Mul) return std::nullopt;
  const auto axis = only_axis(graph, reduce_sum);
  if (!axis) return std::nullopt;
  for (int side : {0, 1}) {
    if (auto gather = gather_of(graph, mul, side, *axis)) return gather;
  }
  return std::nullopt;
}

std::optional<RowUpdate> match_row_update(const Graph& graph, const std::vector<bool>& zero_or_one, NodeId mul) {
  const auto select = match_select(graph, zero_or_one, mul);
  if (!select || graph[select->if_zero].op != Op::Input) return std::nullopt;
  for (const Comparison& comparison : comparisons(graph, select->condition)) {
    const auto position = as_axis_position(comparison.position, graph.shape(mul));
    if (!position || !does_not_vary(graph, {comparison.index, comparison.at}, position->axis)) continue;
    return RowUpdate{select->if_zero, select->if_one, comparison.index,
                     comparison.node, position->axis, position->offset};
  }
  return std::nullopt;
}

int64_t row_elements(const Graph& graph, NodeId node, const RowUpdate& update) {
  const int64_t rows = graph.shape(node)[static_cast<size_t>(update.axis)];
  return rows == 0 ? 0 : graph.elements(node) / rows;
}

RowUpdates in_place_row_updates(const Graph& graph, const std::vector<bool>& zero_or_one,
                                const std::vector<std::pair<std::string, std::string>>& carry) {
  RowUpdates found;
  for (const auto& [input, output] : carry) {
    const NodeId node = graph.find_output(output);
    const NodeId old_value = graph.find_input(input);
    if (node == kNoNode || old_value == kNoNode) continue;
    const auto select = match_select(graph, zero_or_one, node);
    if (!select || select->if_zero != old_value)
      continue;  // many INPUTs may be carried from one output: only one is updated
    if (const auto update = match_row_update(graph, zero_or_one, node)) found.emplace(node, *update);
  }
  if (found.empty()) return found;

  // One reader each: the POW of the select, itself read by the select alone.
  std::vector<uint32_t> readers(graph.size(), 0);
  for (NodeId id = 0; id < graph.size(); ++id) {
    for (int i = 0; i < graph.operand_count(id); ++i) ++readers[graph[id].operands[i]];
  }
  for (const Output& output : graph.outputs()) ++readers[output.node];
  const auto is_shared = [&](const RowUpdates::value_type& candidate) {
    const auto& [node, update] = candidate;
    const auto [left, right] = graph[node].operands;
    const NodeId pow = graph[left].operands[0] == update.old_value ? left : right;
    return readers[update.old_value] != 1 || readers[pow] != 1;
  };
  std::erase_if(found, is_shared);
  return found;
}

std::optional<Contraction> match_contraction(const Graph& graph, NodeId reduce_sum) {
  if (graph[reduce_sum].op != Op::ReduceSum) return std::nullopt;
  NodeId mul = graph[reduce_sum].operands[0];
  for (int i = 0; i < kIdiomReach && (is_movement(graph[mul].op) || graph[mul].op == Op::Cast); ++i) {
    mul = graph[mul].operands[0];
  }
  if (graph[mul].op != Op::Mul) return std::nullopt;
  const auto [left, right] = graph[mul].operands;
  const int left_bits = widened_from_bits(graph, left);
  const int right_bits = widened_from_bits(graph, right);
  const bool is_narrow = left_bits > 0 && right_bits > 0;
  const int own_bits = static_cast<int>(8 * byte_size(graph[mul].dtype));
  return Contraction{mul, without_widening(graph, left), without_widening(graph, right),
                     is_narrow ? std::max(left_bits, right_bits) : own_bits, is_narrow};
}

}  // namespace quarry::graph
