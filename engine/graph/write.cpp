// Graph -> its two wire forms. Both give the same value, CBOR in its deterministic encoding.
#include <algorithm>
#include <charconv>

#include "engine/graph/fields.h"

namespace quarry::graph {

namespace {

class JsonFields {
 public:
  explicit JsonFields(std::string& out) : out_(out) {}

  void key(std::string_view key) {
    if (out_.back() != '{') out_ += ", ";
    text(key);
    out_ += ": ";
  }
  void text(std::string_view text) {
    out_ += '"';
    for (char c : text) {  // names hold no control characters
      if (c == '"' || c == '\\') out_ += '\\';
      out_ += c;
    }
    out_ += '"';
  }
  template <class Number>
  void number(Number value) {
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    out_.append(digits, end);
  }
  void integers(std::span<const int64_t> values) {
    list(values, [&](int64_t value) { number(value); });
  }
  void pairs(std::span<const Pair> values) {
    list(values, [&](const Pair& pair) {
      const int64_t both[] = {pair.before, pair.after};
      integers(both);
    });
  }
  void const_value(DType dtype, uint64_t bits) {
    const WireValue value = to_wire_value(dtype, bits);
    if (const auto* string = std::get_if<std::string>(&value)) return text(*string);
    if (const auto* integer = std::get_if<int64_t>(&value)) return number(*integer);
    const size_t start = out_.size();
    number(std::get<double>(value));
    if (out_.find_first_of(".e", start) == std::string::npos) out_ += ".0";  // stays a float, and -0 keeps its sign
  }
  template <class Values, class Write>
  void list(const Values& values, Write write) {
    out_ += '[';
    bool first = true;
    for (const auto& value : values) {
      if (!first) out_ += ", ";
      first = false;
      write(value);
    }
    out_ += ']';
  }

 private:
  std::string& out_;
};

struct CborWireFields : CborFields {
  using CborFields::CborFields;
  void const_value(DType dtype, uint64_t bits) {
    const WireValue value = to_wire_value(dtype, bits);
    if (const auto* string = std::get_if<std::string>(&value))
      out_.text(*string);
    else if (const auto* integer = std::get_if<int64_t>(&value))
      out_.integer(*integer);
    else
      out_.floating(std::get<double>(value));
  }
};

std::span<const NodeId> operands(const Graph& graph, NodeId id) {
  return {graph[id].operands, static_cast<size_t>(graph.operand_count(id))};
}

}  // namespace

std::string write_json(const Graph& graph) {
  std::string text = "{\"version\": 1,\n \"nodes\": [";
  JsonFields fields(text);
  for (NodeId id = 0; id < graph.size(); ++id) {
    text += id == 0 ? "\n  {" : ",\n  {";
    fields.key("op");
    fields.text(name(graph[id].op));
    if (const auto src = operands(graph, id); !src.empty()) {
      fields.key("src");
      fields.list(src, [&](NodeId operand) { fields.number(operand); });
    }
    write_fields(fields, graph, id, graph.label(id));
    text += '}';
  }
  text += "],\n \"outputs\": {";
  for (const Output& output : graph.outputs()) {
    fields.key(output.name);
    fields.number(output.node);
  }
  return text + "}}\n";
}

std::vector<std::byte> write_cbor(const Graph& graph) {
  CborWriter cbor;
  CborWireFields fields(cbor);
  cbor.map(3);
  cbor.text("nodes");
  cbor.array(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const auto src = operands(graph, id);
    const std::string_view label = graph.label(id);
    cbor.map(1 + !src.empty() + !label.empty() + field_count(graph[id].op));
    fields.key("op");
    fields.text(name(graph[id].op));
    if (!src.empty()) {
      fields.key("src");
      cbor.array(src.size());
      for (NodeId operand : src) cbor.unsigned_integer(operand);
    }
    write_fields(fields, graph, id, label);
  }
  cbor.text("outputs");
  std::vector<const Output*> outputs;
  for (const Output& output : graph.outputs()) outputs.push_back(&output);
  std::ranges::sort(outputs, cbor_key_less, [](const Output* output) { return std::string_view(output->name); });
  cbor.map(outputs.size());
  for (const Output* output : outputs) {
    cbor.text(output->name);
    cbor.unsigned_integer(output->node);
  }
  cbor.text("version");
  cbor.unsigned_integer(1);
  return std::move(cbor).take();
}

}  // namespace quarry::graph
