// A lazy tensor: a handle on a node of a graph that is still being written. Operations make nodes, nothing runs here.
//
// Nodes are immutable and shared; copying a Tensor copies a pointer. Every function checks its operands at once and
// throws TensorError, whose text has both shapes or dtypes, so that the error comes from the line that made it.
// This header holds sources, the twelve ops and movement exactly as the wire has them (docs/graph-format.md);
// arithmetic.h adds broadcasting and promotion, and the other headers are written on top of that.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::tensor {

using graph::DType;
using graph::Op;
using graph::Pair;
using Shape = std::vector<int64_t>;
using Axes = std::vector<int64_t>;

/// A wrong shape, dtype, axis or argument. The text says what was given and what would do.
class TensorError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

struct Node;
using NodePointer = std::shared_ptr<const Node>;

class Tensor {
 public:
  Tensor() = default;  ///< no tensor: only to be assigned to, or passed where an argument is optional
  explicit Tensor(NodePointer node) : node_(std::move(node)) {}
  explicit operator bool() const { return node_ != nullptr; }

  DType dtype() const;
  const Shape& shape() const;
  int64_t rank() const { return static_cast<int64_t>(shape().size()); }
  int64_t size(int64_t axis) const;  ///< negative axes count from the end
  int64_t elements() const;
  const Node& node() const { return *node_; }
  const NodePointer& pointer() const { return node_; }

 private:
  NodePointer node_;
};

/// A derivative that takes the place of the ops' own. `rule` gives the gradients of `of` (no tensor: zeros), in their
/// shapes and dtypes, from those, the value and its gradient. It must hold no tensors itself: what it needs is in `of`.
struct Derivative {
  using Rule =
      std::function<std::vector<Tensor>(std::span<const Tensor> of, const Tensor& value, const Tensor& gradient)>;
  std::vector<Tensor> of;
  Rule rule;
};

/// One operation. `attributes` by op: reduces and PERMUTE the axes; PAD and SHRINK before, after of each axis; STRIDE
/// the steps; CONST the bits; IOTA the axis; RAND the stream.
struct Node {
  Op op;
  DType dtype;
  Shape shape;
  Tensor operands[2];
  std::vector<int64_t> attributes;
  /// INPUT: its wire name, or empty: then build() gives it one.
  std::string name;
  /// INPUT: whatever a front end hangs on it, above all the value. Never looked at here.
  std::shared_ptr<const void> payload;
  /// Every element is provably 0 or 1 by the rules of graph::zero_or_one_values: what select conditions must be.
  bool is_zero_or_one = false;

  /// Set by with_derivative() and detach(): the way that gradients take, not to the operands then.
  std::shared_ptr<Derivative> derivative;

  ~Node();  ///< without recursion: graphs are deeper than stacks
};

// Sources.
Tensor input(std::string name, DType dtype, Shape shape, std::shared_ptr<const void> payload = nullptr);
Tensor constant(double value, DType dtype, Shape shape = {});  ///< rounded or converted to dtype
Tensor constant_bits(uint64_t bits, DType dtype, Shape shape = {});
Tensor integer_constant(int64_t value, DType dtype, Shape shape = {});  ///< all 64 bits of an i64
Tensor iota(DType dtype, Shape shape, int64_t axis);                    ///< i32 or i64
/// Element e is word e mod 4 of Philox (docs/graph-format.md): f32 in [0, 1), or i32. Fresh at each step of a job.
Tensor rand(Shape shape, uint32_t stream, DType dtype = DType::F32);
Tensor step();  ///< the i32 step number

// The twelve, strict: equal shapes and dtypes. A cast to the own dtype is the operand.
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor cast(const Tensor& x, DType dtype);
Tensor binary(Op op, const Tensor& x, const Tensor& y);
/// Reduced axes stay with size 1. Axes may be negative, must differ; none: the operand.
Tensor reduce(Op op, const Tensor& x, const Axes& axes);

// Movement, strict. What changes nothing gives the operand back, and a constant that is reshaped, permuted or expanded
// is a constant.
Tensor reshape(const Tensor& x, Shape shape);  ///< one entry may be -1: what is left
Tensor permute(const Tensor& x, const Axes& axes);
Tensor expand(const Tensor& x, const Shape& shape);  ///< equal rank, or more axes in front; -1 keeps a size
Tensor pad(const Tensor& x, std::span<const Pair> amounts);
Tensor shrink(const Tensor& x, std::span<const Pair> ranges);
Tensor stride(const Tensor& x, std::span<const int64_t> steps);

/// `value`, a function of `of`, with a derivative that is better known than its ops' own: shorter or more exact.
Tensor with_derivative(std::vector<Tensor> of, const Tensor& value, Derivative::Rule rule);
/// The same of one operand.
using UnaryRule = Tensor (*)(const Tensor& x, const Tensor& value, const Tensor& gradient);
Tensor with_derivative(const Tensor& x, const Tensor& value, UnaryRule rule);
/// `value`, through which gradients pass as if it were `like`, of the same shape and dtype. `like` is not computed.
Tensor with_derivative_of(const Tensor& like, const Tensor& value);
/// x, through which no gradient passes.
Tensor detach(const Tensor& x);

/// Whether the tensor is a constant all of whose elements equal `value` (seen only at a CONST itself).
bool is_constant(const Tensor& x, double value);
/// "[2, 3]", for messages.
std::string text(std::span<const int64_t> shape);
/// "f32[2, 3]", for messages.
std::string text(const Tensor& x);
/// The axis counted from 0. Throws when it lies outside of -rank .. rank - 1.
int64_t normal_axis(int64_t axis, int64_t rank, const char* where);
/// The axes counted from 0, ascending, each once; none given (empty): all of them.
Axes normal_axes(const Axes& axes, int64_t rank, const char* where);

}  // namespace quarry::tensor
