#include "engine/tensor/shape.h"

#include <algorithm>
#include <cmath>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/axis_entries.h"

namespace quarry::tensor {
namespace {

constexpr int64_t kMostParts = 1 << 20;  // as many tensors are made at once

Tensor join(std::span<const Tensor> tensors, int64_t axis) {
  if (tensors.size() == 1) return tensors[0];
  const Tensor first = join(tensors.first(tensors.size() / 2), axis);
  const Tensor second = join(tensors.subspan(tensors.size() / 2), axis);
  const auto at = static_cast<size_t>(axis);
  std::vector<Pair> after = no_padding(first), before = no_padding(second);
  after[at].after = second.shape()[at];
  before[at].before = first.shape()[at];
  return binary(Op::Add, pad(first, after), pad(second, before));
}

/// Why `x` cannot be joined to `first`, if it cannot.
void require_joinable(const Tensor& first, const Tensor& x, int64_t axis, const char* where) {
  bool fits = first.rank() == x.rank();
  for (int64_t i = 0; fits && i < x.rank(); ++i) {
    fits = i == axis || first.shape()[static_cast<size_t>(i)] == x.shape()[static_cast<size_t>(i)];
  }
  if (fits) return;
  throw TensorError(std::string(where) + ": " + text(first.shape()) + " and " + text(x.shape()) +
                    " differ in more than axis " + std::to_string(axis));
}

/// An axis that is repeated: no more than a virtual value may have.
int64_t times(int64_t size, int64_t repeats, const Tensor& x) {
  int64_t repeated = 0;
  if (!__builtin_mul_overflow(size, repeats, &repeated)) return repeated;
  throw TensorError(text(x) + " repeated " + std::to_string(repeats) + " times has more than 2^62 elements");
}

Tensor repeat_axis(const Tensor& x, int64_t axis, int64_t repeats) {
  if (repeats == 1) return x;
  const auto at = static_cast<size_t>(axis);
  Shape apart = x.shape();
  Shape repeated = x.shape();
  repeated[at] = times(repeated[at], repeats, x);
  if (x.shape()[at] == 1) return expand(x, repeated);
  apart.insert(apart.begin() + axis, 1);
  Shape grown = apart;
  grown[at] = repeats;
  return reshape(expand(reshape(x, apart), grown), repeated);
}

/// Positions `from` to `from + length` of an axis that goes on with itself at both ends; from >= 0.
Tensor cyclic(const Tensor& x, int64_t axis, int64_t from, int64_t length) {
  const int64_t size = x.size(axis);
  const Tensor repeated = repeat_axis(x, axis, (from + length + size - 1) / size);
  return narrow(repeated, axis, from, length);
}

void require_room(const Tensor& x, int64_t axis, Pair amount, int64_t most, const char* mode) {
  if (amount.before <= most && amount.after <= most) return;
  throw TensorError(std::string("pad (") + mode + "): axis " + std::to_string(axis) + " of " + text(x) +
                    " takes at most " + std::to_string(most) + " on each side, not (" + std::to_string(amount.before) +
                    ", " + std::to_string(amount.after) + ")");
}

/// The axis with mirrored parts before and after it; `skip` elements at the edge are not repeated.
Tensor mirrored(const Tensor& x, int64_t axis, Pair amount, int64_t skip) {
  const int64_t size = x.size(axis);
  std::vector<Tensor> parts;
  if (amount.before > 0) parts.push_back(flip(narrow(x, axis, skip, amount.before), {axis}));
  parts.push_back(x);
  if (amount.after > 0) parts.push_back(flip(narrow(x, axis, size - skip - amount.after, amount.after), {axis}));
  return cat(parts, axis);
}

Tensor edged(const Tensor& x, int64_t axis, Pair amount) {
  std::vector<Tensor> parts;
  const auto repeated = [&](int64_t position, int64_t count) {
    if (count > 0) parts.push_back(repeat_axis(narrow(x, axis, position, 1), axis, count));
  };
  repeated(0, amount.before);
  parts.push_back(x);
  repeated(x.size(axis) - 1, amount.after);
  return cat(parts, axis);
}

Tensor pad_axis(const Tensor& x, int64_t axis, Pair amount, PadMode mode) {
  const int64_t size = x.size(axis);
  if (amount.before == 0 && amount.after == 0) return x;
  if (size == 0) throw TensorError("pad: axis " + std::to_string(axis) + " of " + text(x) + " has nothing to repeat");
  switch (mode) {
    case PadMode::Reflect:
      require_room(x, axis, amount, size - 1, "reflect");
      return mirrored(x, axis, amount, 1);
    case PadMode::Symmetric:
      require_room(x, axis, amount, size, "symmetric");
      return mirrored(x, axis, amount, 0);
    case PadMode::Edge:
      return edged(x, axis, amount);
    default: {
      const int64_t from = (size - amount.before % size) % size;
      return cyclic(x, axis, from, amount.before + size + amount.after);
    }
  }
}

Tensor triangle(const Tensor& x, int64_t diagonal, bool lower) {
  if (x.rank() < 2) throw TensorError(std::string(lower ? "tril" : "triu") + " needs two axes, not " + text(x));
  require_reachable(diagonal, lower ? "tril" : "triu", "diagonal");
  // Above the diagonal is not (on or below the one before it).
  const Tensor below = lower_triangle(x.size(-2), x.size(-1), lower ? diagonal : diagonal - 1);
  const Tensor zero = constant(0, x.dtype());
  return lower ? where(below, x, zero) : where(below, zero, x);
}

/// Row and column numbers, [rows, 1] + diagonal and [1, columns].
std::pair<Tensor, Tensor> row_and_column(int64_t rows, int64_t columns, int64_t diagonal) {
  require_reachable(diagonal, "a triangle or eye", "the diagonal");
  const bool is_small = rows <= INT32_MAX / 4 && columns <= INT32_MAX / 4 && std::abs(diagonal) <= INT32_MAX / 4;
  const DType dtype = is_small ? DType::I32 : DType::I64;
  Tensor row = iota(dtype, {rows, 1}, 0);
  if (diagonal != 0) row = binary(Op::Add, row, integer_constant(diagonal, dtype, {rows, 1}));
  return {row, iota(dtype, {1, columns}, 1)};
}

}  // namespace

Tensor squeeze(const Tensor& x, const Axes& axes) {
  std::vector<bool> drop(x.shape().size(), axes.empty());
  for (int64_t axis : axes) {
    const auto at = static_cast<size_t>(normal_axis(axis, x.rank(), "squeeze"));
    if (x.shape()[at] != 1) {
      throw TensorError("squeeze: axis " + std::to_string(axis) + " of " + text(x) + " has not size 1");
    }
    drop[at] = true;
  }
  Shape shape;
  for (size_t i = 0; i < x.shape().size(); ++i) {
    if (!drop[i] || x.shape()[i] != 1) shape.push_back(x.shape()[i]);
  }
  return reshape(x, shape);
}

Tensor unsqueeze(const Tensor& x, const Axes& axes) {
  if (axes.empty()) return x;
  const int64_t rank = x.rank() + static_cast<int64_t>(axes.size());
  Shape shape = x.shape();
  for (int64_t axis : normal_axes(axes, rank, "unsqueeze")) shape.insert(shape.begin() + axis, 1);
  return reshape(x, shape);
}

Tensor flatten(const Tensor& x, int64_t first_axis, int64_t last_axis) {
  if (x.rank() == 0) return reshape(x, {1});
  const auto first = static_cast<size_t>(normal_axis(first_axis, x.rank(), "flatten"));
  const auto last = static_cast<size_t>(normal_axis(last_axis, x.rank(), "flatten"));
  if (last < first) {
    throw TensorError("flatten: axis " + std::to_string(last_axis) + " comes before axis " +
                      std::to_string(first_axis) + " of " + text(x));
  }
  Shape shape(x.shape().begin(), x.shape().begin() + static_cast<std::ptrdiff_t>(first));
  shape.push_back(count_of(std::span(x.shape()).subspan(first, last - first + 1)));
  shape.insert(shape.end(), x.shape().begin() + static_cast<std::ptrdiff_t>(last) + 1, x.shape().end());
  return reshape(x, shape);
}

Tensor unflatten(const Tensor& x, int64_t axis, const Shape& sizes) {
  axis = normal_axis(axis, x.rank(), "unflatten");
  Shape parts = sizes;
  const int64_t size = x.size(axis);
  const auto open = std::ranges::find(parts, -1);
  if (open != parts.end()) {
    *open = 1;
    const int64_t rest = count_of(parts);
    *open = rest > 0 ? size / rest : 0;
  }
  if (std::ranges::any_of(parts, [](int64_t part) { return part < 0; }) || count_of(parts) != size) {
    throw TensorError("unflatten: axis " + std::to_string(axis) + " of " + text(x) + " does not divide into " +
                      text(sizes));
  }
  Shape shape = x.shape();
  shape.erase(shape.begin() + axis);
  shape.insert(shape.begin() + axis, parts.begin(), parts.end());
  return reshape(x, shape);
}

Tensor transpose(const Tensor& x, int64_t a, int64_t b) {
  Axes axes = normal_axes({}, x.rank(), "transpose");
  std::swap(axes[static_cast<size_t>(normal_axis(a, x.rank(), "transpose"))],
            axes[static_cast<size_t>(normal_axis(b, x.rank(), "transpose"))]);
  return permute(x, axes);
}

Tensor moveaxis(const Tensor& x, const Axes& from, const Axes& to) {
  if (from.size() != to.size()) {
    throw TensorError("moveaxis: " + text(from) + " and " + text(to) + " have not equally many axes");
  }
  if (from.empty()) return x;
  normal_axes(from, x.rank(), "moveaxis");  // each once
  normal_axes(to, x.rank(), "moveaxis");
  Axes axes(x.shape().size(), -1);
  std::vector<bool> moved(x.shape().size(), false);
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t source = normal_axis(from[i], x.rank(), "moveaxis");
    axes[static_cast<size_t>(normal_axis(to[i], x.rank(), "moveaxis"))] = source;
    moved[static_cast<size_t>(source)] = true;
  }
  size_t next = 0;
  for (int64_t& axis : axes) {
    if (axis >= 0) continue;
    while (moved[next]) ++next;
    axis = static_cast<int64_t>(next++);
  }
  return permute(x, axes);
}

Tensor cat(std::span<const Tensor> tensors, int64_t axis) {
  if (tensors.empty()) throw TensorError("cat: give at least one tensor");
  axis = normal_axis(axis, tensors[0].rank(), "cat");
  DType dtype = tensors[0].dtype();
  for (const Tensor& x : tensors) {
    require_joinable(tensors[0], x, axis, "cat");
    dtype = promoted(dtype, x.dtype());
  }
  std::vector<Tensor> parts;
  for (const Tensor& x : tensors) {
    if (x.size(axis) > 0) parts.push_back(cast(x, dtype));
  }
  return parts.empty() ? cast(tensors[0], dtype) : join(parts, axis);
}

Tensor stack(std::span<const Tensor> tensors, int64_t axis) {
  if (tensors.empty()) throw TensorError("stack: give at least one tensor");
  std::vector<Tensor> parts;
  for (const Tensor& x : tensors) {
    if (x.shape() != tensors[0].shape()) {
      throw TensorError("stack: " + text(tensors[0].shape()) + " and " + text(x.shape()) + " differ");
    }
    parts.push_back(unsqueeze(x, {axis}));
  }
  return cat(parts, axis);
}

std::vector<Tensor> split(const Tensor& x, const Shape& sizes, int64_t axis) {
  axis = normal_axis(axis, x.rank(), "split");
  int64_t sum = 0;
  for (int64_t size : sizes) {
    if (size < 0 || __builtin_add_overflow(sum, size, &sum)) throw TensorError("split: bad sizes " + text(sizes));
  }
  if (sum != x.size(axis)) {
    throw TensorError("split: the sizes " + text(sizes) + " do not add up to axis " + std::to_string(axis) + " of " +
                      text(x));
  }
  std::vector<Tensor> parts;
  int64_t start = 0;
  for (int64_t size : sizes) {
    parts.push_back(narrow(x, axis, start, size));
    start += size;
  }
  return parts;
}

std::vector<Tensor> split(const Tensor& x, int64_t size, int64_t axis) {
  if (size < 1) throw TensorError("split: a size is 1 or more, not " + std::to_string(size));
  Shape sizes;
  const int64_t all = x.size(axis);
  if (all / size > kMostParts) {
    throw TensorError("split: " + text(x) + " into more than " + std::to_string(kMostParts) + " parts of " +
                      std::to_string(size));
  }
  for (int64_t left = all; left > 0; left -= size) sizes.push_back(std::min(left, size));
  if (all == 0) sizes.push_back(0);
  return split(x, sizes, axis);
}

std::vector<Tensor> chunk(const Tensor& x, int64_t count, int64_t axis) {
  if (count < 1) throw TensorError("chunk: a count is 1 or more, not " + std::to_string(count));
  return split(x, std::max<int64_t>((x.size(axis) - 1) / count + 1, 1), axis);
}

Tensor flip(const Tensor& x, const Axes& axes) {
  std::vector<int64_t> steps(x.shape().size(), 1);
  for (int64_t axis : normal_axes(axes, x.rank(), "flip")) steps[static_cast<size_t>(axis)] = -1;
  return stride(x, steps);
}

Tensor roll(const Tensor& x, const Shape& shifts, const Axes& axes) {
  if (shifts.size() != axes.size()) {
    throw TensorError("roll: " + text(shifts) + " shifts for axes " + text(axes));
  }
  Tensor rolled = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = normal_axis(axes[i], x.rank(), "roll");
    const int64_t size = x.size(axis);
    if (size == 0 || shifts[i] % size == 0) continue;
    rolled = cyclic(rolled, axis, (size - shifts[i] % size) % size, size);
  }
  return rolled;
}

Tensor tile(const Tensor& x, const Shape& repeats) {
  Tensor tiled = x;
  if (repeats.size() > x.shape().size()) {
    Shape shape(repeats.size() - x.shape().size(), 1);
    shape.insert(shape.end(), x.shape().begin(), x.shape().end());
    tiled = reshape(x, shape);
  }
  for (size_t i = 0; i < repeats.size(); ++i) {
    if (repeats[i] < 0) throw TensorError("tile: repeats are 0 or more, not " + text(repeats));
    const auto axis = static_cast<int64_t>(tiled.shape().size() - repeats.size() + i);
    tiled = repeat_axis(tiled, axis, repeats[i]);
  }
  return tiled;
}

Tensor repeat_interleave(const Tensor& x, int64_t repeats, int64_t axis) {
  if (repeats < 0) throw TensorError("repeat_interleave: repeats are 0 or more, not " + std::to_string(repeats));
  axis = normal_axis(axis, x.rank(), "repeat_interleave");
  const Tensor apart = unsqueeze(x, {axis + 1});
  Shape grown = apart.shape();
  grown[static_cast<size_t>(axis) + 1] = repeats;
  Shape joined = x.shape();
  joined[static_cast<size_t>(axis)] = times(x.size(axis), repeats, x);
  return reshape(expand(apart, grown), joined);
}

Tensor pad(const Tensor& x, std::span<const Pair> amounts, PadMode mode, double value) {
  if (amounts.size() != x.shape().size()) {
    throw TensorError("pad: " + std::to_string(amounts.size()) + " pairs of amounts for " + text(x));
  }
  std::vector<Pair> ranges = whole(x), grow;
  for (size_t i = 0; i < amounts.size(); ++i) {
    const auto [before, after] = amounts[i];
    require_reachable(before, "pad", "an amount");
    require_reachable(after, "pad", "an amount");
    ranges[i].before -= std::min<int64_t>(before, 0);
    ranges[i].after += std::min<int64_t>(after, 0);
    if (ranges[i].before > ranges[i].after) {
      throw TensorError("pad: (" + std::to_string(before) + ", " + std::to_string(after) +
                        ") cuts off more than axis " + std::to_string(i) + " of " + text(x) + " has");
    }
    grow.push_back({std::max<int64_t>(before, 0), std::max<int64_t>(after, 0)});
  }
  Tensor padded = shrink(x, ranges);
  if (mode == PadMode::Constant) {
    const Tensor inside = pad(constant(1, DType::Bool, padded.shape()), grow);
    padded = pad(padded, grow);
    const bool is_zero = value == 0 && !std::signbit(value);
    return is_zero || is_constant(inside, 1) ? padded : where(inside, padded, constant(value, x.dtype()));
  }
  for (int64_t axis = 0; axis < padded.rank(); ++axis) {
    padded = pad_axis(padded, axis, grow[static_cast<size_t>(axis)], mode);
  }
  return padded;
}

Tensor lower_triangle(int64_t rows, int64_t columns, int64_t diagonal) {
  const auto [row, column] = row_and_column(rows, columns, diagonal);
  return less_equal(column, row);
}

Tensor tril(const Tensor& x, int64_t diagonal) {
  return triangle(x, diagonal, true);
}

Tensor triu(const Tensor& x, int64_t diagonal) {
  return triangle(x, diagonal, false);
}

Tensor eye(int64_t rows, int64_t columns, DType dtype, int64_t diagonal) {
  const auto [row, column] = row_and_column(rows, columns, diagonal);
  return mask_of(equal(column, row), dtype);
}

Tensor diag(const Tensor& x, int64_t offset) {
  if (x.rank() != 1) throw TensorError("diag needs one axis, not " + text(x) + "; diagonal() takes one out");
  const int64_t count = x.size(0);
  require_reachable(offset, "diag", "the offset");
  require_reachable(count, "diag", "a size");
  const int64_t size = count + std::abs(offset);
  // Elements size + 1 apart in row-major order lie on a diagonal.
  const Tensor rows = reshape(pad(reshape(x, {count, 1}), std::vector<Pair>{{0, 0}, {0, size}}), {count * (size + 1)});
  const Tensor shifted = pad(rows, std::vector<Pair>{{offset >= 0 ? offset : -offset * size, 0}});
  return reshape(fit(shifted, Shape{size * size}), {size, size});
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t axis1, int64_t axis2) {
  const int64_t row_axis = normal_axis(axis1, x.rank(), "diagonal");
  const int64_t column_axis = normal_axis(axis2, x.rank(), "diagonal");
  if (row_axis == column_axis) throw TensorError("diagonal: the two axes of " + text(x) + " must differ");
  const Tensor last = moveaxis(x, {row_axis, column_axis}, {-2, -1});
  const int64_t first_row = offset < 0 ? std::min(-std::max(offset, -INT64_MAX), last.size(-2)) : 0;
  const int64_t first_column = std::min(std::max<int64_t>(offset, 0), last.size(-1));
  const int64_t count = std::min(last.size(-2) - first_row, last.size(-1) - first_column);
  const Tensor square = narrow(narrow(last, -2, first_row, count), -1, first_column, count);
  const Tensor flat = flatten(square, -2, -1);
  return count == 0 ? flat : slice_axis(flat, -1, {{}, {}, count + 1});
}

std::vector<Tensor> meshgrid(std::span<const Tensor> tensors, bool xy) {
  Shape grid;
  for (const Tensor& x : tensors) {
    if (x.rank() > 1) throw TensorError("meshgrid: tensors have one axis, not " + text(x));
    grid.push_back(x.elements());
  }
  std::vector<Tensor> out;
  for (size_t i = 0; i < tensors.size(); ++i) {
    Shape along(grid.size(), 1);
    along[i] = grid[i];
    const Tensor spread_out = expand(reshape(tensors[i], along), grid);
    out.push_back(xy && grid.size() > 1 ? transpose(spread_out, 0, 1) : spread_out);
  }
  return out;
}

}  // namespace quarry::tensor
