#include "engine/tensor/reduce.h"

#include <algorithm>

#include "engine/graph/number.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

/// One reduction: over which axes, and what becomes of them.
class Reduction {
 public:
  Reduction(const Tensor& x, const Axes& axes, bool keepdim, const char* where)
      : axes_(normal_axes(axes, x.rank(), where)) {
    for (int64_t axis = 0; axis < x.rank(); ++axis) {
      const bool is_reduced = std::ranges::binary_search(axes_, axis);
      if (is_reduced) count_ *= x.size(axis);
      if (keepdim || !is_reduced) shape_.push_back(is_reduced ? 1 : x.size(axis));
    }
  }

  int64_t count() const { return count_; }  ///< elements that make one of the result
  const Axes& axes() const { return axes_; }

  Tensor sum(const Tensor& x) const { return reduce(Op::ReduceSum, x, axes_); }
  Tensor max(const Tensor& x) const { return reduce(Op::ReduceMax, x, axes_); }
  Tensor mean(const Tensor& x) const { return sum(x) / static_cast<double>(count_); }
  /// Drops the reduced axes, unless they are to be kept.
  Tensor finish(const Tensor& kept) const { return reshape(kept, shape_); }

 private:
  Axes axes_;
  Shape shape_;  // of the result
  int64_t count_ = 1;
};

DType sum_dtype(DType dtype) {
  return graph::is_float(dtype) || dtype == DType::I64 ? dtype : DType::I32;
}

/// A tensor in the opposite order: its own inverse.
Tensor reversed_order(const Tensor& x) {
  if (graph::is_float(x.dtype())) return -x;
  // -1 - x, or 255 - x of u8, or not x: unlike -x this also turns the lowest integer around.
  return binary(Op::Sub, constant_bits(graph::bit_mask(x.dtype()), x.dtype(), x.shape()), x);
}

void require_elements(const Tensor& x, int64_t count, const char* where) {
  if (count > 0) return;
  throw TensorError(std::string(where) + ": " + text(x) + " has no elements along the reduced axes");
}

Tensor variance(const Tensor& x, const Reduction& reduction, double correction) {
  const Tensor distance = x - reduction.mean(x);
  const double divisor = std::max(0.0, static_cast<double>(reduction.count()) - correction);
  return reduction.sum(distance * distance) / divisor;
}

/// The greatest of each row, by which exponentials are shifted: 0 where it is no number. The result does not depend on
/// it, so no gradient passes.
Tensor shift_of(const Tensor& x, const Reduction& reduction) {
  const Tensor greatest = detach(reduction.max(x));
  const Tensor zero = constant(0, x.dtype(), greatest.shape());
  return where(binary(Op::CmpEq, greatest * 0.0, zero), greatest, zero);
}

Tensor half(const Tensor& x, int64_t begin, int64_t end) {
  std::vector<Pair> ranges;
  for (int64_t size : x.shape()) ranges.push_back({0, size});
  ranges.back() = {begin, end};
  return shrink(x, ranges);
}

/// The product along the last axis, which stays. What is odd is set aside: ones to fill up with would have to be added.
Tensor product_of_last(Tensor x) {
  Tensor aside;
  const auto take_in = [&aside](const Tensor& factor) { aside = aside ? aside * factor : factor; };
  while (x.size(-1) > 1) {
    const int64_t size = x.size(-1), middle = size / 2;
    if (size % 2 != 0) take_in(half(x, size - 1, size));
    x = half(x, 0, middle) * half(x, middle, 2 * middle);
  }
  take_in(x);
  return aside;
}

Tensor first_greatest(const Tensor& x, std::optional<int64_t> axis, bool keepdim, const char* where) {
  if (!axis) {
    const Tensor found = first_greatest(reshape(x, {x.elements()}), 0, false, where);
    return keepdim ? reshape(found, Shape(x.shape().size(), 1)) : found;
  }
  const Reduction along(x, {*axis}, keepdim, where);
  require_elements(x, along.count(), where);
  Tensor is_best = mask_of(equal(x, along.max(x)), x.dtype());
  // The greatest is NaN where there is one, and equals nothing: then the NaNs are what is looked for.
  if (graph::is_float(x.dtype())) is_best = maximum(is_best, 1.0 - binary(Op::CmpEq, x, x));
  const Tensor size = integer_constant(along.count(), DType::I32);
  const Tensor from_end = size - iota(DType::I32, x.shape(), along.axes()[0]);
  return along.finish(size - along.max(cast(is_best, DType::I32) * from_end));
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "sum");
  return reduction.finish(reduction.sum(cast(x, sum_dtype(x.dtype()))));
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "mean");
  return rounded_like(reduction.finish(reduction.mean(inner(x))), x);
}

Tensor var(const Tensor& x, const Axes& axes, double correction, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "var");
  return rounded_like(reduction.finish(variance(inner(x), reduction, correction)), x);
}

Tensor standard_deviation(const Tensor& x, const Axes& axes, double correction, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "std");
  return rounded_like(reduction.finish(sqrt(variance(inner(x), reduction, correction))), x);
}

Tensor max(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "max");
  require_elements(x, reduction.count(), "max");
  return reduction.finish(reduction.max(x));
}

Tensor min(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "min");
  require_elements(x, reduction.count(), "min");
  return reduction.finish(reversed_order(reduction.max(reversed_order(x))));
}

Tensor prod(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "prod");
  const DType dtype = sum_dtype(x.dtype());
  Axes order;
  Shape rows;
  for (int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::binary_search(reduction.axes(), axis)) continue;
    order.push_back(axis);
    rows.push_back(x.size(axis));
  }
  order.insert(order.end(), reduction.axes().begin(), reduction.axes().end());
  rows.push_back(reduction.count());
  if (reduction.count() == 0) {
    rows.back() = 1;
    return reduction.finish(constant(1, dtype, rows));
  }
  const Tensor inside = cast(x, graph::is_float(dtype) ? inner_dtype(dtype) : dtype);
  return reduction.finish(cast(product_of_last(reshape(permute(inside, order), rows)), dtype));
}

Tensor any(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "any");
  return reduction.finish(reduction.max(cast(x, DType::Bool)));
}

Tensor all(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "all");
  return reduction.finish(logical_not(reduction.max(logical_not(cast(x, DType::Bool)))));
}

Tensor argmax(const Tensor& x, std::optional<int64_t> axis, bool keepdim) {
  return first_greatest(x, axis, keepdim, "argmax");
}

Tensor argmin(const Tensor& x, std::optional<int64_t> axis, bool keepdim) {
  return first_greatest(reversed_order(x), axis, keepdim, "argmin");
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "logsumexp");
  const Tensor wide = inner(x);
  const Tensor shift = shift_of(wide, reduction);
  return rounded_like(reduction.finish(log(reduction.sum(exp(wide - shift))) + shift), x);
}

Tensor softmax(const Tensor& x, int64_t axis) {
  const Reduction rows(x, {axis}, true, "softmax");
  const Tensor wide = inner(x);
  const Tensor weights = exp(wide - detach(rows.max(wide)));
  const auto rule = [rows](std::span<const Tensor>, const Tensor& value, const Tensor& gradient) {
    return std::vector{value * (gradient - rows.sum(value * gradient))};
  };
  return rounded_like(with_derivative({wide}, weights * reciprocal(rows.sum(weights)), rule), x);
}

Tensor log_softmax(const Tensor& x, int64_t axis) {
  const Reduction rows(x, {axis}, true, "log_softmax");
  const Tensor wide = inner(x);
  const Tensor shifted = wide - detach(rows.max(wide));
  return rounded_like(shifted - log(rows.sum(exp(shifted))), x);
}

Tensor l1_norm(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "l1_norm");
  return rounded_like(reduction.finish(reduction.sum(abs(inner(x)))), x);
}

Tensor l2_norm(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduction reduction(x, axes, keepdim, "l2_norm");
  const Tensor wide = inner(x);
  const Tensor squares = reduction.sum(wide * wide);
  const Tensor norm =
      with_derivative(squares, sqrt(squares), [](const Tensor&, const Tensor& value, const Tensor& gradient) {
        const Tensor zero = constant(0, value.dtype(), value.shape());
        return where(equal(value, zero), zero, gradient * 0.5 / value);
      });
  return rounded_like(reduction.finish(norm), x);
}

}  // namespace quarry::tensor
