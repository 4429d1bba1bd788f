// Sliding windows, their transpose, and blocks moved between channels and space: the movement part of shape.h.
#include <algorithm>

#include "engine/graph/limits.h"
#include "engine/tensor/axis_entries.h"
#include "engine/tensor/shape.h"

namespace quarry::tensor {
namespace {

/// How the last n axes are cut into windows. One entry an axis.
struct Plan {
  size_t lead;  ///< axes that pass through
  Shape sizes, kernel, steps, dilation, counts;

  size_t axes() const { return kernel.size(); }
  int64_t reach(size_t i) const { return dilation[i] * (kernel[i] - 1) + 1; }
  /// No two windows have an element in common along any axis.
  bool is_disjoint() const {
    for (size_t i = 0; i < axes(); ++i) {
      if (steps[i] < reach(i)) return false;
    }
    return true;
  }
  /// Overlapping windows: the axis is repeated and read in rows of this length, so that each row begins `dilation`
  /// further on: element t of row j is element j * dilation + t of the axis.
  int64_t row(size_t i) const { return kernel[i] == 1 ? sizes[i] : sizes[i] + dilation[i]; }
  int64_t repeats(size_t i) const { return (kernel[i] * row(i) + sizes[i] - 1) / sizes[i]; }
};

Plan plan_of(const Shape& shape, const Shape& sizes, const Shape& kernel, const Shape& steps, const Shape& dilation,
             const char* where) {
  Plan plan;
  const size_t count = kernel.size();
  plan.kernel = entries_of(kernel, count, 1, 1, where, "kernel");
  plan.steps = entries_of(steps, count, 1, 1, where, "stride");
  plan.dilation = entries_of(dilation, count, 1, 1, where, "dilation");
  plan.sizes = sizes;
  plan.lead = shape.size() - count;
  for (size_t i = 0; i < count; ++i) {
    if (plan.sizes[i] < plan.reach(i)) {
      throw TensorError(std::string(where) + ": the window " + text(kernel) + " with dilation " + text(plan.dilation) +
                        " does not fit in " + text(sizes));
    }
    if (plan.row(i) > graph::kMaxVirtualElements / plan.kernel[i]) {
      throw TensorError(std::string(where) + ": all windows " + text(kernel) + " of " + text(sizes) +
                        " have more than 2^62 elements");
    }
    plan.counts.push_back((plan.sizes[i] - plan.reach(i)) / plan.steps[i] + 1);
  }
  return plan;
}

Shape leading(const Tensor& x, const Plan& plan) {
  return {x.shape().begin(), x.shape().begin() + static_cast<std::ptrdiff_t>(plan.lead)};
}

/// Leading axes, then (a(i), b(i)) of each axis.
template <class First, class Second>
Shape in_pairs(const Tensor& x, const Plan& plan, First a, Second b) {
  Shape shape = leading(x, plan);
  for (size_t i = 0; i < plan.axes(); ++i) shape.insert(shape.end(), {a(i), b(i)});
  return shape;
}

template <class Size>
Shape one_each(const Tensor& x, const Plan& plan, Size size) {
  Shape shape = leading(x, plan);
  for (size_t i = 0; i < plan.axes(); ++i) shape.push_back(size(i));
  return shape;
}

/// [.., a1, b1, .., an, bn] <-> [.., first of each pair, second of each]; `second` chooses b to come first.
Axes pairs_apart(const Plan& plan, bool second_first) {
  Axes axes(plan.lead);
  for (size_t i = 0; i < plan.lead; ++i) axes[i] = static_cast<int64_t>(i);
  for (size_t part : {size_t{0}, size_t{1}}) {
    for (size_t i = 0; i < plan.axes(); ++i) {
      axes.push_back(static_cast<int64_t>(plan.lead + 2 * i + (part ^ static_cast<size_t>(second_first))));
    }
  }
  return axes;
}

Axes inverse(const Axes& axes) {
  Axes inverted(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) inverted[static_cast<size_t>(axes[i])] = static_cast<int64_t>(i);
  return inverted;
}

/// STRIDE of every second one of the paired axes; `offset` chooses which.
Tensor stride_pairs(const Tensor& x, const Plan& plan, const Shape& steps) {
  std::vector<int64_t> all(x.shape().size(), 1);
  for (size_t i = 0; i < plan.axes(); ++i) all[plan.lead + 2 * i + 1] = steps[i];
  return stride(x, all);
}

Tensor spread_pairs(Tensor x, const Plan& plan, const Shape& steps) {
  for (size_t i = 0; i < plan.axes(); ++i) x = spread(x, static_cast<int64_t>(plan.lead + 2 * i + 1), steps[i]);
  return x;
}

/// Blocks of `step` elements, cut down to what the window sees.
Tensor disjoint_windows(const Tensor& x, const Plan& plan) {
  const auto count = [&](size_t i) { return plan.counts[i]; };
  const Shape fitting = one_each(x, plan, [&](size_t i) { return plan.counts[i] * plan.steps[i]; });
  const Tensor blocks = reshape(fit(x, fitting), in_pairs(x, plan, count, [&](size_t i) { return plan.steps[i]; }));
  const Tensor seen = fit(blocks, in_pairs(x, plan, count, [&](size_t i) { return plan.reach(i); }));
  return permute(stride_pairs(seen, plan, plan.dilation), pairs_apart(plan, false));
}

Tensor disjoint_add(const Tensor& x, const Plan& plan) {
  const auto count = [&](size_t i) { return plan.counts[i]; };
  const Tensor seen = spread_pairs(permute(x, inverse(pairs_apart(plan, false))), plan, plan.dilation);
  const Tensor blocks = fit(seen, in_pairs(x, plan, count, [&](size_t i) { return plan.steps[i]; }));
  const Tensor flat = reshape(blocks, one_each(x, plan, [&](size_t i) { return plan.counts[i] * plan.steps[i]; }));
  return fit(flat, one_each(x, plan, [&](size_t i) { return plan.sizes[i]; }));
}

Tensor overlapping_windows(const Tensor& x, const Plan& plan) {
  const auto size = [&](size_t i) { return plan.sizes[i]; };
  const auto repeats = [&](size_t i) { return plan.repeats(i); };
  const auto kernel = [&](size_t i) { return plan.kernel[i]; };
  const Tensor apart = reshape(x, in_pairs(
                                      x, plan, [](size_t) { return int64_t{1}; }, size));
  const Tensor repeated = reshape(expand(apart, in_pairs(x, plan, repeats, size)),
                                  one_each(x, plan, [&](size_t i) { return plan.repeats(i) * plan.sizes[i]; }));
  const Tensor cut = fit(repeated, one_each(x, plan, [&](size_t i) { return plan.kernel[i] * plan.row(i); }));
  const Tensor rows = reshape(cut, in_pairs(x, plan, kernel, [&](size_t i) { return plan.row(i); }));
  const auto starts = [&](size_t i) { return (plan.counts[i] - 1) * plan.steps[i] + 1; };
  const Tensor seen = stride_pairs(fit(rows, in_pairs(x, plan, kernel, starts)), plan, plan.steps);
  return permute(seen, pairs_apart(plan, true));
}

Tensor overlapping_add(const Tensor& x, const Plan& plan) {
  const auto kernel = [&](size_t i) { return plan.kernel[i]; };
  const Tensor seen = spread_pairs(permute(x, inverse(pairs_apart(plan, true))), plan, plan.steps);
  const Tensor rows = fit(seen, in_pairs(x, plan, kernel, [&](size_t i) { return plan.row(i); }));
  const Tensor cut = reshape(rows, one_each(x, plan, [&](size_t i) { return plan.kernel[i] * plan.row(i); }));
  const Tensor repeated = fit(cut, one_each(x, plan, [&](size_t i) { return plan.repeats(i) * plan.sizes[i]; }));
  const auto repeats = [&](size_t i) { return plan.repeats(i); };
  const Tensor apart = reshape(repeated, in_pairs(x, plan, repeats, [&](size_t i) { return plan.sizes[i]; }));
  Axes summed;
  for (size_t i = 0; i < plan.axes(); ++i) {
    if (plan.repeats(i) > 1) summed.push_back(static_cast<int64_t>(plan.lead + 2 * i));
  }
  return reshape(reduce(Op::ReduceSum, apart, summed), one_each(x, plan, [&](size_t i) { return plan.sizes[i]; }));
}

void require_rank(const Tensor& x, size_t rank, const char* where, const char* what) {
  if (x.shape().size() < rank) {
    throw TensorError(std::string(where) + ": " + text(x) + " has not the axes " + what);
  }
}

/// [n, c, L..] cut as unfold() does: after the padding.
Shape padded_sizes(const Shape& sizes, const std::vector<Pair>& padding) {
  Shape padded = sizes;
  for (size_t i = 0; i < sizes.size(); ++i) padded[i] += padding[i].before + padding[i].after;
  return padded;
}

constexpr int64_t kMostBlock = 1 << 15;  // its square is a number of channels

void require_block(const Tensor& x, int64_t block, const char* where) {
  if (x.rank() == 4 && block >= 1 && block <= kMostBlock) return;
  throw TensorError(std::string(where) + " needs [n, c, h, w] and a block of 1 to 32,768, not " + text(x) + " and " +
                    std::to_string(block));
}

}  // namespace

Tensor windows(const Tensor& x, const Shape& kernel, const Shape& steps, const Shape& dilation) {
  require_rank(x, kernel.size(), "windows", "of the kernel");
  const Shape sizes(x.shape().end() - static_cast<std::ptrdiff_t>(kernel.size()), x.shape().end());
  const Plan plan = plan_of(x.shape(), sizes, kernel, steps, dilation, "windows");
  return plan.is_disjoint() ? disjoint_windows(x, plan) : overlapping_windows(x, plan);
}

Tensor overlap_add(const Tensor& x, const Shape& sizes, const Shape& steps, const Shape& dilation) {
  const size_t count = sizes.size();
  entries_of(sizes, count, 1, 0, "overlap_add", "a size");
  require_rank(x, 2 * count, "overlap_add", "[.., windows, kernel] for the sizes");
  const Shape kernel(x.shape().end() - static_cast<std::ptrdiff_t>(count), x.shape().end());
  const Shape shape(x.shape().begin(), x.shape().end() - static_cast<std::ptrdiff_t>(count));
  const Plan plan = plan_of(shape, sizes, kernel, steps, dilation, "overlap_add");
  if (!std::ranges::equal(std::span(shape).last(count), plan.counts)) {
    throw TensorError("overlap_add: " + text(sizes) + " has " + text(plan.counts) + " windows, not those of " +
                      text(x));
  }
  return plan.is_disjoint() ? disjoint_add(x, plan) : overlapping_add(x, plan);
}

Tensor unfold(const Tensor& x, const Shape& kernel, const Shape& dilation, const std::vector<Pair>& padding,
              const Shape& steps) {
  const size_t count = kernel.size();
  if (x.shape().size() != count + 2) {
    throw TensorError("unfold: x [n, c, ..] has two axes more than the kernel " + text(kernel) + ", not " + text(x));
  }
  std::vector<Pair> amounts = entries_of(padding, count, "unfold");
  amounts.insert(amounts.begin(), 2, Pair{0, 0});
  const Tensor seen = windows(pad(x, amounts), kernel, steps, dilation);
  Axes kernel_first{0, 1};
  for (size_t part : {count, size_t{0}}) {
    for (size_t i = 0; i < count; ++i) kernel_first.push_back(static_cast<int64_t>(2 + part + i));
  }
  const int64_t places = count_of(std::span(seen.shape()).subspan(2, count));
  return reshape(permute(seen, kernel_first), {x.size(0), x.size(1) * count_of(kernel), places});
}

Tensor fold(const Tensor& x, const Shape& sizes, const Shape& kernel, const Shape& dilation,
            const std::vector<Pair>& padding, const Shape& steps) {
  const size_t count = sizes.size();
  entries_of(sizes, count, 1, 0, "fold", "a size");
  const Shape spans = entries_of(kernel, count, 1, 1, "fold", "kernel");
  const std::vector<Pair> amounts = entries_of(padding, count, "fold");
  const Shape padded = padded_sizes(sizes, amounts);
  const Plan plan = plan_of(padded, padded, spans, entries_of(steps, count, 1, 1, "fold", "stride"),
                            entries_of(dilation, count, 1, 1, "fold", "dilation"), "fold");
  if (x.rank() != 3 || x.size(1) % count_of(spans) != 0 || x.size(2) != count_of(plan.counts)) {
    throw TensorError("fold: x is [n, c * " + std::to_string(count_of(spans)) + ", " +
                      std::to_string(count_of(plan.counts)) + "] for the sizes " + text(sizes) + ", not " + text(x));
  }
  Shape apart{x.size(0), x.size(1) / count_of(spans)};
  apart.insert(apart.end(), spans.begin(), spans.end());
  apart.insert(apart.end(), plan.counts.begin(), plan.counts.end());
  Axes kernel_last{0, 1};
  for (size_t part : {count, size_t{0}}) {
    for (size_t i = 0; i < count; ++i) kernel_last.push_back(static_cast<int64_t>(2 + part + i));
  }
  const Tensor summed = overlap_add(permute(reshape(x, apart), kernel_last), padded, plan.steps, plan.dilation);
  std::vector<Pair> ranges = whole(summed);
  for (size_t i = 0; i < count; ++i) ranges[2 + i] = {amounts[i].before, padded[i] - amounts[i].after};
  return shrink(summed, ranges);
}

Tensor depth_to_space(const Tensor& x, int64_t block, BlockOrder order) {
  require_block(x, block, "depth_to_space");
  if (x.size(1) % (block * block) != 0) {
    throw TensorError("depth_to_space: " + std::to_string(block * block) + " does not divide the channels of " +
                      text(x));
  }
  const int64_t n = x.size(0), c = x.size(1) / (block * block), h = x.size(2), w = x.size(3);
  const bool first = order == BlockOrder::BlockFirst;
  const Tensor apart = reshape(x, first ? Shape{n, block, block, c, h, w} : Shape{n, c, block, block, h, w});
  return reshape(permute(apart, first ? Axes{0, 3, 4, 1, 5, 2} : Axes{0, 1, 4, 2, 5, 3}), {n, c, h * block, w * block});
}

Tensor space_to_depth(const Tensor& x, int64_t block, BlockOrder order) {
  require_block(x, block, "space_to_depth");
  if (x.size(2) % block != 0 || x.size(3) % block != 0) {
    throw TensorError("space_to_depth: " + std::to_string(block) + " does not divide height and width of " + text(x));
  }
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / block, w = x.size(3) / block;
  const Tensor apart = reshape(x, {n, c, h, block, w, block});
  const bool first = order == BlockOrder::BlockFirst;
  return reshape(permute(apart, first ? Axes{0, 3, 5, 1, 2, 4} : Axes{0, 1, 3, 5, 2, 4}), {n, c * block * block, h, w});
}

}  // namespace quarry::tensor
