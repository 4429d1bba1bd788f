// Parse events in, Graph out: what the JSON and the CBOR parser share. Nothing is kept of a node once it stands in the
// Builder's table.
//
// The events are those of nlohmann's SAX interface, so that its JSON parser calls this class directly. Each returns
// false to stop the parse; result() then tells why. The structure of the document bounds the nesting: an array or
// object where none belongs is refused at once.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/const_value.h"
#include "engine/graph/graph.h"
#include "engine/graph/limits.h"

namespace quarry::graph {

class GraphReader {
 public:
  bool null() { return wrong_type("null"); }
  bool boolean(bool) { return wrong_type("a boolean"); }
  /// Negative integers, and 0 for JSON's "-0".
  bool number_integer(int64_t value);
  bool number_unsigned(uint64_t value);
  bool number_float(double value, const std::string& text);
  bool string(std::string& value);
  bool binary(std::vector<uint8_t>&) { return wrong_type("a byte string"); }
  bool start_object(size_t);
  bool key(std::string& key);
  bool end_object();
  bool start_array(size_t);
  bool end_array();

  /// The text itself is broken: syntax, encoding, size. Only the first problem is kept.
  bool malformed(std::string code, std::string detail);
  Result<Graph> result() { return builder_.finish(); }

 private:
  enum class Place { Document, Graph, Nodes, Node, Integers, Pairs, Pair, Outputs, Done };
  enum Field : uint8_t {
    kOp,
    kSrc,
    kName,
    kDtype,
    kShape,
    kAxes,
    kAxis,
    kPads,
    kBounds,
    kStrides,
    kStream,
    kValue,
    kLabel,
    kFields
  };
  static constexpr std::array<std::string_view, kFields> kFieldNames = {
      "op", "src", "name", "dtype", "shape", "axes", "axis", "pads", "bounds", "strides", "stream", "value", "label"};
  enum TopField : uint8_t { kVersion, kNodes, kOutputs, kTopFields };
  static constexpr std::array<std::string_view, kTopFields> kTopNames = {"version", "nodes", "outputs"};

  /// A list of at most kMaxRank integers.
  struct Integers {
    std::array<int64_t, kMaxRank> values{};
    size_t size = 0;
    std::span<const int64_t> span() const { return {values.data(), size}; }
  };
  /// The fields of the node that is being read, in whatever order they come.
  struct RawNode {
    uint32_t present = 0;  ///< a bit for each Field
    Op op = Op::Step;
    DType dtype = DType::Bool;
    std::string name, label;
    Integers src, shape, axes, strides;
    std::array<Pair, kMaxRank> pairs{};
    size_t pair_count = 0;
    int64_t axis = 0, stream = 0;
    WireValue value;
  };

  bool refuse(std::string_view code, const std::string& detail, const std::string& pointer);
  bool refuse_node(std::string_view code, const std::string& detail, std::string_view place);
  bool wrong_type(std::string_view got);
  bool integer(int64_t value);
  bool top_integer(int64_t value);
  bool enter_list(Integers& list);
  bool list_item(int64_t value);
  bool dtype(std::string_view text);
  bool op(std::string_view text);
  bool top_key(std::string_view key);
  bool node_key(std::string_view key);
  bool end_graph();
  bool end_node();
  bool fields_match();
  bool operands_exist();
  void add_node();
  void add_source();
  std::string here() const;
  std::string expected() const;

  Builder builder_;
  Place place_ = Place::Document;
  uint32_t top_present_ = 0;
  TopField top_field_ = kVersion;
  Field field_ = kOp;
  RawNode node_;
  Integers* list_ = nullptr;  ///< the list of node_ that is being read
  Integers pair_;
  std::string output_name_;
  std::vector<std::pair<std::string, int64_t>> outputs_;  ///< may come before the nodes: resolved at the end
};

}  // namespace quarry::graph
