// Orders along an axis (index.h).
//
// Sorting counts, for each element, those that come before it: n * n comparisons, but three kernels whatever n is. A
// sorting network would compare n * log(n)^2 times in as many kernels as it has stages (55 for 1,024), each of which is
// billed and launched; it only pays beyond what models sort. The k best of a long axis are those of the k best of each
// of its blocks.
#include <algorithm>
#include <limits>

#include "engine/graph/number.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/index.h"

namespace quarry::tensor {
namespace {

// A block of 512 costs 50,000 elements as much as their ranking's own kernels do. With blocks eight times k, each pass
// leaves an eighth.
constexpr int64_t kLeastBlock = 512;
constexpr int64_t kBlockPerWanted = 8;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What the order goes by: keys without NaN, and numbers that tell equal keys apart, the lower one first.
struct Keys {
  Tensor key;  ///< [.., n]
  Tensor tie;  ///< i32 [n] or [.., n]
};

/// NaN is an infinity that comes after (ascending) or before the others.
Keys keys_of(const Tensor& x, bool descending) {
  const int64_t count = x.size(-1);
  const Tensor places = iota(DType::I32, {count}, 0);
  if (!graph::is_float(x.dtype())) return {x, places};
  const Tensor none = isnan(x);
  const Tensor shift = mul(mask_of(none, DType::I32), integer_constant(descending ? -count : count, DType::I32));
  return {where(none, constant(kInfinity, x.dtype()), x), add(places, shift)};
}

Tensor as_i32(const Tensor& mask) {
  return cast(mask, DType::I32);
}

/// Along the last axis: how many elements come before each one.
Tensor ranks(const Tensor& x, bool descending) {
  const Keys keys = keys_of(x, descending);
  Shape pairs = x.shape();  // [.., own, other]
  pairs.push_back(x.size(-1));
  const Tensor own = expand(unsqueeze(keys.key, {-1}), pairs), other = expand(unsqueeze(keys.key, {-2}), pairs);
  const Tensor own_tie = unsqueeze(keys.tie, {-1}), other_tie = unsqueeze(keys.tie, {-2});
  const Tensor not_after = binary(Op::CmpEq, binary(Op::Max, own, other), descending ? other : own);
  const Tensor stands_before = mask_of(less_equal(other_tie, own_tie), DType::I32);
  // Of two equal keys neither comes after the other: those that stand behind are taken off again.
  const Tensor taken_off =
      mul(as_i32(binary(Op::CmpEq, own, other)), sub(integer_constant(1, DType::I32), stands_before));
  const Tensor with_itself = reduce(Op::ReduceSum, sub(as_i32(not_after), taken_off), {-1});
  return sub(squeeze(with_itself, {-1}), integer_constant(1, DType::I32));
}

/// Along the last axis: the positions of the first `count` elements in order.
Tensor order(const Tensor& x, int64_t count, bool descending) {
  Shape pairs = x.shape();  // [.., place, element]
  pairs.insert(pairs.end() - 1, count);
  const Tensor rank = expand(unsqueeze(ranks(x, descending), {-2}), pairs);
  const Tensor is_here = binary(Op::CmpEq, rank, iota(DType::I32, pairs, -2));
  return squeeze(reduce(Op::ReduceSum, binary(Op::Mul, is_here, iota(DType::I32, pairs, -1)), {-1}), {-1});
}

/// What comes after every element, or is equal to it.
double last_of_all(DType dtype, bool descending) {
  if (graph::is_float(dtype)) return descending ? -kInfinity : std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(descending ? graph::lowest_integer(dtype) : graph::highest_integer(dtype));
}

/// As order(), in blocks where that is cheaper.
Tensor first_in_order(const Tensor& x, int64_t count, bool descending) {
  const int64_t size = x.size(-1), block = std::max(kLeastBlock, kBlockPerWanted * count);
  if (size <= 2 * block) return order(x, count, descending);
  const int64_t blocks = (size + block - 1) / block;
  std::vector<Pair> behind(x.shape().size(), Pair{0, 0});
  behind.back().after = blocks * block - size;
  const Tensor filled = pad(x, behind, PadMode::Constant, last_of_all(x.dtype(), descending));
  const Tensor in_blocks = unflatten(filled, -1, {blocks, block});
  const Tensor best = order(in_blocks, count, descending);  // [.., blocks, count]
  const Tensor begin = mul(iota(DType::I32, {blocks, 1}, 0), integer_constant(block, DType::I32));
  const Tensor candidates = flatten(gather_along_axis(in_blocks, -1, best), -2, -1);
  return gather_along_axis(flatten(add(best, begin), -2, -1), -1, first_in_order(candidates, count, descending));
}

Sorted in_order(const Tensor& x, int64_t axis, const Tensor& positions) {
  const Tensor indices = moveaxis(positions, {-1}, {axis});
  return {gather_along_axis(x, axis, indices), indices};
}

int64_t sortable_axis(const Tensor& x, int64_t axis, const char* where) {
  axis = normal_axis(axis, x.rank(), where);
  if (x.size(axis) > std::numeric_limits<int32_t>::max() / 2) {
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
  return in_order(x, axis, first_in_order(moveaxis(x, {axis}, {-1}), k, largest));
}

}  // namespace quarry::tensor
