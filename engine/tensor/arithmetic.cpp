#include "engine/tensor/arithmetic.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/graph/number.h"

namespace quarry::tensor {
namespace {

/// Both operands in one dtype and one shape.
std::pair<Tensor, Tensor> met(const Tensor& x, const Tensor& y, const char* where) {
  const DType dtype = promoted(x.dtype(), y.dtype());
  const Shape shape = broadcast_shape(x.shape(), y.shape(), where);
  return {broadcast_to(cast(x, dtype), shape), broadcast_to(cast(y, dtype), shape)};
}

Tensor one_like(const Tensor& x) {
  return constant(1, x.dtype(), x.shape());
}

Tensor complement(const Tensor& zero_or_one) {
  return binary(Op::Sub, one_like(zero_or_one), zero_or_one);
}

/// x < y as 0 or 1 of their dtype. NaN compares false: MAX gives NaN, which equals nothing.
Tensor less_mask(const Tensor& x, const Tensor& y) {
  const Tensor is_greatest = binary(Op::CmpEq, binary(Op::Max, x, y), y);
  return binary(Op::Mul, complement(binary(Op::CmpEq, x, y)), is_greatest);
}

/// The CMPEQ op turned into bool.
Tensor to_bool(const Tensor& mask) {
  return cast(mask, DType::Bool);
}

Tensor negative(const Tensor& x) {
  if (x.dtype() == DType::Bool) throw TensorError("-x of bool: cast to a number, or use logical_not");
  // -1 * x keeps the sign of zero, unlike 0 - x.
  return binary(Op::Mul, x, integer_constant(-1, x.dtype(), x.shape()));
}

}  // namespace

DType promoted(DType x, DType y) {
  if (x == y || y == DType::Bool) return x;
  if (x == DType::Bool) return y;
  const bool x_float = graph::is_float(x);
  const bool y_float = graph::is_float(y);
  if (x_float != y_float) return x_float ? x : y;
  const DType wide = std::max(x, y);  // the enum goes from narrow to wide
  const DType narrow = std::min(x, y);
  if (wide == DType::BF16 && narrow == DType::F16) return DType::F32;
  if (wide == DType::U8 && narrow == DType::I8) return DType::I32;
  return wide;
}

Shape broadcast_shape(const Shape& x, const Shape& y, const char* where) {
  Shape shape(std::max(x.size(), y.size()));
  for (size_t i = 1; i <= shape.size(); ++i) {
    const int64_t a = i <= x.size() ? x[x.size() - i] : 1;
    const int64_t b = i <= y.size() ? y[y.size() - i] : 1;
    if (a != b && a != 1 && b != 1) {
      throw TensorError(std::string(where) + ": " + text(x) + " and " + text(y) +
                        " do not broadcast: counted from the end, sizes must be equal or 1");
    }
    shape[shape.size() - i] = a == 1 ? b : a;
  }
  return shape;
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  return expand(x, shape);
}

Tensor scalar_beside(const Tensor& like, double value) {
  if (graph::is_float(like.dtype())) return constant(value, like.dtype());
  if (std::trunc(value) == value && std::abs(value) < 9007199254740992.0) {
    return scalar_beside(like, static_cast<int64_t>(value));
  }
  return constant(value, DType::F32);
}

Tensor scalar_beside(const Tensor& like, int64_t value) {
  if (graph::is_float(like.dtype())) return constant_bits(graph::from_integer(like.dtype(), value), like.dtype());
  DType dtype = like.dtype() == DType::Bool ? DType::I32 : like.dtype();
  if (value < graph::lowest_integer(dtype) || value > graph::highest_integer(dtype)) {
    if (like.dtype() != DType::Bool) {
      throw TensorError(std::to_string(value) + " does not fit in " + std::string(graph::name(dtype)));
    }
    dtype = DType::I64;
  }
  return integer_constant(value, dtype);
}

Tensor add(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "add");
  return binary(Op::Add, a, b);
}

Tensor sub(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "subtract");
  return binary(Op::Sub, a, b);
}

Tensor mul(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "multiply");
  // 1 * x is x bit for bit, also for NaN and -0.
  if (is_constant(b, 1)) return a;
  if (is_constant(a, 1)) return b;
  return binary(Op::Mul, a, b);
}

Tensor div(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "divide");
  if (is_constant(b, 1)) return a;
  return binary(Op::Div, a, b);
}

Tensor pow(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "pow");
  if (is_constant(b, 1)) return a;
  return binary(Op::Pow, a, b);
}

Tensor maximum(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "maximum");
  return binary(Op::Max, a, b);
}

Tensor minimum(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "minimum");
  if (graph::is_float(a.dtype())) return negative(binary(Op::Max, negative(a), negative(b)));
  if (a.dtype() == DType::Bool) return binary(Op::Mul, a, b);
  // ~x = -1 - x reverses the order of integers, the lowest included; of u8 it is 255 - x.
  const Tensor ones = constant_bits(graph::bit_mask(a.dtype()), a.dtype(), a.shape());
  return binary(Op::Sub, ones, binary(Op::Max, binary(Op::Sub, ones, a), binary(Op::Sub, ones, b)));
}

Tensor equal(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "equal");
  return to_bool(binary(Op::CmpEq, a, b));
}

Tensor not_equal(const Tensor& x, const Tensor& y) {
  return logical_not(equal(x, y));
}

Tensor less(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "less");
  return to_bool(less_mask(a, b));
}

Tensor less_equal(const Tensor& x, const Tensor& y) {
  const auto [a, b] = met(x, y, "less_equal");
  return to_bool(binary(Op::CmpEq, binary(Op::Max, a, b), b));
}

Tensor greater(const Tensor& x, const Tensor& y) {
  return less(y, x);
}

Tensor greater_equal(const Tensor& x, const Tensor& y) {
  return less_equal(y, x);
}

Tensor logical_not(const Tensor& x) {
  return to_bool(complement(mask_of(x, x.node().is_zero_or_one ? x.dtype() : DType::Bool)));
}

Tensor logical_and(const Tensor& x, const Tensor& y) {
  return mul(cast(x, DType::Bool), cast(y, DType::Bool));
}

Tensor logical_or(const Tensor& x, const Tensor& y) {
  return maximum(cast(x, DType::Bool), cast(y, DType::Bool));
}

Tensor logical_xor(const Tensor& x, const Tensor& y) {
  return sub(cast(x, DType::Bool), cast(y, DType::Bool));
}

Tensor mask_of(const Tensor& condition, DType dtype) {
  // CASTs between 0 and 1 change nothing, so the first value below them that has the dtype will do.
  Tensor below = condition;
  while (below.node().op == Op::Cast && below.node().operands[0].node().is_zero_or_one) {
    below = below.node().operands[0];
    if (below.dtype() == dtype) return below;
  }
  if (below.node().is_zero_or_one) return cast(below, dtype);
  return cast(cast(condition, DType::Bool), dtype);
}

Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y) {
  auto [a, b] = met(x, y, "where");
  const Shape shape = broadcast_shape(condition.shape(), a.shape(), "where");
  const Tensor c = broadcast_to(mask_of(condition, a.dtype()), shape);
  a = broadcast_to(a, shape);
  b = broadcast_to(b, shape);
  return binary(Op::Mul, binary(Op::Pow, a, c), binary(Op::Pow, b, complement(c)));
}

bool match_where(const Tensor& x, WhereParts& parts) {
  const Node& product = x.node();
  if (product.op != Op::Mul) return false;
  const Node& chosen = product.operands[0].node();
  const Node& other = product.operands[1].node();
  if (chosen.op != Op::Pow || other.op != Op::Pow) return false;
  const Node& inverse = other.operands[1].node();
  if (inverse.op != Op::Sub || !is_constant(inverse.operands[0], 1)) return false;
  if (inverse.operands[1].pointer() != chosen.operands[1].pointer()) return false;
  if (!chosen.operands[1].node().is_zero_or_one) return false;
  parts = {chosen.operands[1], chosen.operands[0], other.operands[0]};
  return true;
}

Tensor operator-(const Tensor& x) {
  return negative(x);
}

}  // namespace quarry::tensor
