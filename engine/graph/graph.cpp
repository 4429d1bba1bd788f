#include "engine/graph/graph.h"

#include <algorithm>
#include <array>

namespace quarry::graph {

namespace {

constexpr std::array<std::string_view, kOps> kOpNames = {
    "EXP",    "LOG",    "CAST",       "ADD",        "SUB",     "MUL",     "DIV",    "POW",
    "CMPEQ",  "MAX",    "REDUCE_SUM", "REDUCE_MAX", "RESHAPE", "PERMUTE", "EXPAND", "PAD",
    "SHRINK", "STRIDE", "INPUT",      "CONST",      "IOTA",    "RAND",    "STEP"};

}  // namespace

std::string_view name(Op op) {
  return kOpNames[static_cast<size_t>(op)];
}

std::optional<Op> parse_op(std::string_view text) {
  for (size_t i = 0; i < kOpNames.size(); ++i)
    if (kOpNames[i] == text) return static_cast<Op>(i);
  return std::nullopt;
}

int64_t Graph::elements(NodeId id) const {
  int64_t count = 1;
  for (int64_t size : shape(id)) {
    if (size == 0) return 0;
    count *= size;
  }
  return count;
}

int Graph::operand_count(NodeId id) const {
  const Op op = nodes_[id].op;
  if (is_source(op)) return 0;
  return is_binary(op) ? 2 : 1;
}

// The attribute pool's layout. REDUCE: the number of axes, then the axes. PERMUTE and STRIDE: rank values. PAD and
// SHRINK: rank pairs. CONST: the bits. Nodes without a pool entry keep a plain number in Node::attributes: IOTA its
// axis, RAND its stream, INPUT its name's index.
std::span<const int64_t> Graph::axes(NodeId id) const {
  const Node& node = nodes_[id];
  const int64_t* values = attributes_.data() + node.attributes;
  if (node.op == Op::Permute) return {values, node.rank};
  return {values + 1, static_cast<size_t>(values[0])};
}

std::span<const Pair> Graph::pairs(NodeId id) const {
  static_assert(sizeof(Pair) == 2 * sizeof(int64_t) && alignof(Pair) == alignof(int64_t));
  const Node& node = nodes_[id];
  return {reinterpret_cast<const Pair*>(attributes_.data() + node.attributes), node.rank};
}

std::span<const int64_t> Graph::strides(NodeId id) const {
  const Node& node = nodes_[id];
  return {attributes_.data() + node.attributes, node.rank};
}

uint64_t Graph::const_bits(NodeId id) const {
  return static_cast<uint64_t>(attributes_[nodes_[id].attributes]);
}
int Graph::iota_axis(NodeId id) const {
  return static_cast<int>(nodes_[id].attributes);
}
uint32_t Graph::rand_stream(NodeId id) const {
  return nodes_[id].attributes;
}
std::string_view Graph::input_name(NodeId id) const {
  return names_[nodes_[id].attributes];
}

std::string_view Graph::label(NodeId id) const {
  const auto found = labels_.find(id);
  return found == labels_.end() ? std::string_view() : found->second;
}

NodeId Graph::find_input(std::string_view text) const {
  const auto found = std::lower_bound(inputs_.begin(), inputs_.end(), text,
                                      [&](NodeId id, std::string_view wanted) { return input_name(id) < wanted; });
  return found != inputs_.end() && input_name(*found) == text ? *found : kNoNode;
}

NodeId Graph::find_output(std::string_view text) const {
  const auto found =
      std::lower_bound(outputs_.begin(), outputs_.end(), text,
                       [](const Output& output, std::string_view wanted) { return output.name < wanted; });
  return found != outputs_.end() && found->name == text ? found->node : kNoNode;
}

}  // namespace quarry::graph
