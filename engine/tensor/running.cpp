// Running sums and products (index.h).
#include <algorithm>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/index.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

// Up to so many positions a sum over all windows is one kernel; beyond, blocks and the sums of blocks.
constexpr int64_t kBlock = 128;

std::vector<Pair> at_last(const Tensor& x, Pair pair) {
  std::vector<Pair> pairs(static_cast<size_t>(x.rank()), Pair{0, 0});
  pairs.back() = pair;
  return pairs;
}

/// `by` positions later; `first` stands at the first ones.
Tensor delayed(const Tensor& x, int64_t by, double first) {
  return narrow(pad(x, at_last(x, {by, 0}), PadMode::Constant, first), -1, 0, x.size(-1));
}

/// Along the last axis. Only zeros are added, so inf and NaN do not reach back.
Tensor running_sum(const Tensor& x) {
  const int64_t count = x.size(-1);
  if (count <= kBlock) {
    const Tensor seen =
        windows(pad(x, at_last(x, {std::max<int64_t>(0, count - 1), 0})), {std::max<int64_t>(1, count)});
    return squeeze(reduce(Op::ReduceSum, seen, {-1}), {-1});
  }
  const int64_t blocks = (count + kBlock - 1) / kBlock;
  const Tensor inner = running_sum(unflatten(pad(x, at_last(x, {0, blocks * kBlock - count})), -1, {blocks, kBlock}));
  const Tensor before = delayed(running_sum(select(inner, -1, kBlock - 1)), 1, 0);
  return narrow(flatten(add(inner, unsqueeze(before, {-1})), -2, -1), -1, 0, count);
}

/// Along the last axis, by doubling the reach.
Tensor running_product(Tensor x) {
  for (int64_t reach = 1; reach < x.size(-1); reach *= 2) x = mul(x, delayed(x, reach, 1));
  return x;
}

/// `run` along the last axis, applied to another axis, from the end where wanted. `first`: what an exclusive run starts
/// with.
template <class Run>
Tensor along(const Tensor& x, int64_t axis, bool exclusive, bool reverse, double first, Run run) {
  Tensor turned = moveaxis(x, {axis}, {-1});
  if (turned.size(-1) == 0) return x;
  if (reverse) turned = flip(turned, {-1});
  if (exclusive) turned = delayed(turned, 1, first);
  turned = run(turned);
  return moveaxis(reverse ? flip(turned, {-1}) : turned, {-1}, {axis});
}

Tensor summable(const Tensor& x) {
  return x.dtype() == DType::Bool ? cast(x, DType::I32) : widened(x);
}

DType result_dtype(const Tensor& x) {
  return x.dtype() == DType::Bool ? DType::I32 : x.dtype();
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t axis, bool exclusive, bool reverse) {
  axis = normal_axis(axis, x.rank(), "cumsum");
  return cast(along(summable(x), axis, exclusive, reverse, 0, running_sum), result_dtype(x));
}

Tensor cumprod(const Tensor& x, int64_t axis, bool exclusive, bool reverse) {
  axis = normal_axis(axis, x.rank(), "cumprod");
  return cast(along(summable(x), axis, exclusive, reverse, 1, running_product), result_dtype(x));
}

}  // namespace quarry::tensor
