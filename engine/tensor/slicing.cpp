// Slices of shape.h, read and (index.h) written.
#include <algorithm>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/axis_entries.h"
#include "engine/tensor/index.h"

namespace quarry::tensor {
namespace {

/// A slice of an axis as SHRINK and STRIDE take it.
struct Cut {
  Pair range;
  int64_t step;
};

Cut cut_of(const Slice& slice, int64_t size) {
  if (slice.step == 0) throw TensorError("slice: the step is not 0");
  const bool forward = slice.step > 0;
  const int64_t lowest = forward ? 0 : -1;
  const int64_t highest = forward ? size : size - 1;
  const auto bound = [&](std::optional<int64_t> given, int64_t otherwise) {
    if (!given) return otherwise;
    return std::clamp(*given < 0 ? *given + size : *given, lowest, highest);
  };
  const int64_t start = bound(slice.start, forward ? lowest : highest);
  const int64_t stop = bound(slice.stop, forward ? highest : lowest);
  const int64_t span = forward ? stop - start : start - stop;
  if (span <= 0) return {{0, 0}, 1};
  // Steps past the axis all mean its first element alone.
  const int64_t step = std::clamp(slice.step, -size, size);
  const int64_t reach = (span - 1) / std::abs(step) * std::abs(step);
  return forward ? Cut{{start, start + reach + 1}, step} : Cut{{start - reach, start + 1}, step};
}

std::vector<Cut> cuts_of(const Tensor& x, std::span<const Slice> slices) {
  if (slices.size() > x.shape().size()) {
    throw TensorError("slice: " + std::to_string(slices.size()) + " slices for " + text(x));
  }
  std::vector<Cut> cuts;
  for (size_t i = 0; i < x.shape().size(); ++i) {
    cuts.push_back(cut_of(i < slices.size() ? slices[i] : Slice{}, x.shape()[i]));
  }
  return cuts;
}

/// The transpose of cutting: zeros wherever `part` does not go.
Tensor put_back(Tensor part, const Shape& shape, const std::vector<Cut>& cuts) {
  std::vector<int64_t> directions;
  std::vector<Pair> amounts;
  for (size_t i = 0; i < cuts.size(); ++i) {
    directions.push_back(cuts[i].step < 0 ? -1 : 1);
    amounts.push_back({cuts[i].range.before, shape[i] - cuts[i].range.after});
    part = spread(part, static_cast<int64_t>(i), std::abs(cuts[i].step));
  }
  return pad(stride(part, directions), amounts);
}

}  // namespace

Tensor slice(const Tensor& x, std::span<const Slice> slices) {
  std::vector<Pair> ranges;
  std::vector<int64_t> steps;
  for (const Cut& cut : cuts_of(x, slices)) {
    ranges.push_back(cut.range);
    steps.push_back(cut.step);
  }
  return stride(shrink(x, ranges), steps);
}

Tensor slice_axis(const Tensor& x, int64_t axis, const Slice& one) {
  std::vector<Slice> slices(static_cast<size_t>(normal_axis(axis, x.rank(), "slice")) + 1);
  slices.back() = one;
  return slice(x, slices);
}

Tensor narrow(const Tensor& x, int64_t axis, int64_t start, int64_t length) {
  const auto at = static_cast<size_t>(normal_axis(axis, x.rank(), "narrow"));
  if (start < 0 || length < 0 || length > x.shape()[at] || start > x.shape()[at] - length) {
    throw TensorError("narrow: " + std::to_string(length) + " positions from " + std::to_string(start) +
                      " do not lie in axis " + std::to_string(axis) + " of " + text(x));
  }
  std::vector<Pair> ranges = whole(x);
  ranges[at] = {start, start + length};
  return shrink(x, ranges);
}

Tensor select(const Tensor& x, int64_t axis, int64_t index) {
  axis = normal_axis(axis, x.rank(), "select");
  const int64_t size = x.size(axis);
  if (index < -size || index >= size) {
    throw TensorError("select: no position " + std::to_string(index) + " in axis " + std::to_string(axis) + " of " +
                      text(x));
  }
  return squeeze(narrow(x, axis, index < 0 ? index + size : index, 1), {axis});
}

Tensor slice_put(const Tensor& x, std::span<const Slice> slices, const Tensor& value) {
  const std::vector<Cut> cuts = cuts_of(x, slices);
  const Shape part = slice(x, slices).shape();
  if (value.shape().size() > part.size() || broadcast_shape(value.shape(), part, "slice_put") != part) {
    throw TensorError("slice_put: " + text(value) + " does not broadcast to the slice " + text(part) + " of " +
                      text(x));
  }
  const Tensor values = put_back(broadcast_to(cast(value, x.dtype()), part), x.shape(), cuts);
  const Tensor written = put_back(constant(1, DType::Bool, part), x.shape(), cuts);
  return is_constant(written, 1) ? values : where(written, values, x);
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  return where(mask, constant(value, x.dtype()), x);
}

}  // namespace quarry::tensor
