#include "engine/tensor/pooling.h"

#include "engine/graph/limits.h"

#include <algorithm>
#include <limits>

#include "engine/graph/number.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/axis_entries.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/index.h"
#include "engine/tensor/reduce.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

// Counts made of so few additions are computed where they are used; others are a sum, which is stored (a kernel more).
constexpr int64_t kFewAdditions = 8;
constexpr int64_t kMostParts = 1 << 12;  // of adaptive pooling: each is a part of the graph

/// Where the windows of a pooling lie: one entry a spatial axis.
struct Layout {
  Shape kernel, stride, dilation;
  std::vector<Pair> padding;  ///< after: so much that the last window ends inside
  std::vector<Pair> stated;   ///< as the caller gave it: what count_include_pad counts
};

int64_t reach(const Layout& layout, size_t axis) {
  return layout.dilation[axis] * (layout.kernel[axis] - 1) + 1;
}

/// Windows along one axis. With ceil mode the last one may end outside, but begins inside or in the padding before.
int64_t window_count(const Layout& layout, size_t axis, int64_t size, bool ceil_mode) {
  const auto [before, after] = layout.padding[axis];
  const int64_t room = size + before + after - reach(layout, axis), step = layout.stride[axis];
  int64_t count = room / step + 1;
  if (ceil_mode && room % step != 0 && count * step < size + before) ++count;
  return count;
}

Layout layout_of(const Tensor& x, const Shape& kernel, const PoolOptions& options, const char* where) {
  const size_t axes = kernel.size();
  if (axes == 0 || static_cast<int64_t>(axes) >= x.rank()) {
    throw TensorError(std::string(where) + ": a kernel " + text(kernel) + " has no axes to pool in " + text(x));
  }
  Layout layout;
  layout.kernel = entries_of(kernel, axes, 1, 1, where, "kernel");
  layout.stride = options.stride.empty() ? layout.kernel : entries_of(options.stride, axes, 1, 1, where, "stride");
  layout.dilation = entries_of(options.dilation, axes, 1, 1, where, "dilation");
  layout.padding = entries_of(options.padding, axes, where);
  layout.stated = layout.padding;
  for (size_t i = 0; i < axes; ++i) {
    const int64_t size = x.size(static_cast<int64_t>(i) - static_cast<int64_t>(axes));
    auto& [before, after] = layout.padding[i];
    if (before < 0 || after < 0 || size + before + after < reach(layout, i)) {
      throw TensorError(std::string(where) + ": a window that reaches over " + std::to_string(reach(layout, i)) +
                        " does not fit in axis " + std::to_string(i) + " of " + text(x) + " with padding " +
                        std::to_string(before) + " and " + std::to_string(after));
    }
    const int64_t count = window_count(layout, i, size, options.ceil_mode);
    after = std::max(after, (count - 1) * layout.stride[i] + reach(layout, i) - size - before);
  }
  return layout;
}

/// [.., L1, .., Ld] -> [.., O1, .., Od, K1, .., Kd], `fill` in the padding.
Tensor windows_of(const Tensor& x, const Layout& layout, double fill = 0) {
  std::vector<Pair> amounts = no_padding(x);
  std::ranges::copy(layout.padding, amounts.end() - static_cast<ptrdiff_t>(layout.padding.size()));
  return windows(pad(x, amounts, PadMode::Constant, fill), layout.kernel, layout.stride, layout.dilation);
}

Axes window_axes(const Layout& layout) {
  Axes axes;
  for (int64_t i = static_cast<int64_t>(layout.kernel.size()); i > 0; --i) axes.push_back(-i);
  return axes;
}

double lowest(DType dtype) {
  if (graph::is_float(dtype)) return -std::numeric_limits<double>::infinity();
  return static_cast<double>(graph::lowest_integer(dtype));
}

/// What the average of each window [O1, .., Od] of the axes `sizes` divides by. Padding as stated may count, what ceil
/// mode added beyond does not.
Tensor element_counts(const Shape& sizes, const Layout& layout, bool count_include_pad, DType dtype) {
  Shape counted = sizes;
  std::vector<Pair> beyond = layout.padding;
  int64_t additions = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    additions += layout.kernel[i];
    if (!count_include_pad) continue;
    counted[i] += layout.stated[i].before + layout.stated[i].after;
    beyond[i] = {0, layout.padding[i].after - layout.stated[i].after};
  }
  if (additions > kFewAdditions) {
    const Tensor ones = pad(constant(1, dtype, counted), beyond);
    return sum(windows(ones, layout.kernel, layout.stride, layout.dilation), window_axes(layout));
  }
  Tensor counts = constant(1, dtype);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const Tensor ones = pad(constant(1, dtype, {counted[i]}), std::vector{beyond[i]});
    const Tensor seen = windows(ones, {layout.kernel[i]}, {layout.stride[i]}, {layout.dilation[i]});
    Tensor along = select(seen, -1, 0);
    for (int64_t tap = 1; tap < layout.kernel[i]; ++tap) along = add(along, select(seen, -1, tap));
    Shape beside(sizes.size() - i, 1);
    beside[0] = along.elements();
    counts = mul(counts, reshape(along, beside));
  }
  return counts;
}

/// Whether every window sees as many elements that count.
bool all_alike(const Layout& layout, bool count_include_pad) {
  for (size_t i = 0; i < layout.kernel.size(); ++i) {
    const auto [before, after] = count_include_pad ? layout.stated[i] : Pair{0, 0};
    if (before != layout.padding[i].before || after < layout.padding[i].after) return false;
  }
  return true;
}

Axes spatial_axes(const Tensor& x, const char* where) {
  if (x.rank() < 3) throw TensorError(std::string(where) + " needs [n, channels, L1, ..], not " + text(x));
  Axes axes;
  for (int64_t axis = 2; axis < x.rank(); ++axis) axes.push_back(axis);
  return axes;
}

void require_float(const Tensor& x, const char* where) {
  if (!graph::is_float(x.dtype())) throw TensorError(std::string(where) + " needs a float, not " + text(x));
}

/// (sum of |x|^p)^(1/p) over axes.
Tensor power_mean_root(const Tensor& x, double p, const Axes& axes, bool keepdim) {
  const Tensor wide = abs(widened(x));
  const Tensor powers = sum(pow(wide, scalar_beside(wide, p)), axes, keepdim);
  return cast(pow(powers, scalar_beside(powers, 1 / p)), x.dtype());
}

// Each is a pooling of its own in the graph.
constexpr int64_t kMostUnequalParts = 4096;

/// One axis of an adaptive pooling: windows of equal size where the sizes divide, else each part by itself.
template <class Pool>
Tensor adapted(const Tensor& x, int64_t axis, int64_t parts, Pool pool) {
  const int64_t size = x.size(axis);
  if (parts < 1 || parts > kMostParts || size < 1)
    throw TensorError("adaptive pooling: " + std::to_string(parts) + " parts of " + text(x));
  if (size % parts == 0) return pool(unflatten(x, axis, {parts, size / parts}), axis + 1);
  if (parts > kMostUnequalParts || size > graph::kMaxStoredElements) {
    throw TensorError("adaptive pooling: " + std::to_string(parts) + " parts of unequal sizes of " + text(x) +
                      " are too many");
  }
  std::vector<Tensor> pooled;
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t begin = i * size / parts, end = ((i + 1) * size + parts - 1) / parts;
    pooled.push_back(unsqueeze(pool(narrow(x, axis, begin, end - begin), axis), {axis}));
  }
  return cat(pooled, axis);
}

template <class Pool>
Tensor adapted_all(const Tensor& x, const Shape& sizes, const char* where, Pool pool) {
  require_float(x, where);
  const auto count = static_cast<int64_t>(sizes.size());
  if (count < 1 || count >= x.rank()) {
    throw TensorError(std::string(where) + ": " + text(sizes) + " are no sizes of the last axes of " + text(x));
  }
  Tensor y = widened(x);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t axis = x.rank() - count + i, parts = sizes[static_cast<size_t>(i)];
    if (parts != -1) y = adapted(y, axis, parts, pool);
  }
  return cast(y, x.dtype());
}

}  // namespace

Tensor max_pool(const Tensor& x, const Shape& kernel, const PoolOptions& options) {
  const Layout layout = layout_of(x, kernel, options, "max_pool");
  return max(windows_of(x, layout, lowest(x.dtype())), window_axes(layout));
}

PoolWithIndices max_pool_with_indices(const Tensor& x, const Shape& kernel, const PoolOptions& options) {
  const Layout layout = layout_of(x, kernel, options, "max_pool");
  const auto axes = static_cast<int64_t>(kernel.size());
  const Tensor seen = flatten(windows_of(x, layout, lowest(x.dtype())), -axes, -1);
  // Positions count from 1, so that padding's 0 is none of them; the first maximum has the least position.
  const Shape sizes(x.shape().end() - axes, x.shape().end());
  const int64_t count = count_of(sizes);
  const Tensor from_end = binary(Op::Sub, integer_constant(count, DType::I64, {count}), iota(DType::I64, {count}, 0));
  const Tensor places = flatten(windows_of(reshape(from_end, sizes), layout), -axes, -1);
  const Tensor greatest = max(seen, {-1}, true);
  const Tensor is_greatest = logical_or(equal(seen, greatest), not_equal(seen, seen));
  const Tensor is_inside = greater(places, scalar_beside(places, int64_t{0}));
  const Tensor candidates = where(logical_and(is_greatest, is_inside), places, scalar_beside(places, int64_t{0}));
  const Tensor first = max(candidates, {-1});
  return {squeeze(greatest, {-1}), sub(integer_constant(count, DType::I64), first)};
}

Tensor max_unpool(const Tensor& x, const Tensor& indices, const Shape& sizes) {
  const auto axes = static_cast<int64_t>(sizes.size());
  if (x.shape() != indices.shape() || axes < 1 || axes >= x.rank()) {
    throw TensorError("max_unpool: values " + text(x) + " and indices " + text(indices) +
                      " must be alike, with more axes than " + text(sizes));
  }
  Shape shape(x.shape().begin(), x.shape().end() - axes);
  shape.push_back(count_of(sizes));
  const Tensor flat = scatter(constant(0, x.dtype(), shape), -1, flatten(indices, -axes, -1), flatten(x, -axes, -1));
  shape.pop_back();
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  return reshape(flat, shape);
}

Tensor avg_pool(const Tensor& x, const Shape& kernel, const PoolOptions& options, bool count_include_pad) {
  require_float(x, "avg_pool");
  const Layout layout = layout_of(x, kernel, options, "avg_pool");
  const Tensor total = sum(windows_of(widened(x), layout), window_axes(layout));
  if (all_alike(layout, count_include_pad)) {
    return cast(total / static_cast<double>(count_of(layout.kernel)), x.dtype());
  }
  const auto axes = static_cast<ptrdiff_t>(kernel.size());
  const Shape sizes(x.shape().end() - axes, x.shape().end());
  return cast(div(total, element_counts(sizes, layout, count_include_pad, total.dtype())), x.dtype());
}

Tensor lp_pool(const Tensor& x, double p, const Shape& kernel, const PoolOptions& options) {
  require_float(x, "lp_pool");
  const Layout layout = layout_of(x, kernel, options, "lp_pool");
  return power_mean_root(windows_of(x, layout), p, window_axes(layout), false);
}

Tensor global_avg_pool(const Tensor& x) {
  return mean(x, spatial_axes(x, "global_avg_pool"), true);
}

Tensor global_max_pool(const Tensor& x) {
  return max(x, spatial_axes(x, "global_max_pool"), true);
}

Tensor global_lp_pool(const Tensor& x, double p) {
  require_float(x, "global_lp_pool");
  return power_mean_root(x, p, spatial_axes(x, "global_lp_pool"), true);
}

Tensor adaptive_avg_pool(const Tensor& x, const Shape& sizes) {
  return adapted_all(x, sizes, "adaptive_avg_pool",
                     [](const Tensor& part, int64_t axis) { return mean(part, {axis}); });
}

Tensor adaptive_max_pool(const Tensor& x, const Shape& sizes) {
  return adapted_all(x, sizes, "adaptive_max_pool", [](const Tensor& part, int64_t axis) { return max(part, {axis}); });
}

}  // namespace quarry::tensor
