// The normal form and the id of a graph (docs/graph-format.md, Identity).
//
// Live nodes are visited in post-order from the outputs in the order of their names, operands left to right, and equal
// nodes are merged: the order depends on nothing but what the graph computes. Then each node is hashed, operands before
// users. Nothing here recurses: a chain may be a million nodes deep.
#include <algorithm>
#include <array>

#include "engine/graph/fields.h"
#include "engine/graph/interner.h"

namespace quarry::graph {

namespace {

/// In the identity a CONST's value is its bits, so that 1, 1.0 and "0x3f800000" are one.
struct IdentityFields : CborFields {
  using CborFields::CborFields;
  void const_value(DType, uint64_t bits) { out_.unsigned_integer(bits); }
};

}  // namespace

class Normaliser {
 public:
  explicit Normaliser(const Graph& source) : source_(source), new_ids_(source.size(), kNoNode) {}

  NormalGraph run() {
    for (const Output& output : source_.outputs()) visit(output.node);
    for (const Output& output : source_.outputs()) graph_.outputs_.push_back({output.name, new_ids_[output.node]});
    std::ranges::sort(graph_.inputs_, [&](NodeId a, NodeId b) { return graph_.input_name(a) < graph_.input_name(b); });
    for (auto* pool : {&graph_.dimensions_, &graph_.attributes_}) pool->shrink_to_fit();
    graph_.nodes_.shrink_to_fit();
    const Digest id = graph_id();
    return {std::move(graph_), id};
  }

 private:
  void visit(NodeId root) {
    stack_.push_back(root);
    while (!stack_.empty()) {
      const NodeId id = stack_.back();
      if (new_ids_[id] != kNoNode) {
        stack_.pop_back();
        continue;
      }
      // The last operand is pushed first, so that the first is visited first.
      bool ready = true;
      for (int i = source_.operand_count(id) - 1; i >= 0; --i) {
        const NodeId operand = source_[id].operands[i];
        if (new_ids_[operand] != kNoNode) continue;
        stack_.push_back(operand);
        ready = false;
      }
      if (!ready) continue;
      stack_.pop_back();
      new_ids_[id] = keep(id);
    }
  }

  /// The node's id in the new graph: that of an equal node if there is one.
  NodeId keep(NodeId id) {
    Node node = source_[id];
    for (int i = 0; i < source_.operand_count(id); ++i) node.operands[i] = new_ids_[node.operands[i]];
    node.shape = shapes_.intern(graph_.dimensions_, source_.shape(id));
    const auto values = pooled_attributes(id);
    if (!values.empty()) node.attributes = attributes_.intern(graph_.attributes_, values);
    // Names of INPUTs are unique, so the name's index in the source tells INPUTs apart until it is replaced below.
    const auto candidate = static_cast<NodeId>(graph_.nodes_.size());
    const NodeId kept =
        node.op == Op::Input ? candidate : nodes_.find_or_keep(hash(node), candidate, [&](NodeId other) {
          return equal(graph_.nodes_[other], node);
        });
    if (kept != candidate) return kept;
    if (node.op == Op::Input) {
      node.attributes = static_cast<uint32_t>(graph_.names_.size());
      graph_.names_.emplace_back(source_.input_name(id));
      graph_.inputs_.push_back(candidate);
    }
    graph_.nodes_.push_back(node);
    return candidate;
  }

  std::span<const int64_t> pooled_attributes(NodeId id) const {
    const Node& node = source_[id];
    const auto pooled = [&](size_t count) { return std::span(source_.attributes_).subspan(node.attributes, count); };
    switch (node.op) {
      case Op::ReduceSum:
      case Op::ReduceMax:
        return pooled(static_cast<size_t>(source_.attributes_[node.attributes]) + 1);
      case Op::Permute:
      case Op::Stride:
        return pooled(node.rank);
      case Op::Pad:
      case Op::Shrink:
        return pooled(size_t{2} * node.rank);
      case Op::Const:
        return pooled(1);
      default:
        return {};
    }
  }

  uint64_t hash(const Node& node) const {
    const uint64_t kind = static_cast<uint64_t>(node.op) << 16 | static_cast<uint64_t>(node.dtype) << 8 | node.rank;
    uint64_t hash = nodes_.mix(nodes_.start_hash(), kind);
    hash = nodes_.mix(hash, uint64_t{node.operands[0]} << 32 | node.operands[1]);
    return nodes_.mix(hash, uint64_t{node.shape} << 32 | node.attributes);
  }

  // Shapes and attributes are interned: equal offsets mean equal values.
  static bool equal(const Node& a, const Node& b) {
    return a.op == b.op && a.dtype == b.dtype && a.rank == b.rank && a.shape == b.shape &&
           a.attributes == b.attributes && a.operands[0] == b.operands[0] && a.operands[1] == b.operands[1];
  }

  Digest graph_id() {
    std::vector<Digest> digests(graph_.size());
    Sha256 sha;
    CborWriter cbor;
    IdentityFields fields(cbor);
    for (NodeId id = 0; id < graph_.size(); ++id) {
      cbor.clear();
      cbor.array(3);
      cbor.text(name(graph_[id].op));
      cbor.map(field_count(graph_[id].op));
      write_fields(fields, graph_, id, "");
      const int operands = graph_.operand_count(id);
      cbor.array(static_cast<size_t>(operands));
      for (int i = 0; i < operands; ++i) cbor.bytes(digests[graph_[id].operands[i]]);
      sha.update(cbor.data());
      digests[id] = sha.finish();
    }
    std::vector<const Output*> outputs;
    for (const Output& output : graph_.outputs()) outputs.push_back(&output);
    std::ranges::sort(outputs, cbor_key_less, [](const Output* output) { return std::string_view(output->name); });
    cbor.clear();
    cbor.array(3);
    cbor.text("quarry-graph");
    cbor.unsigned_integer(1);
    cbor.map(outputs.size());
    for (const Output* output : outputs) {
      cbor.text(output->name);
      cbor.bytes(digests[output->node]);
    }
    sha.update(cbor.data());
    return sha.finish();
  }

  const Graph& source_;
  std::vector<NodeId> new_ids_;
  std::vector<NodeId> stack_;
  Graph graph_;
  Interner shapes_, attributes_;
  IdTable nodes_;
};

NormalGraph normalise(const Graph& graph) {
  return Normaliser(graph).run();
}

std::string NormalGraph::id_text() const {
  return "graph_" + to_hex(id);
}

std::optional<Digest> parse_graph_id(std::string_view text) {
  constexpr std::string_view prefix = "graph_";
  if (!text.starts_with(prefix)) return std::nullopt;
  return parse_digest(text.substr(prefix.size()));
}

}  // namespace quarry::graph
