#include "engine/tensor/gradient.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "engine/graph/number.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/build.h"

namespace quarry::tensor {
namespace {

// --- sums and products that see what constants make of them ---

std::optional<double> constant_of(const Tensor& x) {
  if (x.node().op != Op::Const) return std::nullopt;
  return graph::to_double(x.dtype(), static_cast<uint64_t>(x.node().attributes[0]));
}

Tensor zeros_like(const Tensor& x) {
  return constant(0, x.dtype(), x.shape());
}

Tensor product(const Tensor& x, const Tensor& y) {
  const auto a = constant_of(x), b = constant_of(y);
  if (a && b) return constant(*a * *b, x.dtype(), x.shape());
  if (a == 0 || b == 0) return zeros_like(x);
  return mul(x, y);
}

Tensor scaled(const Tensor& x, double factor) {
  return product(x, constant(factor, x.dtype(), x.shape()));
}

/// The sum over `axes`, which stay.
Tensor sum_over(const Tensor& x, const Axes& axes) {
  const auto value = constant_of(x);
  if (!value) return reduce(Op::ReduceSum, x, axes);
  Shape shape = x.shape();
  double count = 1;
  for (int64_t axis : axes) count *= static_cast<double>(std::exchange(shape[static_cast<size_t>(axis)], 1));
  return constant(*value * count, x.dtype(), std::move(shape));
}

/// x where the mask is 1, else exactly 0, whatever x is there.
Tensor kept_where(const Tensor& mask, const Tensor& x) {
  return where(mask, x, zeros_like(x));
}
Tensor dropped_where(const Tensor& mask, const Tensor& x) {
  return where(mask, zeros_like(x), x);
}

Tensor equal_mask(const Tensor& x, const Tensor& y) {
  return binary(Op::CmpEq, x, y);
}

// --- what the gather idiom looks like in a graph that is still being written ---

const Node& below_movement_and_casts(const Tensor& x) {
  const Node* node = &x.node();
  while (graph::is_movement(node->op) || node->op == Op::Cast) node = &node->operands[0].node();
  return *node;
}

/// CMPEQ of an IOTA with an index: 1 at one position, as a gather's mask is.
bool is_one_hot(const Tensor& mask) {
  if (!mask.node().is_zero_or_one) return false;
  const Node& comparison = below_movement_and_casts(mask);
  if (comparison.op != Op::CmpEq || !graph::is_integer(comparison.operands[0].dtype())) return false;
  return below_movement_and_casts(comparison.operands[0]).op == Op::Iota ||
         below_movement_and_casts(comparison.operands[1]).op == Op::Iota;
}

bool is_expanded(const Tensor& x) {
  const Node* node = &x.node();
  while (graph::is_movement(node->op) && node->op != Op::Expand) node = &node->operands[0].node();
  return node->op == Op::Expand;
}

// --- movement backwards ---

Tensor unpermuted(const Tensor& gradient, const Axes& axes) {
  Axes inverse(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) inverse[static_cast<size_t>(axes[i])] = static_cast<int64_t>(i);
  return permute(gradient, inverse);
}

Tensor unexpanded(const Tensor& gradient, const Shape& shape) {
  Axes grown;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != gradient.shape()[i]) grown.push_back(static_cast<int64_t>(i));
  }
  return sum_over(gradient, grown);
}

/// `attributes`: before, after of each axis of size `shape`.
Tensor unpadded(const Tensor& gradient, const Shape& shape, const std::vector<int64_t>& attributes) {
  std::vector<Pair> ranges;
  for (size_t i = 0; i < shape.size(); ++i) ranges.push_back({attributes[2 * i], attributes[2 * i] + shape[i]});
  return shrink(gradient, ranges);
}

Tensor unshrunk(const Tensor& gradient, const Shape& shape, const std::vector<int64_t>& attributes) {
  std::vector<Pair> amounts;
  for (size_t i = 0; i < shape.size(); ++i) amounts.push_back({attributes[2 * i], shape[i] - attributes[2 * i + 1]});
  return pad(gradient, amounts);
}

/// Zeros between the elements, then backwards where the step was: each axis [n] as [n, 1] -> [n, step] -> [n * step],
/// of which the first `shape` elements are kept.
Tensor unstrided(const Tensor& gradient, const Shape& shape, const std::vector<int64_t>& steps) {
  Shape apart, joined;
  std::vector<Pair> amounts, kept;
  std::vector<int64_t> directions;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t step = std::abs(steps[i]), size = gradient.shape()[i];
    apart.push_back(size);
    amounts.push_back({0, 0});
    if (step > 1) {
      apart.push_back(1);
      amounts.push_back({0, step - 1});
    }
    joined.push_back(size * step);
    kept.push_back({0, shape[i]});
    directions.push_back(steps[i] < 0 ? -1 : 1);
  }
  return stride(shrink(reshape(pad(reshape(gradient, apart), amounts), joined), kept), directions);
}

Tensor moved_back(const Tensor& gradient, const Node& movement) {
  const Shape& shape = movement.operands[0].shape();
  switch (movement.op) {
    case Op::Reshape:
      return reshape(gradient, shape);
    case Op::Permute:
      return unpermuted(gradient, movement.attributes);
    case Op::Expand:
      return unexpanded(gradient, shape);
    case Op::Pad:
      return unpadded(gradient, shape, movement.attributes);
    case Op::Shrink:
      return unshrunk(gradient, shape, movement.attributes);
    default:
      return unstrided(gradient, shape, movement.attributes);
  }
}

/// The gradient of a REDUCE_MAX in equal shares.
Tensor shared_among_greatest(const Tensor& greatest, const Tensor& gradient) {
  const Tensor& x = greatest.node().operands[0];
  // f16 and bf16 cannot count far.
  const DType counting = promoted(x.dtype(), DType::F32);
  const Tensor is_greatest = equal_mask(x, expand(greatest, x.shape()));
  const Tensor count = sum_over(cast(is_greatest, counting), greatest.node().attributes);
  const Tensor share = cast(div(cast(gradient, counting), count), x.dtype());
  return kept_where(is_greatest, expand(share, x.shape()));
}

// --- the walk from the loss to its sources ---

class Reverse {
 public:
  Reverse(const Tensor& loss, std::span<const Tensor> wrt)
      : order_(topological_order({&loss, 1}, Follow::Derivatives)) {
    for (size_t i = 0; i < order_.size(); ++i) place_.emplace(order_[i].get(), i);
    arrived_.resize(order_.size());
    needed_.resize(order_.size(), false);
    for (const Tensor& w : wrt) {
      if (const auto found = place_.find(&w.node()); found != place_.end()) needed_[found->second] = true;
    }
    for (size_t i = 0; i < order_.size(); ++i) needed_[i] = needed_[i] || passes_on(*order_[i]);
  }

  /// The gradient of each node that leads to a `wrt`, users before operands.
  void run(const Tensor& loss, const Tensor& seed) {
    pass(loss, seed);
    for (size_t i = order_.size(); i-- > 0;) {
      if (!needed_[i] || arrived_[i].empty()) continue;
      Tensor& sum = arrived_[i].front();
      for (size_t other = 1; other < arrived_[i].size(); ++other) sum = add(sum, arrived_[i][other]);
      arrived_[i].resize(1);
      if (passes_on(*order_[i])) visit(Tensor(order_[i]), sum);
    }
  }

  Tensor gradient_of(const Tensor& w) const {
    const auto found = place_.find(&w.node());
    if (found == place_.end() || arrived_[found->second].empty()) return zeros_like(w);
    return arrived_[found->second].front();
  }

 private:
  bool needs(const Tensor& x) const {
    const auto found = place_.find(&x.node());
    return found != place_.end() && needed_[found->second];
  }

  bool passes_on(const Node& node) const {
    if (!graph::is_float(node.dtype) || node.op == Op::CmpEq) return false;
    if (node.derivative) return std::ranges::any_of(node.derivative->of, [&](const Tensor& x) { return needs(x); });
    return (node.operands[0] && needs(node.operands[0])) || (node.operands[1] && needs(node.operands[1]));
  }

  void pass(const Tensor& to, const Tensor& gradient) {
    if (needs(to) && !is_constant(gradient, 0)) arrived_[place_.at(&to.node())].push_back(gradient);
  }

  void visit(const Tensor& value, const Tensor& gradient);
  void visit_derivative(const Derivative& derivative, const Tensor& value, const Tensor& gradient) {
    const std::vector<Tensor> gradients = derivative.rule(derivative.of, value, gradient);
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i]) pass(derivative.of[i], gradients[i]);
    }
  }
  void visit_product(const Tensor& value, const Tensor& gradient);
  void visit_power(const Tensor& value, const Tensor& gradient);

  std::vector<NodePointer> order_;
  std::unordered_map<const Node*, size_t> place_;
  std::vector<bool> needed_;
  std::vector<std::vector<Tensor>> arrived_;
};

/// The rule of each op.
void Reverse::visit(const Tensor& value, const Tensor& gradient) {
  const Node& node = value.node();
  const Tensor& x = node.operands[0];
  const Tensor& y = node.operands[1];
  if (node.derivative) return visit_derivative(*node.derivative, value, gradient);
  switch (node.op) {
    case Op::Exp:
      return pass(x, product(gradient, value));
    case Op::Log:
      return pass(x, div(gradient, x));
    case Op::Cast:
      return pass(x, cast(gradient, x.dtype()));
    case Op::Add:
      pass(x, gradient);
      return pass(y, gradient);
    case Op::Sub:
      pass(x, gradient);
      if (needs(y)) pass(y, scaled(gradient, -1));
      return;
    case Op::Mul:
      return visit_product(value, gradient);
    case Op::Div: {
      const Tensor share = div(gradient, y);
      pass(x, share);
      if (needs(y)) pass(y, scaled(product(share, value), -1));
      return;
    }
    case Op::Pow:
      return visit_power(value, gradient);
    case Op::Max: {
      const Tensor is_second = equal_mask(value, y);
      if (needs(x)) pass(x, dropped_where(is_second, gradient));
      if (needs(y)) pass(y, kept_where(is_second, gradient));
      return;
    }
    case Op::ReduceSum:
      return pass(x, expand(gradient, x.shape()));
    case Op::ReduceMax:
      return pass(x, shared_among_greatest(value, gradient));
    default:
      if (graph::is_movement(node.op)) pass(x, moved_back(gradient, node));
  }
}

void Reverse::visit_product(const Tensor& value, const Tensor& gradient) {
  const Tensor& x = value.node().operands[0];
  const Tensor& y = value.node().operands[1];
  if (WhereParts parts; match_where(value, parts)) {
    if (needs(parts.if_true)) pass(parts.if_true, kept_where(parts.condition, gradient));
    if (needs(parts.if_false)) pass(parts.if_false, dropped_where(parts.condition, gradient));
    return;
  }
  // What a gather did not pick gets exactly nothing. Where the table was repeated for many indices, its gradient is the
  // sum over them, and a product keeps that a contraction.
  const auto through = [&](const Tensor& factor, const Tensor& to) {
    if (!needs(to)) return;
    const bool is_pick = is_one_hot(factor) && !is_expanded(to);
    pass(to, is_pick ? kept_where(factor, gradient) : product(gradient, factor));
  };
  through(y, x);
  through(x, y);
}

/// x^c: c * x^(c - 1), without another POW where x^c itself gives it.
Tensor power_slope(const Tensor& x, const Tensor& value, double exponent) {
  if (exponent == 1) return constant(1, x.dtype(), x.shape());
  if (exponent == 2) return scaled(x, 2);
  if (exponent == -1) return scaled(mul(value, value), -1);
  if (exponent == -0.5) return scaled(mul(mul(value, value), value), -0.5);
  return scaled(pow(x, constant(exponent - 1, x.dtype(), x.shape())), exponent);
}

void Reverse::visit_power(const Tensor& value, const Tensor& gradient) {
  const Tensor& x = value.node().operands[0];
  const Tensor& y = value.node().operands[1];
  if (const auto exponent = constant_of(y)) {
    if (*exponent == 0) return;
    if (*exponent == 0.5) return pass(x, div(scaled(gradient, 0.5), value));
    return pass(x, product(gradient, power_slope(x, value, *exponent)));
  }
  const Tensor one = constant(1, x.dtype(), x.shape());
  if (needs(x)) {
    // x^0 is 1 for every x, also where x^-1 is inf.
    const Tensor slope = mul(y, pow(x, sub(y, one)));
    pass(x, dropped_where(equal_mask(y, zeros_like(y)), product(gradient, slope)));
  }
  if (needs(y)) {
    // As a function of its exponent a power is smooth for positive x only. log sees 1 elsewhere, so that no gradient of
    // its own is inf there.
    const Tensor is_positive = mask_of(less(zeros_like(x), x), x.dtype());
    const Tensor slope = mul(value, log(where(is_positive, x, one)));
    pass(y, kept_where(is_positive, product(gradient, slope)));
  }
}

}  // namespace

std::vector<Tensor> gradient(const Tensor& loss, std::span<const Tensor> wrt, const Tensor& seed) {
  if (!graph::is_float(loss.dtype()) || loss.elements() != 1) {
    throw TensorError("gradient: the loss must be one float, not " + text(loss) + "; take its sum or mean");
  }
  if (seed && (seed.dtype() != loss.dtype() || seed.shape() != loss.shape())) {
    throw TensorError("gradient: the seed " + text(seed) + " must be like the loss " + text(loss));
  }
  Reverse reverse(loss, wrt);
  reverse.run(loss, seed ? seed : constant(1, loss.dtype(), loss.shape()));
  std::vector<Tensor> gradients;
  for (const Tensor& w : wrt) gradients.push_back(reverse.gradient_of(w));
  return gradients;
}

}  // namespace quarry::tensor
