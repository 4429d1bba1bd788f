#include "engine/tensor/tensor.h"

#include <algorithm>
#include <numeric>

#include "engine/graph/idioms.h"
#include "engine/graph/limits.h"
#include "engine/graph/number.h"
#include "engine/tensor/axis_entries.h"

namespace quarry::tensor {
namespace {

bool seen_as_zero_or_one(const Node& node) {
  const auto& [first, second] = node.operands;
  if (node.op == Op::Const) return graph::is_zero_or_one(node.dtype, static_cast<uint64_t>(node.attributes[0]));
  return graph::keeps_zero_or_one(node.op, node.dtype,
                                  {first && first.node().is_zero_or_one, second && second.node().is_zero_or_one,
                                   node.op == Op::Sub && is_constant(first, 1)});
}

void check_shape(const Node& node) {
  const std::string op(graph::name(node.op));
  if (node.shape.size() > static_cast<size_t>(graph::kMaxRank)) {
    throw TensorError(op + ": " + text(node.shape) + " has more than " + std::to_string(graph::kMaxRank) + " axes");
  }
  int64_t count = 1;
  for (int64_t size : node.shape) {
    if (size < 0) throw TensorError(op + ": sizes are 0 or more, not " + text(node.shape));
    if (size > 0 && (__builtin_mul_overflow(count, size, &count) || count > graph::kMaxVirtualElements)) {
      throw TensorError(op + ": " + text(node.shape) + " has more than 2^62 elements");
    }
  }
}

Tensor make(Op op, DType dtype, Shape shape, const Tensor& x = {}, const Tensor& y = {},
            std::vector<int64_t> attributes = {}) {
  auto node = std::make_shared<Node>();
  node->op = op;
  node->dtype = dtype;
  node->shape = std::move(shape);
  node->operands[0] = x;
  node->operands[1] = y;
  node->attributes = std::move(attributes);
  check_shape(*node);
  node->is_zero_or_one = seen_as_zero_or_one(*node);
  return Tensor(std::move(node));
}

void require_float(const Tensor& x, const char* where) {
  if (!graph::is_float(x.dtype())) throw TensorError(std::string(where) + " needs a float, not " + text(x));
}

void require_entries(const Tensor& x, size_t count, const char* where) {
  if (count == x.shape().size()) return;
  throw TensorError(std::string(where) + " needs one entry for each axis of " + text(x) + ", not " +
                    std::to_string(count));
}

bool is_const(const Tensor& x) {
  return x.node().op == Op::Const;
}

/// Movement of a constant that adds no zeros: the same constant in another shape.
Tensor reshaped_constant(const Tensor& x, Shape shape) {
  return make(Op::Const, x.dtype(), std::move(shape), {}, {}, x.node().attributes);
}

std::vector<int64_t> flattened(std::span<const Pair> pairs) {
  std::vector<int64_t> values;
  for (const Pair& pair : pairs) values.insert(values.end(), {pair.before, pair.after});
  return values;
}

/// Fills the one -1 of `shape` so that it holds as many elements as x.
void fill_in(Shape& shape, const Tensor& x) {
  const auto open = std::ranges::find(shape, -1);
  if (open == shape.end()) return;
  if (std::count(shape.begin(), shape.end(), -1) > 1) {
    throw TensorError("reshape: only one size may be -1, not " + text(shape));
  }
  *open = 1;
  int64_t rest = 1;
  for (int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(rest, size, &rest)) throw TensorError("reshape: bad sizes " + text(shape));
  }
  if (rest == 0 || x.elements() % rest != 0) {
    *open = -1;
    throw TensorError("reshape: " + text(x) + " does not divide into " + text(shape));
  }
  *open = x.elements() / rest;
}

}  // namespace

Node::~Node() {
  std::vector<NodePointer> dying;
  const auto take_one = [&dying](Tensor& held) {
    if (held && held.pointer().use_count() == 1) dying.push_back(held.pointer());
    held = Tensor();
  };
  const auto take = [&](Node& node) {
    for (Tensor& operand : node.operands) take_one(operand);
    if (node.derivative.use_count() != 1) return;
    for (Tensor& held : node.derivative->of) take_one(held);
  };
  take(*this);
  while (!dying.empty()) {
    const NodePointer node = std::move(dying.back());
    dying.pop_back();
    if (node.use_count() == 1) take(const_cast<Node&>(*node));
  }
}

DType Tensor::dtype() const {
  return node_->dtype;
}

const Shape& Tensor::shape() const {
  return node_->shape;
}

int64_t Tensor::size(int64_t axis) const {
  return shape()[static_cast<size_t>(normal_axis(axis, rank(), "size"))];
}

int64_t Tensor::elements() const {
  return count_of(shape());
}

Tensor input(std::string name, DType dtype, Shape shape, std::shared_ptr<const void> payload) {
  const Tensor made = make(Op::Input, dtype, std::move(shape));
  auto& node = const_cast<Node&>(made.node());  // not shared yet
  node.name = std::move(name);
  node.payload = std::move(payload);
  return made;
}

Tensor constant(double value, DType dtype, Shape shape) {
  return constant_bits(graph::from_double(dtype, value), dtype, std::move(shape));
}

Tensor constant_bits(uint64_t bits, DType dtype, Shape shape) {
  return make(Op::Const, dtype, std::move(shape), {}, {}, {static_cast<int64_t>(bits & graph::bit_mask(dtype))});
}

Tensor integer_constant(int64_t value, DType dtype, Shape shape) {
  return constant_bits(graph::from_integer(dtype, value), dtype, std::move(shape));
}

Tensor iota(DType dtype, Shape shape, int64_t axis) {
  if (dtype != DType::I32 && dtype != DType::I64) {
    throw TensorError("iota: its dtype is i32 or i64, not " + std::string(graph::name(dtype)));
  }
  axis = normal_axis(axis, static_cast<int64_t>(shape.size()), "iota");
  if (const int64_t size = shape[static_cast<size_t>(axis)]; size > 0 && size - 1 > graph::highest_integer(dtype)) {
    throw TensorError("iota: positions of " + text(shape) + " do not fit in " + std::string(graph::name(dtype)));
  }
  return make(Op::Iota, dtype, std::move(shape), {}, {}, {axis});
}

Tensor rand(Shape shape, uint32_t stream, DType dtype) {
  if (dtype != DType::F32 && dtype != DType::I32) {
    throw TensorError("rand: its dtype is f32 or i32, not " + std::string(graph::name(dtype)));
  }
  return make(Op::Rand, dtype, std::move(shape), {}, {}, {stream});
}

Tensor step() {
  return make(Op::Step, DType::I32, {});
}

Tensor exp(const Tensor& x) {
  require_float(x, "exp");
  return make(Op::Exp, x.dtype(), x.shape(), x);
}

Tensor log(const Tensor& x) {
  require_float(x, "log");
  return make(Op::Log, x.dtype(), x.shape(), x);
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  if (is_const(x)) {
    const auto bits = static_cast<uint64_t>(x.node().attributes[0]);
    return constant_bits(graph::cast_bits(x.dtype(), dtype, bits), dtype, x.shape());
  }
  return make(Op::Cast, dtype, x.shape(), x);
}

Tensor binary(Op op, const Tensor& x, const Tensor& y) {
  if (!graph::is_binary(op)) throw TensorError(std::string(graph::name(op)) + " is no binary op");
  if (x.dtype() != y.dtype() || x.shape() != y.shape()) {
    throw TensorError(std::string(graph::name(op)) + ": " + text(x) + " and " + text(y) + " differ");
  }
  if (op == Op::Div && x.dtype() == DType::Bool) throw TensorError("DIV of bool: cast to a number first");
  return make(op, x.dtype(), x.shape(), x, y);
}

Tensor reduce(Op op, const Tensor& x, const Axes& axes) {
  if (!graph::is_reduce(op)) throw TensorError(std::string(graph::name(op)) + " is no reduce");
  if (axes.empty()) return x;
  Axes normal = normal_axes(axes, x.rank(), op == Op::ReduceSum ? "sum" : "max");
  Shape shape = x.shape();
  for (int64_t axis : normal) shape[static_cast<size_t>(axis)] = 1;
  if (count_of(shape) > graph::kMaxStoredElements) {
    throw TensorError(std::string(graph::name(op)) + ": " + text(shape) + " is more than 2^40 elements to store");
  }
  return make(op, x.dtype(), std::move(shape), x, {}, std::move(normal));
}

Tensor reshape(const Tensor& x, Shape shape) {
  fill_in(shape, x);
  if (shape == x.shape()) return x;
  if (is_const(x) && count_of(shape) == x.elements()) return reshaped_constant(x, std::move(shape));
  const Tensor made = make(Op::Reshape, x.dtype(), std::move(shape), x);
  if (made.elements() != x.elements()) {
    throw TensorError("reshape: " + text(x) + " has " + std::to_string(x.elements()) + " elements, " +
                      text(made.shape()) + " has " + std::to_string(made.elements()));
  }
  // A reshape of a reshape is one reshape.
  if (x.node().op == Op::Reshape && x.node().derivative == nullptr) return reshape(x.node().operands[0], made.shape());
  return made;
}

Tensor permute(const Tensor& x, const Axes& axes) {
  require_entries(x, axes.size(), "permute");
  Axes normal;
  Shape shape;
  for (int64_t axis : axes) {
    normal.push_back(normal_axis(axis, x.rank(), "permute"));
    shape.push_back(x.size(normal.back()));
  }
  normal_axes(normal, x.rank(), "permute");  // each once
  if (std::ranges::is_sorted(normal)) return x;
  if (is_const(x)) return reshaped_constant(x, std::move(shape));
  return make(Op::Permute, x.dtype(), std::move(shape), x, {}, std::move(normal));
}

Tensor expand(const Tensor& x, const Shape& shape) {
  if (shape.size() < x.shape().size()) {
    throw TensorError("expand: " + text(x) + " has more axes than " + text(shape));
  }
  Shape from(shape.size() - x.shape().size(), 1);
  from.insert(from.end(), x.shape().begin(), x.shape().end());
  Shape to = shape;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] == -1) to[i] = from[i];
    if (to[i] == from[i] || from[i] == 1) continue;
    throw TensorError("expand: " + text(x) + " to " + text(shape) + ": only axes of size 1 grow");
  }
  if (is_const(x)) return to == x.shape() ? x : reshaped_constant(x, std::move(to));
  const Tensor with_axes = reshape(x, from);
  if (to == from) return with_axes;
  return make(Op::Expand, x.dtype(), std::move(to), with_axes);
}

Tensor pad(const Tensor& x, std::span<const Pair> amounts) {
  require_entries(x, amounts.size(), "pad");
  Shape shape = x.shape();
  bool changes = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto [before, after] = amounts[i];
    if (before < 0 || after < 0) throw TensorError("pad: amounts are 0 or more; use shrink to cut " + text(x));
    if (__builtin_add_overflow(shape[i], before, &shape[i]) || __builtin_add_overflow(shape[i], after, &shape[i])) {
      throw TensorError("pad: amounts beyond 2^63 on " + text(x));
    }
    changes = changes || before > 0 || after > 0;
  }
  if (!changes) return x;
  return make(Op::Pad, x.dtype(), std::move(shape), x, {}, flattened(amounts));
}

Tensor shrink(const Tensor& x, std::span<const Pair> ranges) {
  require_entries(x, ranges.size(), "shrink");
  Shape shape = x.shape();
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto [begin, end] = ranges[i];
    if (begin < 0 || end < begin || end > shape[i]) {
      throw TensorError("shrink: [" + std::to_string(begin) + ", " + std::to_string(end) + ") is not within axis " +
                        std::to_string(i) + " of " + text(x));
    }
    shape[i] = end - begin;
  }
  if (shape == x.shape()) return x;
  if (is_const(x)) return reshaped_constant(x, std::move(shape));
  return make(Op::Shrink, x.dtype(), std::move(shape), x, {}, flattened(ranges));
}

Tensor stride(const Tensor& x, std::span<const int64_t> steps) {
  require_entries(x, steps.size(), "stride");
  Shape shape = x.shape();
  bool changes = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (steps[i] == 0 || steps[i] == INT64_MIN) throw TensorError("stride: steps are not 0, for " + text(x));
    const int64_t step = std::abs(steps[i]);
    shape[i] = shape[i] / step + (shape[i] % step != 0);
    changes = changes || steps[i] != 1;
  }
  if (!changes) return x;
  if (is_const(x)) return reshaped_constant(x, std::move(shape));
  return make(Op::Stride, x.dtype(), std::move(shape), x, {}, {steps.begin(), steps.end()});
}

Tensor with_derivative(std::vector<Tensor> of, const Tensor& value, Derivative::Rule rule) {
  // A second node with the same operands: the normal form makes them one again. An INPUT may stand there only once.
  auto node = value.node().op == Op::Input
                  ? std::make_shared<Node>(make(Op::Reshape, value.dtype(), value.shape(), value).node())
                  : std::make_shared<Node>(value.node());
  node->derivative = std::make_shared<Derivative>(Derivative{std::move(of), std::move(rule)});
  return Tensor(std::move(node));
}

Tensor with_derivative(const Tensor& x, const Tensor& value, UnaryRule rule) {
  return with_derivative(std::vector{x}, value,
                         [rule](std::span<const Tensor> of, const Tensor& result, const Tensor& gradient) {
                           return std::vector{rule(of[0], result, gradient)};
                         });
}

Tensor with_derivative_of(const Tensor& like, const Tensor& value) {
  return with_derivative(like, value, [](const Tensor&, const Tensor&, const Tensor& gradient) { return gradient; });
}

Tensor detach(const Tensor& x) {
  return with_derivative(std::vector<Tensor>(), x, Derivative::Rule());
}

bool is_constant(const Tensor& x, double value) {
  return x.node().op == Op::Const &&
         graph::to_double(x.dtype(), static_cast<uint64_t>(x.node().attributes[0])) == value;
}

std::string text(std::span<const int64_t> shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

std::string text(const Tensor& x) {
  return std::string(graph::name(x.dtype())) + text(x.shape());
}

int64_t normal_axis(int64_t axis, int64_t rank, const char* where) {
  if (axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
  throw TensorError(std::string(where) + ": no axis " + std::to_string(axis) + " in a tensor of " +
                    std::to_string(rank) + (rank == 1 ? " axis" : " axes"));
}

Axes normal_axes(const Axes& axes, int64_t rank, const char* where) {
  Axes normal;
  if (axes.empty()) {
    normal.resize(static_cast<size_t>(rank));
    std::iota(normal.begin(), normal.end(), 0);
    return normal;
  }
  for (int64_t axis : axes) normal.push_back(normal_axis(axis, rank, where));
  std::ranges::sort(normal);
  if (std::ranges::adjacent_find(normal) != normal.end()) {
    throw TensorError(std::string(where) + ": axes " + text(axes) + " name one axis twice");
  }
  return normal;
}

}  // namespace quarry::tensor
