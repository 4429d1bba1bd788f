#include "engine/graph/graph_reader.h"

#include "common/text.h"

namespace quarry::graph {

namespace {

std::string number_text(size_t value) {
  return std::to_string(value);
}

}  // namespace

// Where the event stands, as a JSON Pointer.
std::string GraphReader::here() const {
  const std::string node = "/nodes/" + number_text(builder_.size());
  const std::string field = node + "/" + std::string(kFieldNames[field_]);
  switch (place_) {
    case Place::Document:
    case Place::Done:
      return "";
    case Place::Graph:
      return "/" + std::string(kTopNames[top_field_]);
    case Place::Nodes:
      return node;
    case Place::Node:
      return field;
    case Place::Integers:
      return field + "/" + number_text(list_->size);
    case Place::Pairs:
      return field + "/" + number_text(node_.pair_count);
    case Place::Pair:
      return field + "/" + number_text(node_.pair_count) + "/" + number_text(pair_.size);
    case Place::Outputs:
      return json_pointer("/outputs", output_name_);
  }
  return "";
}

std::string GraphReader::expected() const {
  switch (place_) {
    case Place::Document:
      return "a graph is an object";
    case Place::Done:
      return "nothing may follow the graph";
    case Place::Graph:
      if (top_field_ == kVersion) return "`version` is the integer 1";
      return top_field_ == kNodes ? "`nodes` is an array of objects" : "`outputs` is an object of node indices by name";
    case Place::Nodes:
      return "a node is an object";
    case Place::Outputs:
      return "an output is the index of a node";
    case Place::Integers:
      return "`" + std::string(kFieldNames[field_]) + "` is an array of 64-bit integers";
    case Place::Pairs:
    case Place::Pair:
      return "`" + std::string(kFieldNames[field_]) + "` is an array of pairs of 64-bit integers";
    case Place::Node:
      break;
  }
  const std::string field = "`" + std::string(kFieldNames[field_]) + "` is ";
  switch (field_) {
    case kOp:
    case kName:
    case kDtype:
    case kLabel:
      return field + "a string";
    case kAxis:
    case kStream:
      return field + "an integer";
    case kValue:
      return field + "a number or a string";
    case kPads:
    case kBounds:
      return field + "an array of pairs of integers";
    default:
      return field + "an array of integers";
  }
}

bool GraphReader::refuse(std::string_view code, const std::string& detail, const std::string& pointer) {
  builder_.fail({std::string(code), detail, pointer, ""});
  return false;
}

bool GraphReader::refuse_node(std::string_view code, const std::string& detail, std::string_view place) {
  const std::string index = number_text(builder_.size());
  const std::string called = node_.label.empty() ? "" : " " + quote(node_.label);
  return refuse(code, "node " + index + called + ": " + detail, "/nodes/" + index + std::string(place));
}

bool GraphReader::malformed(std::string code, std::string detail) {
  builder_.fail({std::move(code), std::move(detail), "", ""});
  return false;
}

bool GraphReader::wrong_type(std::string_view got) {
  return refuse("wrong_type", expected() + ", not " + std::string(got), here());
}

bool GraphReader::number_integer(int64_t value) {
  if (place_ == Place::Node && field_ == kValue) {
    if (value == 0)
      node_.value = -0.0;
    else
      node_.value = value;
    return true;
  }
  return integer(value);
}

bool GraphReader::number_unsigned(uint64_t value) {
  if (place_ == Place::Node && field_ == kValue) {
    node_.value = value;
    return true;
  }
  if (value > INT64_MAX) return wrong_type("an integer past 2^63");
  return integer(static_cast<int64_t>(value));
}

bool GraphReader::number_float(double value, const std::string&) {
  if (place_ != Place::Node || field_ != kValue)
    return wrong_type("a number with a fraction, an exponent or over 64 bits");
  node_.value = value;
  return true;
}

bool GraphReader::integer(int64_t value) {
  switch (place_) {
    case Place::Graph:
      return top_integer(value);
    case Place::Integers:
      return list_item(value);
    case Place::Pair:
      if (pair_.size == 2) return wrong_type("three integers");
      pair_.values[pair_.size++] = value;
      return true;
    case Place::Outputs:
      if (outputs_.size() >= kMaxOutputs)
        return refuse("limit_exceeded", "more than " + number_text(kMaxOutputs) + " outputs", here());
      outputs_.emplace_back(std::move(output_name_), value);
      return true;
    case Place::Node:
      if (field_ == kAxis) return node_.axis = value, true;
      if (field_ == kStream) return node_.stream = value, true;
      [[fallthrough]];
    default:
      return wrong_type("an integer");
  }
}

bool GraphReader::top_integer(int64_t value) {
  if (top_field_ != kVersion) return wrong_type("an integer");
  if (value == 1) return true;
  return refuse("unsupported_version", "graph version " + std::to_string(value) + " is not known: this is version 1",
                here());
}

bool GraphReader::list_item(int64_t value) {
  if (list_->size >= list_->values.size()) {
    return refuse_node(
        "limit_exceeded",
        "`" + std::string(kFieldNames[field_]) + "` has more than " + std::to_string(kMaxRank) + " entries",
        "/" + std::string(kFieldNames[field_]));
  }
  list_->values[list_->size++] = value;
  return true;
}

bool GraphReader::string(std::string& value) {
  if (place_ == Place::Integers && field_ == kShape)
    return refuse_node("reserved", "dimensions by name are reserved for a later version: write sizes as integers",
                       "/shape/" + number_text(node_.shape.size));
  if (place_ != Place::Node) return wrong_type("a string");
  switch (field_) {
    case kOp:
      return op(value);
    case kDtype:
      return dtype(value);
    case kName:
      return node_.name = std::move(value), true;
    case kLabel:
      return node_.label = std::move(value), true;
    case kValue:
      return node_.value = std::move(value), true;
    default:
      return wrong_type("a string");
  }
}

bool GraphReader::op(std::string_view text) {
  if (const auto op = parse_op(text)) return node_.op = *op, true;
  std::array<std::string_view, kOps> known;
  for (int i = 0; i < kOps; ++i) known[static_cast<size_t>(i)] = name(static_cast<Op>(i));
  return refuse_node("unknown_op", "there is no op " + quote(text) + "; " + suggestion(text, known), "/op");
}

bool GraphReader::dtype(std::string_view text) {
  if (const auto dtype = parse_dtype(text)) return node_.dtype = *dtype, true;
  if (text == "f8e4m3" || text == "f8e5m2")
    return refuse_node("reserved", std::string(text) + " is reserved for a later version", "/dtype");
  std::array<std::string_view, kDTypes> known;
  for (int i = 0; i < kDTypes; ++i) known[static_cast<size_t>(i)] = name(static_cast<DType>(i));
  return refuse_node("unknown_dtype", "there is no dtype " + quote(text) + "; " + suggestion(text, known), "/dtype");
}

bool GraphReader::start_object(size_t) {
  switch (place_) {
    case Place::Document:
      place_ = Place::Graph;
      return true;
    case Place::Nodes:
      // Cleared field by field, so that the strings keep their memory from node to node.
      node_.present = 0;
      node_.name.clear();
      node_.label.clear();
      node_.src.size = node_.shape.size = node_.axes.size = node_.strides.size = node_.pair_count = 0;
      place_ = Place::Node;
      return true;
    case Place::Graph:
      if (top_field_ != kOutputs) return wrong_type("an object");
      place_ = Place::Outputs;
      return true;
    default:
      return wrong_type("an object");
  }
}

bool GraphReader::enter_list(Integers& list) {
  list_ = &list;
  place_ = Place::Integers;
  return true;
}

bool GraphReader::start_array(size_t) {
  if (place_ == Place::Graph && top_field_ == kNodes) return place_ = Place::Nodes, true;
  if (place_ == Place::Pairs) {
    if (node_.pair_count >= node_.pairs.size()) {
      const std::string field(kFieldNames[field_]);
      return refuse_node("limit_exceeded", "`" + field + "` has more than " + std::to_string(kMaxRank) + " entries",
                         "/" + field);
    }
    pair_.size = 0;
    place_ = Place::Pair;
    return true;
  }
  if (place_ != Place::Node) return wrong_type("an array");
  switch (field_) {
    case kSrc:
      return enter_list(node_.src);
    case kShape:
      return enter_list(node_.shape);
    case kAxes:
      return enter_list(node_.axes);
    case kStrides:
      return enter_list(node_.strides);
    case kPads:
    case kBounds:
      place_ = Place::Pairs;
      return true;
    default:
      return wrong_type("an array");
  }
}

bool GraphReader::end_array() {
  switch (place_) {
    case Place::Nodes:
      place_ = Place::Graph;
      return true;
    case Place::Pair:
      if (pair_.size != 2) return wrong_type(number_text(pair_.size) + " integers");
      node_.pairs[node_.pair_count++] = {pair_.values[0], pair_.values[1]};
      place_ = Place::Pairs;
      return true;
    default:
      place_ = Place::Node;
      return true;  // Integers, Pairs: no other array is ever entered
  }
}

bool GraphReader::key(std::string& key) {
  if (place_ == Place::Graph) return top_key(key);
  if (place_ == Place::Node) return node_key(key);
  output_name_ = std::move(key);
  return true;
}

bool GraphReader::top_key(std::string_view key) {
  for (uint8_t i = 0; i < kTopFields; ++i) {
    if (kTopNames[i] != key) continue;
    top_field_ = static_cast<TopField>(i);
    const uint32_t bit = 1u << i;
    if (top_present_ & bit) return refuse("duplicate_field", "`" + std::string(key) + "` is there twice", here());
    top_present_ |= bit;
    return true;
  }
  return refuse("unknown_field", "a graph has no field " + quote(key) + "; " + suggestion(key, kTopNames),
                json_pointer("", key));
}

bool GraphReader::node_key(std::string_view key) {
  for (uint8_t i = 0; i < kFields; ++i) {
    if (kFieldNames[i] != key) continue;
    field_ = static_cast<Field>(i);
    const uint32_t bit = 1u << i;
    if (node_.present & bit)
      return refuse_node("duplicate_field", "`" + std::string(key) + "` is there twice", "/" + std::string(key));
    node_.present |= bit;
    return true;
  }
  return refuse_node("unknown_field", "a node has no field " + quote(key) + "; " + suggestion(key, kFieldNames),
                     json_pointer("", key));
}

bool GraphReader::end_object() {
  switch (place_) {
    case Place::Node:
      return end_node();
    case Place::Outputs:
      place_ = Place::Graph;
      return true;
    default:
      return end_graph();
  }
}

bool GraphReader::end_graph() {
  for (uint8_t i = 0; i < kTopFields; ++i) {
    if (top_present_ >> i & 1) continue;
    return refuse("missing_field", "a graph needs `" + std::string(kTopNames[i]) + "`", "");
  }
  for (const auto& [name, index] : outputs_) {
    const bool exists = index >= 0 && static_cast<uint64_t>(index) < builder_.size();
    builder_.output(name, exists ? static_cast<NodeId>(index) : kNoNode);
    if (builder_.failed()) return false;
  }
  place_ = Place::Done;
  return true;
}

bool GraphReader::end_node() {
  if (!fields_match() || !operands_exist()) return false;
  if (node_.present & 1u << kLabel) builder_.label_next(node_.label);
  if (is_source(node_.op))
    add_source();
  else
    add_node();
  place_ = Place::Nodes;
  return !builder_.failed();
}

bool GraphReader::fields_match() {
  if (!(node_.present & 1u << kOp)) return refuse_node("missing_field", "a node needs `op`", "");
  const auto wanted = [&]() -> uint32_t {
    switch (node_.op) {
      case Op::Cast:
        return 1u << kSrc | 1u << kDtype;
      case Op::ReduceSum:
      case Op::ReduceMax:
      case Op::Permute:
        return 1u << kSrc | 1u << kAxes;
      case Op::Reshape:
      case Op::Expand:
        return 1u << kSrc | 1u << kShape;
      case Op::Pad:
        return 1u << kSrc | 1u << kPads;
      case Op::Shrink:
        return 1u << kSrc | 1u << kBounds;
      case Op::Stride:
        return 1u << kSrc | 1u << kStrides;
      case Op::Input:
        return 1u << kName | 1u << kDtype | 1u << kShape;
      case Op::Const:
        return 1u << kDtype | 1u << kShape | 1u << kValue;
      case Op::Iota:
        return 1u << kDtype | 1u << kShape | 1u << kAxis;
      case Op::Rand:
        return 1u << kDtype | 1u << kShape | 1u << kStream;
      case Op::Step:
        return 0;
      default:
        return 1u << kSrc;
    }
  }() | 1u << kOp;
  const uint32_t missing = wanted & ~node_.present;
  const uint32_t unknown = node_.present & ~wanted & ~(1u << kLabel);
  if ((missing | unknown) == 0) return true;
  const std::string op_name(name(node_.op));
  for (uint8_t i = 0; i < kFields; ++i) {
    const std::string field(kFieldNames[i]);
    if (unknown >> i & 1) return refuse_node("unknown_field", op_name + " has no field `" + field + "`", "/" + field);
    if (missing >> i & 1) return refuse_node("missing_field", op_name + " needs `" + field + "`", "");
  }
  return true;
}

bool GraphReader::operands_exist() {
  const size_t wanted = is_source(node_.op) ? 0 : is_binary(node_.op) ? 2 : 1;
  const std::string op_name(name(node_.op));
  if (node_.src.size != wanted) {
    return refuse_node("wrong_operand_count",
                       op_name + " takes " + number_text(wanted) + " operands, not " + number_text(node_.src.size),
                       "/src");
  }
  for (size_t i = 0; i < wanted; ++i) {
    const int64_t operand = node_.src.values[i];
    if (operand >= 0 && static_cast<uint64_t>(operand) < builder_.size()) continue;
    return refuse_node(
        "forward_reference",
        op_name + " refers to node " + std::to_string(operand) + ": operands must stand before their users",
        "/src/" + number_text(i));
  }
  return true;
}

void GraphReader::add_node() {
  const auto x = static_cast<NodeId>(node_.src.values[0]);
  const std::span<const Pair> pairs(node_.pairs.data(), node_.pair_count);
  switch (node_.op) {
    case Op::Exp:
    case Op::Log:
      builder_.unary(node_.op, x);
      break;
    case Op::Cast:
      builder_.cast(x, node_.dtype);
      break;
    case Op::ReduceSum:
    case Op::ReduceMax:
      builder_.reduce(node_.op, x, node_.axes.span());
      break;
    case Op::Reshape:
      builder_.reshape(x, node_.shape.span());
      break;
    case Op::Permute:
      builder_.permute(x, node_.axes.span());
      break;
    case Op::Expand:
      builder_.expand(x, node_.shape.span());
      break;
    case Op::Pad:
      builder_.pad(x, pairs);
      break;
    case Op::Shrink:
      builder_.shrink(x, pairs);
      break;
    case Op::Stride:
      builder_.stride(x, node_.strides.span());
      break;
    default:
      builder_.binary(node_.op, x, static_cast<NodeId>(node_.src.values[1]));
      break;
  }
}

void GraphReader::add_source() {
  const auto shape = node_.shape.span();
  switch (node_.op) {
    case Op::Input:
      builder_.input(node_.name, node_.dtype, shape);
      return;
    case Op::Const: {
      auto bits = parse_const_value(node_.dtype, node_.value);
      if (bits.ok())
        builder_.constant(node_.dtype, shape, *bits);
      else
        refuse_node(bits.problem().code, bits.problem().detail, "/value");
      return;
    }
    case Op::Iota: {
      const bool is_axis = node_.axis >= 0 && node_.axis < kMaxRank;
      builder_.iota(node_.dtype, shape, is_axis ? static_cast<int>(node_.axis) : kMaxRank);
      return;
    }
    case Op::Rand:
      if (node_.stream < 0 || node_.stream > UINT32_MAX)
        refuse_node("invalid_value", "RAND: `stream` is 0 to 2^32 - 1", "/stream");
      else
        builder_.rand(node_.dtype, shape, static_cast<uint32_t>(node_.stream));
      return;
    default:
      builder_.step();
      return;
  }
}

}  // namespace quarry::graph
