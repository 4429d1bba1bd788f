// The fields of a node, written in one place for the wire forms and for identity: the three never drift apart.
#pragma once

#include "common/cbor.h"
#include "engine/graph/const_value.h"
#include "engine/graph/graph.h"

namespace quarry::graph {

/// Every field of a node but `op` and `src`, in the order of deterministic CBOR: by length of the key, then by letters.
/// Sink: key(k), text(s), number(u64), integers(span), pairs(span), const_value(dtype, bits).
template <class Sink>
void write_fields(Sink& sink, const Graph& graph, NodeId id, std::string_view label) {
  const Op op = graph[id].op;
  const bool is_value_source = is_source(op) && op != Op::Step;
  if (is_reduce(op) || op == Op::Permute) sink.key("axes"), sink.integers(graph.axes(id));
  if (op == Op::Iota) sink.key("axis"), sink.number(static_cast<uint64_t>(graph.iota_axis(id)));
  if (op == Op::Input) sink.key("name"), sink.text(graph.input_name(id));
  if (op == Op::Pad) sink.key("pads"), sink.pairs(graph.pairs(id));
  if (op == Op::Cast || is_value_source) sink.key("dtype"), sink.text(name(graph[id].dtype));
  if (!label.empty()) sink.key("label"), sink.text(label);
  if (op == Op::Reshape || op == Op::Expand || is_value_source) sink.key("shape"), sink.integers(graph.shape(id));
  if (op == Op::Const) sink.key("value"), sink.const_value(graph[id].dtype, graph.const_bits(id));
  if (op == Op::Shrink) sink.key("bounds"), sink.pairs(graph.pairs(id));
  if (op == Op::Rand) sink.key("stream"), sink.number(graph.rand_stream(id));
  if (op == Op::Stride) sink.key("strides"), sink.integers(graph.strides(id));
}

/// How many fields write_fields writes without a label.
inline size_t field_count(Op op) {
  switch (op) {
    case Op::Cast:
    case Op::ReduceSum:
    case Op::ReduceMax:
    case Op::Reshape:
    case Op::Permute:
    case Op::Expand:
    case Op::Pad:
    case Op::Shrink:
    case Op::Stride:
      return 1;
    case Op::Input:
    case Op::Const:
    case Op::Iota:
    case Op::Rand:
      return 3;
    default:
      return 0;
  }
}

/// The parts that identity and the CBOR form write alike.
class CborFields {
 public:
  explicit CborFields(CborWriter& out) : out_(out) {}
  void key(std::string_view key) { out_.text(key); }
  void text(std::string_view text) { out_.text(text); }
  void number(uint64_t value) { out_.unsigned_integer(value); }
  void integers(std::span<const int64_t> values) {
    out_.array(values.size());
    for (int64_t value : values) out_.integer(value);
  }
  void pairs(std::span<const Pair> values) {
    out_.array(values.size());
    for (const Pair& pair : values) {
      const int64_t both[] = {pair.before, pair.after};
      integers(both);
    }
  }

 protected:
  CborWriter& out_;
};

}  // namespace quarry::graph
