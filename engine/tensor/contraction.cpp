#include "engine/tensor/contraction.h"

#include <algorithm>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/shape.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

/// Adds axes of size 1 so that x has `rank` axes, its last one standing at `last`.
Tensor lined_up(const Tensor& x, int64_t rank, int64_t axis) {
  Shape shape(static_cast<size_t>(rank) - x.shape().size() - 1, 1);
  shape.insert(shape.end(), x.shape().begin(), x.shape().end());
  shape.insert(shape.begin() + axis, 1);
  return reshape(x, shape);
}

}  // namespace

Tensor contract(const Tensor& x, const Tensor& y, const Axes& axes) {
  const DType dtype = promoted(x.dtype(), y.dtype());
  const DType inner = widened(dtype);
  const Shape shape = broadcast_shape(x.shape(), y.shape(), "contract");
  const Axes summed = axes.empty() ? axes : normal_axes(axes, static_cast<int64_t>(shape.size()), "contract");
  // The strict op, not mul(): a product with a constant 1 must stay one for the engine to see the contraction.
  const Tensor products = binary(Op::Mul, broadcast_to(cast(x, inner), shape), broadcast_to(cast(y, inner), shape));
  Shape kept;
  for (int64_t axis = 0; axis < products.rank(); ++axis) {
    if (!std::ranges::binary_search(summed, axis)) kept.push_back(products.size(axis));
  }
  return cast(reshape(reduce(Op::ReduceSum, products, summed), kept), dtype);
}

Tensor matmul(const Tensor& x, const Tensor& y) {
  if (x.rank() == 0 || y.rank() == 0) {
    throw TensorError("matmul: " + text(x) + " and " + text(y) + ": a scalar is multiplied with *");
  }
  const int64_t inner = y.rank() == 1 ? y.size(0) : y.size(-2);
  if (x.size(-1) != inner) {
    throw TensorError("matmul: " + text(x) + " and " + text(y) + ": the last axis of the left one (" +
                      std::to_string(x.size(-1)) + ") must equal the " + (y.rank() == 1 ? "only" : "last but one") +
                      " of the right one (" + std::to_string(inner) + ")");
  }
  const Tensor left = x.rank() == 1 ? unsqueeze(x, {0}) : x;     // [.., m, k]
  const Tensor right = y.rank() == 1 ? unsqueeze(y, {1}) : y;    // [.., k, n]
  const int64_t rank = std::max(left.rank(), right.rank()) + 1;  // [.., m, n, k]
  const Tensor product =
      contract(lined_up(left, rank, rank - 2), lined_up(transpose(right, -1, -2), rank, rank - 3), {rank - 1});
  Axes dropped;
  if (x.rank() == 1) dropped.push_back(-2);
  if (y.rank() == 1) dropped.push_back(-1);
  return dropped.empty() ? product : squeeze(product, dropped);
}

Tensor tensordot(const Tensor& x, const Tensor& y, int64_t axes) {
  if (axes < 0 || axes > x.rank() || axes > y.rank()) {
    throw TensorError("tensordot: no " + std::to_string(axes) + " axes in both " + text(x) + " and " + text(y));
  }
  const auto count = static_cast<size_t>(axes);
  const auto first = static_cast<std::ptrdiff_t>(x.shape().size() - count);
  if (!std::equal(x.shape().begin() + first, x.shape().end(), y.shape().begin())) {
    throw TensorError("tensordot: the last " + std::to_string(axes) + " axes of " + text(x) +
                      " must equal the first ones of " + text(y));
  }
  // x [a.., 1.., k..], y [b.., k..]
  const auto free_of_y = static_cast<std::ptrdiff_t>(y.shape().size() - count);
  Shape apart(x.shape().begin(), x.shape().begin() + first);
  apart.insert(apart.end(), static_cast<size_t>(free_of_y), 1);
  apart.insert(apart.end(), x.shape().begin() + first, x.shape().end());
  Axes summed_last, summed;
  for (int64_t axis = axes; axis < y.rank(); ++axis) summed_last.push_back(axis);
  for (int64_t axis = 0; axis < axes; ++axis) {
    summed_last.push_back(axis);
    summed.push_back(static_cast<int64_t>(apart.size()) - 1 - axis);
  }
  return contract(reshape(x, apart), permute(y, summed_last), summed);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (weight.rank() != 2 || x.rank() == 0 || x.size(-1) != weight.size(1)) {
    throw TensorError("linear: x [.., in] and weight [out, in], not " + text(x) + " and " + text(weight));
  }
  const Tensor product = matmul(x, transpose(weight, 0, 1));
  if (!bias) return product;
  if (bias.shape() != Shape{weight.size(0)}) {
    throw TensorError("linear: bias [" + std::to_string(weight.size(0)) + "] beside weight " + text(weight) + ", not " +
                      text(bias));
  }
  return add(product, bias);
}

}  // namespace quarry::tensor
