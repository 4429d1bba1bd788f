// The rules of each op: which operands, dtypes and attributes it takes, and the shape it gives (docs/graph-format.md).
#include <algorithm>
#include <array>

#include "common/text.h"
#include "engine/graph/builder_state.h"
#include "engine/graph/limits.h"
#include "engine/graph/number.h"

namespace quarry::graph {

namespace {

/// A shape under construction; its rank was checked to be within kMaxRank.
struct Sizes {
  std::array<int64_t, kMaxRank> values{};
  size_t rank = 0;

  explicit Sizes(std::span<const int64_t> shape) : rank(shape.size()) { std::ranges::copy(shape, values.begin()); }
  int64_t& operator[](size_t axis) { return values[axis]; }
  std::span<const int64_t> span() const { return {values.data(), rank}; }
};

std::string place(std::string_view field, size_t index) {
  return "/" + std::string(field) + "/" + std::to_string(index);
}

int64_t element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    if (size == 0 || __builtin_mul_overflow(count, size, &count)) return size == 0 ? 0 : -1;
  return count;
}

/// Pairs stand in the attribute pool as two integers each.
std::vector<int64_t> flatten(std::span<const Pair> pairs) {
  std::vector<int64_t> flat;
  flat.reserve(2 * pairs.size());
  for (const Pair& pair : pairs) flat.insert(flat.end(), {pair.before, pair.after});
  return flat;
}

}  // namespace

Builder::Builder() : state_(std::make_unique<State>()) {}
Builder::~Builder() = default;

NodeId Builder::unary(Op op, NodeId x) {
  State& s = *state_;
  if (!s.has_operand(op, x, 0)) return kNoNode;
  if (op != Op::Exp && op != Op::Log) return s.refuse(op, "unknown_op", "is no unary op of this call");
  if (!is_float(dtype(x))) {
    return s.refuse(op, "dtype_refused",
                    "takes floating-point values, not " + std::string(name(dtype(x))) + ": CAST its operand first");
  }
  return s.append(op, dtype(x), shape(x), x);
}

NodeId Builder::cast(NodeId x, DType to) {
  State& s = *state_;
  if (!s.has_operand(Op::Cast, x, 0)) return kNoNode;
  return s.append(Op::Cast, to, shape(x), x);
}

NodeId Builder::binary(Op op, NodeId x, NodeId y) {
  State& s = *state_;
  if (!s.has_operand(op, x, 0) || !s.has_operand(op, y, 1)) return kNoNode;
  if (!is_binary(op)) return s.refuse(op, "unknown_op", "is no binary op");
  if (dtype(x) != dtype(y)) {
    return s.refuse(op, "dtype_mismatch",
                    "needs operands of one dtype, but they are " + std::string(name(dtype(x))) + " and " +
                        std::string(name(dtype(y))) + ": CAST one of them",
                    "/src");
  }
  if (!std::ranges::equal(shape(x), shape(y))) {
    return s.refuse(op, "shape_mismatch",
                    "needs operands of equal shapes, but they are " + s.shape_text(x) + " and " + s.shape_text(y) +
                        ": RESHAPE and EXPAND one of them",
                    "/src");
  }
  if (op == Op::Div && dtype(x) == DType::Bool) return s.refuse(op, "dtype_refused", "is not defined on bool");
  return s.append(op, dtype(x), shape(x), x, y);
}

NodeId Builder::reduce(Op op, NodeId x, std::span<const int64_t> axes) {
  State& s = *state_;
  if (!s.has_operand(op, x, 0)) return kNoNode;
  if (!is_reduce(op)) return s.refuse(op, "unknown_op", "is no reduce");
  if (axes.empty()) return s.refuse(op, "invalid_axes", "needs at least one axis", "/axes");
  Sizes sizes(shape(x));
  std::array<bool, kMaxRank> reduced{};
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0 || axes[i] >= static_cast<int64_t>(sizes.rank)) {
      return s.refuse(op, "invalid_axes",
                      "has no axis " + std::to_string(axes[i]) + ": its operand has rank " + std::to_string(sizes.rank),
                      place("axes", i));
    }
    const auto axis = static_cast<size_t>(axes[i]);
    if (reduced[axis])
      return s.refuse(op, "invalid_axes", "names axis " + std::to_string(axis) + " twice", place("axes", i));
    reduced[axis] = true;
    sizes[axis] = 1;
  }
  std::vector<int64_t> attribute{static_cast<int64_t>(axes.size())};
  for (size_t axis = 0; axis < sizes.rank; ++axis)
    if (reduced[axis]) attribute.push_back(static_cast<int64_t>(axis));
  return s.append(op, dtype(x), sizes.span(), x, kNoNode, s.attributes.intern(s.graph.attributes_, attribute));
}

NodeId Builder::reshape(NodeId x, std::span<const int64_t> to) {
  State& s = *state_;
  if (!s.has_operand(Op::Reshape, x, 0) || !s.within_shape_limits(Op::Reshape, to)) return kNoNode;
  if (element_count(to) != s.graph.elements(x)) {
    return s.refuse(Op::Reshape, "shape_mismatch",
                    "cannot turn " + s.shape_text(x) + " into " + to_text(to) + ": the element counts differ",
                    "/shape");
  }
  return s.append(Op::Reshape, dtype(x), to, x);
}

NodeId Builder::permute(NodeId x, std::span<const int64_t> axes) {
  State& s = *state_;
  if (!s.has_operand(Op::Permute, x, 0) || !s.has_rank(Op::Permute, x, axes.size(), "axes")) return kNoNode;
  const auto from = shape(x);
  Sizes sizes(from);
  std::array<bool, kMaxRank> used{};
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0 || axes[i] >= static_cast<int64_t>(from.size()) || used[static_cast<size_t>(axes[i])]) {
      return s.refuse(Op::Permute, "invalid_axes",
                      "needs each axis from 0 to " + std::to_string(from.size() - 1) + " once, not " + to_text(axes),
                      place("axes", i));
    }
    used[static_cast<size_t>(axes[i])] = true;
    sizes[i] = from[static_cast<size_t>(axes[i])];
  }
  return s.append(Op::Permute, dtype(x), sizes.span(), x, kNoNode, s.attributes.intern(s.graph.attributes_, axes));
}

NodeId Builder::expand(NodeId x, std::span<const int64_t> to) {
  State& s = *state_;
  if (!s.has_operand(Op::Expand, x, 0) || !s.has_rank(Op::Expand, x, to.size(), "shape")) return kNoNode;
  const auto from = shape(x);
  for (size_t axis = 0; axis < to.size(); ++axis) {
    if (from[axis] == to[axis] || from[axis] == 1) continue;
    return s.refuse(Op::Expand, "shape_mismatch",
                    "cannot turn " + s.shape_text(x) + " into " + to_text(to) + ": only axes of size 1 can grow",
                    place("shape", axis));
  }
  return s.append(Op::Expand, dtype(x), to, x);
}

NodeId Builder::pad(NodeId x, std::span<const Pair> amounts) {
  State& s = *state_;
  if (!s.has_operand(Op::Pad, x, 0) || !s.has_rank(Op::Pad, x, amounts.size(), "pads")) return kNoNode;
  Sizes sizes(shape(x));
  for (size_t axis = 0; axis < amounts.size(); ++axis) {
    const auto [before, after] = amounts[axis];
    if (before < 0 || after < 0)
      return s.refuse(Op::Pad, "invalid_pads", "needs amounts of 0 or more: use SHRINK to cut", place("pads", axis));
    if (before > kMaxVirtualElements - sizes[axis] || after > kMaxVirtualElements - sizes[axis] - before)
      return s.refuse(Op::Pad, "limit_exceeded", "is over the limit of 2^62 elements", place("pads", axis));
    sizes[axis] += before + after;
  }
  return s.append(Op::Pad, dtype(x), sizes.span(), x, kNoNode,
                  s.attributes.intern(s.graph.attributes_, flatten(amounts)));
}

NodeId Builder::shrink(NodeId x, std::span<const Pair> ranges) {
  State& s = *state_;
  if (!s.has_operand(Op::Shrink, x, 0) || !s.has_rank(Op::Shrink, x, ranges.size(), "bounds")) return kNoNode;
  Sizes sizes(shape(x));
  for (size_t axis = 0; axis < ranges.size(); ++axis) {
    const auto [begin, end] = ranges[axis];
    if (begin < 0 || begin > end || end > sizes[axis]) {
      return s.refuse(Op::Shrink, "invalid_bounds",
                      "keeps [" + std::to_string(begin) + ", " + std::to_string(end) + ") of an axis of size " +
                          std::to_string(sizes[axis]) + ": needs 0 <= begin <= end <= size",
                      place("bounds", axis));
    }
    sizes[axis] = end - begin;
  }
  return s.append(Op::Shrink, dtype(x), sizes.span(), x, kNoNode,
                  s.attributes.intern(s.graph.attributes_, flatten(ranges)));
}

NodeId Builder::stride(NodeId x, std::span<const int64_t> steps) {
  State& s = *state_;
  if (!s.has_operand(Op::Stride, x, 0) || !s.has_rank(Op::Stride, x, steps.size(), "strides")) return kNoNode;
  Sizes sizes(shape(x));
  for (size_t axis = 0; axis < steps.size(); ++axis) {
    const int64_t step = steps[axis];
    if (step == 0 || step > kMaxVirtualElements || step < -kMaxVirtualElements)
      return s.refuse(Op::Stride, "invalid_strides", "needs steps from -2^62 to 2^62 except 0", place("strides", axis));
    const int64_t size = step < 0 ? -step : step;
    sizes[axis] = sizes[axis] / size + (sizes[axis] % size != 0);
  }
  return s.append(Op::Stride, dtype(x), sizes.span(), x, kNoNode, s.attributes.intern(s.graph.attributes_, steps));
}

NodeId Builder::input(std::string_view text, DType dtype, std::span<const int64_t> shape) {
  State& s = *state_;
  const std::string pointer = "/nodes/" + std::to_string(size()) + "/name";
  if (!s.has_valid_name(text, "the name of an INPUT", pointer)) return kNoNode;
  if (s.input_names.contains(text)) {
    return s.refuse(Op::Input, "duplicate_name", quote(text) + " is there already: use that node again", "/name");
  }
  const auto index = static_cast<uint32_t>(s.graph.names_.size());
  const NodeId id = s.append(Op::Input, dtype, shape, kNoNode, kNoNode, index);
  if (id == kNoNode) return id;
  s.input_names.emplace(text);
  s.graph.names_.emplace_back(text);
  s.graph.inputs_.push_back(id);
  return id;
}

NodeId Builder::constant(DType dtype, std::span<const int64_t> shape, uint64_t bits) {
  State& s = *state_;
  if ((bits & ~bit_mask(dtype)) != 0) {
    return s.refuse(Op::Const, "invalid_value", "has more bits than " + std::string(name(dtype)), "/value");
  }
  const std::array attribute{static_cast<int64_t>(bits)};
  return s.append(Op::Const, dtype, shape, kNoNode, kNoNode, s.attributes.intern(s.graph.attributes_, attribute));
}

NodeId Builder::constant_f64(DType dtype, std::span<const int64_t> shape, double value) {
  return constant(dtype, shape, from_double(dtype, value));
}

NodeId Builder::iota(DType dtype, std::span<const int64_t> shape, int axis) {
  State& s = *state_;
  if (dtype != DType::I32 && dtype != DType::I64)
    return s.refuse(Op::Iota, "dtype_refused", "is i32 or i64, not " + std::string(name(dtype)), "/dtype");
  if (axis < 0 || static_cast<size_t>(axis) >= shape.size()) {
    return s.refuse(Op::Iota, "invalid_axes",
                    "has no axis " + std::to_string(axis) + ": its rank is " + std::to_string(shape.size()), "/axis");
  }
  if (shape[static_cast<size_t>(axis)] - 1 > highest_integer(dtype))
    return s.refuse(Op::Iota, "invalid_value", "counts past the greatest i32: use i64", "/dtype");
  return s.append(Op::Iota, dtype, shape, kNoNode, kNoNode, static_cast<uint32_t>(axis));
}

NodeId Builder::rand(DType dtype, std::span<const int64_t> shape, uint32_t stream) {
  State& s = *state_;
  if (dtype != DType::F32 && dtype != DType::I32)
    return s.refuse(Op::Rand, "dtype_refused", "is f32 or i32, not " + std::string(name(dtype)), "/dtype");
  return s.append(Op::Rand, dtype, shape, kNoNode, kNoNode, stream);
}

NodeId Builder::step() {
  return state_->append(Op::Step, DType::I32, {});
}

void Builder::label(NodeId node, std::string_view text) {
  State& s = *state_;
  if (!s.has_valid_name(text, "a label", "/nodes/" + std::to_string(node) + "/label") || node >= size()) return;
  s.graph.labels_.insert_or_assign(node, std::string(text));
}

void Builder::label_next(std::string_view text) {
  if (state_->has_valid_name(text, "a label", "/nodes/" + std::to_string(size()) + "/label")) state_->next_label = text;
}

void Builder::output(std::string_view text, NodeId node) {
  State& s = *state_;
  if (!s.has_valid_name(text, "the name of an output", "/outputs")) return;
  const std::string pointer = json_pointer("/outputs", text);
  const std::string called = "output " + quote(text) + " ";
  if (node >= size()) return fail({"unknown_node", called + "refers to a node that is not there", pointer, ""});
  if (s.output_names.contains(text)) return fail({"duplicate_name", called + "is there already", pointer, ""});
  if (s.graph.outputs_.size() >= kMaxOutputs)
    return fail({"limit_exceeded", "more than " + std::to_string(kMaxOutputs) + " outputs", pointer, ""});
  if (s.graph.elements(node) > kMaxStoredElements) {
    return fail({"limit_exceeded", called + "has the shape " + s.shape_text(node) + ", over the limit of 2^40 elements",
                 pointer, ""});
  }
  s.output_names.emplace(text);
  s.graph.outputs_.push_back({std::string(text), node});
}

bool Builder::failed() const {
  return state_->problem.has_value();
}
const Problem& Builder::problem() const {
  return *state_->problem;
}
void Builder::fail(Problem problem) {
  if (!state_->problem) state_->problem = std::move(problem);
}
// Chained calls may ask about the kNoNode of a call that failed.
std::span<const int64_t> Builder::shape(NodeId node) const {
  return node < size() ? state_->graph.shape(node) : std::span<const int64_t>();
}
DType Builder::dtype(NodeId node) const {
  return node < size() ? state_->graph[node].dtype : DType::Bool;
}
size_t Builder::size() const {
  return state_->graph.size();
}

Result<Graph> Builder::finish() {
  State& s = *state_;
  if (!s.problem && s.graph.outputs_.empty())
    s.problem = Problem{"no_outputs", "a graph needs at least one output", "/outputs",
                        "Name what the graph computes in `outputs`."};
  if (s.problem) return *s.problem;
  Graph& graph = s.graph;
  std::ranges::sort(graph.outputs_, {}, &Output::name);
  std::ranges::sort(graph.inputs_, [&](NodeId a, NodeId b) { return graph.input_name(a) < graph.input_name(b); });
  return std::move(graph);
}

}  // namespace quarry::graph
