// Orders along an axis (index.h).
//
// Sorting counts, for each element, those that come before it: n * n comparisons, but three kernels whatever n is. A
// sorting network would compare n * log(n)^2 times in as many kernels as it has stages (55 for 1,024), each of which is
// billed and launched; it only pays beyond what models sort.
#include <limits>

#include "engine/graph/number.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/index.h"
#include "engine/tensor/reduce.h"

namespace quarry::tensor {
namespace {

// The k greatest of a long axis are found one after the other: k passes over n instead of n * n comparisons.
constexpr int64_t kLongAxis = 1024;
constexpr int64_t kFewOfThem = 64;

/// Whether a comes before b, both NaN-aware: NaN is the greatest of all.
Tensor comes_before(const Tensor& a, const Tensor& b, bool descending) {
  if (descending) return comes_before(b, a, false);
  if (!graph::is_float(a.dtype())) return less(a, b);
  return logical_or(less(a, b), logical_and(isnan(b), logical_not(isnan(a))));
}

Tensor ties(const Tensor& a, const Tensor& b) {
  if (!graph::is_float(a.dtype())) return equal(a, b);
  return logical_or(equal(a, b), logical_and(isnan(a), isnan(b)));
}

/// Along the last axis: how many elements come before each one; of equal ones the first does.
Tensor ranks(const Tensor& x, bool descending) {
  Shape pairs = x.shape();
  pairs.push_back(x.size(-1));
  const Tensor own = expand(unsqueeze(x, {-1}), pairs), other = expand(unsqueeze(x, {-2}), pairs);
  const Tensor stands_before = less(iota(DType::I32, pairs, -1), iota(DType::I32, pairs, -2));
  const Tensor before = logical_or(comes_before(other, own, descending), logical_and(ties(other, own), stands_before));
  return sum(before, {-1});
}

/// Along the last axis: the positions of the first `count` elements in order.
Tensor order(const Tensor& x, int64_t count, bool descending) {
  Shape pairs = x.shape();  // [.., place, element]
  pairs.insert(pairs.end() - 1, count);
  const Tensor rank = expand(unsqueeze(ranks(x, descending), {-2}), pairs);
  const Tensor is_here = binary(Op::CmpEq, rank, iota(DType::I32, pairs, -2));
  return sum(mul(is_here, iota(DType::I32, pairs, -1)), {-1});
}

/// Along the last axis: the positions of the `count` greatest, one after the other.
Tensor greatest_in_turn(const Tensor& x, int64_t count) {
  const Tensor lowest = graph::is_float(x.dtype()) ? constant(-std::numeric_limits<double>::infinity(), x.dtype())
                                                   : integer_constant(graph::lowest_integer(x.dtype()), x.dtype());
  const Tensor places = iota(DType::I32, x.shape(), -1);
  const Tensor from_end = sub(scalar_beside(places, x.size(-1)), places);
  Tensor is_taken = constant(0, DType::Bool, x.shape());
  std::vector<Tensor> found;
  for (int64_t i = 0; i < count; ++i) {
    const Tensor greatest = max(where(is_taken, lowest, x), {-1}, true);
    const Tensor is_greatest = logical_and(ties(x, broadcast_to(greatest, x.shape())), logical_not(is_taken));
    // The first one lies farthest from the end.
    const Tensor place = max(mul(mask_of(is_greatest, DType::I32), from_end), {-1}, true);
    found.push_back(sub(scalar_beside(place, x.size(-1)), place));
    is_taken = logical_or(is_taken, equal(places, found.back()));
  }
  return cat(found, -1);
}

Sorted in_order(const Tensor& x, int64_t axis, const Tensor& positions) {
  const Tensor indices = moveaxis(positions, {-1}, {axis});
  return {gather_along_axis(x, axis, indices), indices};
}

int64_t sortable_axis(const Tensor& x, int64_t axis, const char* where) {
  axis = normal_axis(axis, x.rank(), where);
  if (x.size(axis) > std::numeric_limits<int32_t>::max()) {
    throw TensorError(std::string(where) + ": axis " + std::to_string(axis) + " of " + text(x) + " is too long");
  }
  return axis;
}

}  // namespace

Sorted sort(const Tensor& x, int64_t axis, bool descending) {
  axis = sortable_axis(x, axis, "sort");
  return in_order(x, axis, order(moveaxis(x, {axis}, {-1}), x.size(axis), descending));
}

Tensor argsort(const Tensor& x, int64_t axis, bool descending) {
  return sort(x, axis, descending).indices;
}

Sorted topk(const Tensor& x, int64_t k, int64_t axis, bool largest) {
  axis = sortable_axis(x, axis, "topk");
  const int64_t count = x.size(axis);
  if (k < 0 || k > count) {
    throw TensorError("topk: " + std::to_string(k) + " of the " + std::to_string(count) + " elements of axis " +
                      std::to_string(axis) + " of " + text(x));
  }
  const Tensor turned = moveaxis(x, {axis}, {-1});
  const bool in_turn = largest && k > 0 && k <= kFewOfThem && count > kLongAxis;
  return in_order(x, axis, in_turn ? greatest_in_turn(turned, k) : order(turned, k, largest));
}

}  // namespace quarry::tensor
