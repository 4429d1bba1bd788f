// Reading at computed positions (index.h): each the gather idiom, SUM over k of MUL(CMPEQ(IOTA along k, index), table).
#include <algorithm>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/axis_entries.h"
#include "engine/tensor/index_places.h"

namespace quarry::tensor {
namespace {

void require_index(const Tensor& index, const char* where) {
  if (index.dtype() == DType::I32 || index.dtype() == DType::I64) return;
  throw TensorError(std::string(where) + ": indices are i32 or i64, not " + text(index));
}

/// Whether position equals index, both in a shape where `axis` has `count` positions and index has one there.
Tensor one_hot_along(const Tensor& index, int64_t axis, int64_t count) {
  Shape shape = index.shape();
  shape[static_cast<size_t>(axis)] = count;
  return binary(Op::CmpEq, iota(index.dtype(), shape, axis), expand(index, shape));
}

/// Element of `table` for each place where `mask`, broadcast to it, is 1 along the axis, which is dropped.
Tensor picked(const Tensor& table, const Tensor& mask, int64_t axis) {
  const Tensor masks = broadcast_to(cast(mask, table.dtype()), table.shape());
  return squeeze(reduce(Op::ReduceSum, binary(Op::Mul, masks, table), {axis}), {axis});
}

Shape joined(std::initializer_list<std::span<const int64_t>> parts) {
  Shape shape;
  for (std::span<const int64_t> part : parts) shape.insert(shape.end(), part.begin(), part.end());
  return shape;
}

/// x [a.., n, b..] at index [i..] on the axis: [a.., i.., b..].
Tensor taken(const Tensor& x, const Tensor& index, int64_t axis) {
  const std::span<const int64_t> shape(x.shape()), leading = shape.first(static_cast<size_t>(axis)),
                                                   rest = shape.subspan(static_cast<size_t>(axis) + 1);
  const Shape count{x.size(axis)}, ones(static_cast<size_t>(index.rank()), 1), one{1};
  const Shape behind(rest.size(), 1);
  const int64_t summed = index.rank();
  const Tensor mask = one_hot_along(reshape(index, joined({index.shape(), one})), summed, count[0]);
  const Tensor table = reshape(x, joined({leading, ones, count, rest}));
  return picked(expand(table, joined({leading, index.shape(), count, rest})),
                reshape(mask, joined({index.shape(), count, behind})), axis + summed);
}

/// Positions on several axes as positions on the one that they make when joined; -1 where one lies outside.
Tensor joined_index(const Tensor& index, std::span<const int64_t> sizes, Negative negative) {
  Tensor place, inside;
  for (size_t i = 0; i < sizes.size(); ++i) {
    Tensor at = select(index, -1, static_cast<int64_t>(i));
    if (negative == Negative::Wrap) at = wrapped(at, sizes[i]);
    const Tensor fits =
        logical_and(less_equal(scalar_beside(at, int64_t{0}), at), less(at, integer_constant(sizes[i], at.dtype())));
    inside = i == 0 ? fits : logical_and(inside, fits);
    place = i == 0 ? at : add(mul(place, integer_constant(sizes[i], at.dtype())), at);
  }
  return sizes.size() == 1 ? place : where(inside, place, scalar_beside(place, int64_t{-1}));
}

}  // namespace

Tensor wrapped(const Tensor& index, int64_t size) {
  const Tensor is_negative = less(index, scalar_beside(index, int64_t{0}));
  return index + mask_of(is_negative, index.dtype()) * static_cast<double>(size);
}

FlatIndex flat_index(const Tensor& x, const Tensor& index, int64_t batch_axes, Negative negative, const char* where) {
  require_index(index, where);
  const int64_t count = index.rank() > 0 ? index.size(-1) : 0;
  const bool fits = batch_axes >= 0 && index.rank() > batch_axes && count >= 1 && batch_axes + count <= x.rank() &&
                    std::equal(x.shape().begin(), x.shape().begin() + batch_axes, index.shape().begin());
  if (!fits) {
    throw TensorError(std::string(where) + ": index " + text(index) + " does not name axes of " + text(x) + " after " +
                      std::to_string(batch_axes) + " batch axes");
  }
  const std::span<const int64_t> sizes(x.shape().data() + batch_axes, static_cast<size_t>(count));
  Shape shape(x.shape().begin(), x.shape().begin() + batch_axes);
  shape.push_back(count_of(sizes));
  shape.insert(shape.end(), x.shape().begin() + batch_axes + count, x.shape().end());
  return {reshape(x, shape), joined_index(index, sizes, negative)};
}

Tensor take(const Tensor& x, const Tensor& index, int64_t axis, Negative negative) {
  require_index(index, "take");
  axis = normal_axis(axis, x.rank(), "take");
  return taken(x, negative == Negative::Wrap ? wrapped(index, x.size(axis)) : index, axis);
}

Tensor embedding(const Tensor& index, const Tensor& table) {
  require_index(index, "embedding");
  if (table.rank() < 1) throw TensorError("embedding needs a table [n, ..], not " + text(table));
  return taken(table, index, 0);
}

Tensor gather_along_axis(const Tensor& x, int64_t axis, const Tensor& given, Negative negative) {
  require_index(given, "gather");
  axis = normal_axis(axis, x.rank(), "gather");
  std::vector<Pair> ranges = whole(x);
  for (int64_t i = 0; i < x.rank() && given.rank() == x.rank(); ++i) {
    if (i != axis) ranges[static_cast<size_t>(i)].after = std::min(x.size(i), given.size(i));
    if (i != axis && given.size(i) > x.size(i)) ranges.clear();
    if (ranges.empty()) break;
  }
  if (given.rank() != x.rank() || ranges.empty()) {
    throw TensorError("gather: index " + text(given) + " must have the axes of " + text(x) + ", none longer but axis " +
                      std::to_string(axis));
  }
  const Tensor index = negative == Negative::Wrap ? wrapped(given, x.size(axis)) : given;
  const Tensor mask = one_hot_along(unsqueeze(index, {axis + 1}), axis + 1, x.size(axis));
  return picked(expand(unsqueeze(shrink(x, ranges), {axis}), mask.shape()), mask, axis + 1);
}

Tensor gather_nd(const Tensor& x, const Tensor& index, int64_t batch_axes, Negative negative) {
  const auto [table, place] = flat_index(x, index, batch_axes, negative, "gather_nd");
  if (batch_axes == 0) return taken(table, place, 0);
  // [b.., n, r..] at [b.., i..]: [b.., i.., n, r..] with the mask on b, i and n.
  const auto batch = static_cast<size_t>(batch_axes);
  const std::span<const int64_t> shape(table.shape()), leading = shape.first(batch), rest = shape.subspan(batch + 1);
  const std::span<const int64_t> own = std::span<const int64_t>(place.shape()).subspan(batch);
  const Shape count{shape[batch]}, ones(own.size(), 1), behind(rest.size(), 1);
  const int64_t summed = batch_axes + static_cast<int64_t>(own.size());
  const Tensor mask = one_hot_along(unsqueeze(place, {-1}), summed, count[0]);
  return picked(expand(reshape(table, joined({leading, ones, count, rest})), joined({leading, own, count, rest})),
                reshape(mask, joined({leading, own, count, behind})), summed);
}

Tensor one_hot(const Tensor& index, int64_t depth, DType dtype, int64_t axis) {
  require_index(index, "one_hot");
  if (depth < 0) throw TensorError("one_hot: the depth is 0 or more, not " + std::to_string(depth));
  axis = normal_axis(axis, index.rank() + 1, "one_hot");
  return cast(one_hot_along(unsqueeze(index, {axis}), axis, depth), dtype);
}

Tensor row_update(const Tensor& old_value, int64_t axis, const Tensor& index, const Tensor& new_row) {
  require_index(index, "row_update");
  axis = normal_axis(axis, old_value.rank(), "row_update");
  Shape row = old_value.shape();
  row[static_cast<size_t>(axis)] = 1;
  if (new_row.shape() != row || new_row.dtype() != old_value.dtype()) {
    throw TensorError("row_update: the new row " + text(new_row) + " must be " +
                      std::string(graph::name(old_value.dtype())) + text(row) + " for " + text(old_value));
  }
  const bool alike = index.rank() == 0 ||
                     (index.rank() == old_value.rank() && broadcast_shape(index.shape(), row, "row_update") == row);
  if (!alike) {
    throw TensorError("row_update: the index " + text(index) + " must have rank 0 or broadcast to " + text(row));
  }
  const Tensor mask = one_hot_along(broadcast_to(index, row), axis, old_value.size(axis));
  return where(mask, expand(new_row, old_value.shape()), old_value);
}

}  // namespace quarry::tensor
