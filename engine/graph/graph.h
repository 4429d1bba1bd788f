// A graph: a static program of the twelve ops over movement and sources (docs/graph-format.md).
//
// Nodes stand in a table in topological order: an operand's id is always below its user's. Shapes, attributes and names
// live in shared pools, so a million nodes fit in well under 500 MB. A Graph is immutable once built; it is only ever
// made by Builder, which validates each node as it is added, so every Graph in the program is valid.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "common/sha256.h"
#include "engine/graph/dtype.h"

namespace quarry::graph {

enum class Op : uint8_t {
  // the twelve
  Exp,
  Log,
  Cast,
  Add,
  Sub,
  Mul,
  Div,
  Pow,
  CmpEq,
  Max,
  ReduceSum,
  ReduceMax,
  // movement
  Reshape,
  Permute,
  Expand,
  Pad,
  Shrink,
  Stride,
  // sources
  Input,
  Const,
  Iota,
  Rand,
  Step,
};
inline constexpr int kOps = 23;

std::string_view name(Op op);  ///< the wire name, e.g. "REDUCE_SUM"
std::optional<Op> parse_op(std::string_view name);

constexpr bool is_unary(Op op) {
  return op <= Op::Cast;
}
constexpr bool is_binary(Op op) {
  return op >= Op::Add && op <= Op::Max;
}
constexpr bool is_reduce(Op op) {
  return op == Op::ReduceSum || op == Op::ReduceMax;
}
constexpr bool is_movement(Op op) {
  return op >= Op::Reshape && op <= Op::Stride;
}
constexpr bool is_source(Op op) {
  return op >= Op::Input;
}

using NodeId = uint32_t;
inline constexpr NodeId kNoNode = UINT32_MAX;

struct Node {
  Op op;
  DType dtype;
  uint8_t rank;
  NodeId operands[2];   ///< kNoNode where absent
  uint32_t shape;       ///< offset into the dimension pool, `rank` entries
  uint32_t attributes;  ///< offset into the attribute pool; its meaning depends on op, see the accessors
};

struct Output {
  std::string name;
  NodeId node;
};

/// A half-open range or a pair of pad amounts along one axis.
struct Pair {
  int64_t before, after;
};

class Graph {
 public:
  size_t size() const { return nodes_.size(); }
  const Node& operator[](NodeId id) const { return nodes_[id]; }
  std::span<const int64_t> shape(NodeId id) const { return {dimensions_.data() + nodes_[id].shape, nodes_[id].rank}; }
  int64_t elements(NodeId id) const;  ///< product of the shape; 1 for rank 0
  int operand_count(NodeId id) const;

  /// REDUCE_*: the reduced axes, ascending. PERMUTE: for each result axis, the operand axis it shows.
  std::span<const int64_t> axes(NodeId id) const;
  /// PAD: zeros before and after each axis. SHRINK: the kept range [before, after) of each axis.
  std::span<const Pair> pairs(NodeId id) const;
  /// STRIDE: the step along each axis, never 0.
  std::span<const int64_t> strides(NodeId id) const;
  /// CONST: the value's bits in the low bytes, in the node's dtype (bool: 0 or 1).
  uint64_t const_bits(NodeId id) const;
  int iota_axis(NodeId id) const;
  uint32_t rand_stream(NodeId id) const;
  std::string_view input_name(NodeId id) const;
  /// The label a client gave the node, or empty: for messages, never hashed.
  std::string_view label(NodeId id) const;

  const std::vector<Output>& outputs() const { return outputs_; }  ///< sorted by name
  const std::vector<NodeId>& inputs() const { return inputs_; }    ///< INPUT nodes, sorted by name
  NodeId find_input(std::string_view name) const;                  ///< kNoNode if there is none
  NodeId find_output(std::string_view name) const;                 ///< the node, kNoNode if there is none

 private:
  friend class Builder;
  friend class Normaliser;
  std::vector<Node> nodes_;
  std::vector<int64_t> dimensions_;  // shapes, interned: equal shapes share their entries
  std::vector<int64_t> attributes_;
  std::vector<std::string> names_;  // of inputs
  std::unordered_map<NodeId, std::string> labels_;
  std::vector<Output> outputs_;
  std::vector<NodeId> inputs_;
};

/// Adds nodes one by one, checking each against docs/graph-format.md. The first error sticks: later calls do nothing
/// and finish() reports it, its pointer naming the node ("/nodes/17/axes"). Callers may therefore chain calls without
/// looking at each result.
class Builder {
 public:
  Builder();
  ~Builder();
  NodeId unary(Op op, NodeId x);  // Exp, Log
  NodeId cast(NodeId x, DType to);
  NodeId binary(Op op, NodeId x, NodeId y);
  NodeId reduce(Op op, NodeId x, std::span<const int64_t> axes);
  NodeId reshape(NodeId x, std::span<const int64_t> shape);
  NodeId permute(NodeId x, std::span<const int64_t> axes);
  NodeId expand(NodeId x, std::span<const int64_t> shape);
  NodeId pad(NodeId x, std::span<const Pair> amounts);
  NodeId shrink(NodeId x, std::span<const Pair> ranges);
  NodeId stride(NodeId x, std::span<const int64_t> steps);
  NodeId input(std::string_view name, DType dtype, std::span<const int64_t> shape);
  NodeId constant(DType dtype, std::span<const int64_t> shape, uint64_t bits);
  NodeId constant_f64(DType dtype, std::span<const int64_t> shape, double value);  ///< rounded or converted to dtype
  NodeId iota(DType dtype, std::span<const int64_t> shape, int axis);
  NodeId rand(DType dtype, std::span<const int64_t> shape, uint32_t stream);
  NodeId step();
  void label(NodeId node, std::string_view text);
  /// Labels the node that is added next, so that errors in that very node can name it.
  void label_next(std::string_view text);
  void output(std::string_view name, NodeId node);

  bool failed() const;
  const Problem& problem() const;
  /// Records an error found by the caller (the parsers use it); only the first one is kept.
  void fail(Problem problem);
  std::span<const int64_t> shape(NodeId node) const;
  DType dtype(NodeId node) const;
  size_t size() const;

  /// Ends the graph: needs at least one output, whole-graph limits are checked here. The builder is spent.
  Result<Graph> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A graph in normal form: no dead and no repeated nodes, in the one canonical order. The meter and lowering take
/// nothing else.
struct NormalGraph {
  Graph graph;
  Digest id;                    ///< the graph id
  std::string id_text() const;  ///< "graph_" + 64 hex digits
};

/// Section 5, Identity. Deterministic: equal programs give byte-equal results whatever order or spelling they came in.
NormalGraph normalise(const Graph& graph);

std::optional<Digest> parse_graph_id(std::string_view text);

/// The two wire forms. Parsers stream (SAX) into the node table and refuse unknown fields, forward references and
/// anything past limits.h; a Problem's pointer names the place. Writers give the same value back, CBOR deterministic
/// (RFC 8949 4.2.1).
Result<Graph> parse_json(std::string_view text);
Result<Graph> parse_cbor(std::span<const std::byte> bytes);
std::string write_json(const Graph& graph);
std::vector<std::byte> write_cbor(const Graph& graph);

}  // namespace quarry::graph
