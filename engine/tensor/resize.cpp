#include "engine/tensor/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/axis_entries.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/index.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

// Where outputs lie is computed in f64: at the borders between neighbours an f32 would choose another one than the
// formula.
constexpr DType kPlace = DType::F64;

/// One axis of a resampling.
struct AxisPlan {
  int64_t axis, from, to;
  double scale;
  double crop_start = 0, crop_end = 1;
};

/// The centre of each output in the coordinates of the input: f64 [to].
Tensor centres(const AxisPlan& plan, Coordinates coordinates) {
  const Tensor i = cast(iota(DType::I32, {plan.to}, 0), kPlace);
  const auto from = static_cast<double>(plan.from), to = static_cast<double>(plan.to);
  const auto all = [&](double value) { return constant(value, kPlace, {plan.to}); };
  switch (coordinates) {
    case Coordinates::HalfPixel:
      return (i + 0.5) / plan.scale - 0.5;
    case Coordinates::PytorchHalfPixel:
      return plan.to > 1 ? (i + 0.5) / plan.scale - 0.5 : all(0);
    case Coordinates::AlignCorners:
      return plan.to > 1 ? i * (from - 1) / (to - 1) : all(0);
    case Coordinates::Asymmetric:
      return i / plan.scale;
    case Coordinates::HalfPixelSymmetric: {
      const double adjustment = to / (plan.scale * from);
      return (i + 0.5) / plan.scale + (from / 2 * (1 - adjustment) - 0.5);
    }
    case Coordinates::CropAndResize:
      if (plan.to == 1) return all(0.5 * (plan.crop_start + plan.crop_end) * (from - 1));
      return i * ((plan.crop_end - plan.crop_start) * (from - 1) / (to - 1)) + plan.crop_start * (from - 1);
  }
  return i;
}

/// The neighbours of each output and their shares in it.
struct Taps {
  Tensor places;                ///< i32 [taps, to]; inside of the axis
  std::vector<Tensor> weights;  ///< f64 [to], one a tap
};

Tensor inside(const Tensor& place, int64_t size) {
  return cast(clip(place, 0, static_cast<double>(size - 1)), DType::I32);
}

Tensor rounded(const Tensor& centre, Rounding rounding) {
  switch (rounding) {
    case Rounding::RoundPreferFloor:
      return ceil(centre - 0.5);
    case Rounding::RoundPreferCeil:
      return floor(centre + 0.5);
    case Rounding::Floor:
      return floor(centre);
    case Rounding::Ceil:
      return ceil(centre);
  }
  return centre;
}

/// Places low + first, low + first + 1, ...: [count, to].
Tensor neighbours(const Tensor& low, int64_t first, int64_t count) {
  const Tensor offsets = cast(iota(DType::I32, {count, 1}, 0), kPlace);
  return low + (first == 0 ? offsets : offsets + static_cast<double>(first));
}

Taps linear_taps(const Tensor& centre, int64_t size) {
  // Clamping first: beyond the edges the edge itself.
  const Tensor at = clip(centre, 0, static_cast<double>(size - 1));
  const Tensor low = floor(at), share = at - low;
  return {inside(neighbours(low, 0, 2), size), {1.0 - share, share}};
}

/// The cubic convolution kernel (Keys, 1981) at distances 1 + t, t, 1 - t and 2 - t.
std::array<Tensor, 4> cubic_weights(const Tensor& t, double a) {
  const auto near = [a](const Tensor& d) { return ((a + 2) * d - (a + 3)) * d * d + 1.0; };
  const auto far = [a](const Tensor& d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  return {far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)};
}

Taps cubic_taps(const Tensor& centre, int64_t size, double coefficient, bool exclude_outside) {
  const Tensor low = floor(centre);
  const std::array<Tensor, 4> around = cubic_weights(centre - low, coefficient);
  Taps taps{inside(neighbours(low, -1, 4), size), {around.begin(), around.end()}};
  if (!exclude_outside) return taps;
  Tensor total;
  for (size_t i = 0; i < taps.weights.size(); ++i) {
    const Tensor place = low + (static_cast<double>(i) - 1);
    const Tensor is_inside = equal(place, clip(place, 0, static_cast<double>(size - 1)));
    taps.weights[i] = taps.weights[i] * mask_of(is_inside, kPlace);
    total = i == 0 ? taps.weights[0] : total + taps.weights[i];
  }
  for (Tensor& weight : taps.weights) weight = weight / total;
  return taps;
}

Taps taps_of(const Tensor& centre, int64_t size, const ResizeOptions& options) {
  if (options.mode == Interpolation::Linear) return linear_taps(centre, size);
  return cubic_taps(centre, size, options.cubic_coefficient, options.exclude_outside);
}

/// Values [to] beside the axis of x.
Tensor along_axis(const Tensor& values, const Tensor& x, int64_t axis) {
  Shape shape(static_cast<size_t>(x.rank()), 1);
  shape[static_cast<size_t>(axis)] = values.elements();
  return reshape(values, shape);
}

/// Whether each element is just repeated `scale` times, for a whole scale.
bool only_repeats(const AxisPlan& plan, const ResizeOptions& options) {
  if (plan.to % plan.from != 0 || plan.scale != static_cast<double>(plan.to / plan.from)) return false;
  if (options.coordinates == Coordinates::Asymmetric) return options.rounding == Rounding::Floor;
  const bool rounds = options.rounding == Rounding::RoundPreferFloor || options.rounding == Rounding::RoundPreferCeil;
  return options.coordinates == Coordinates::HalfPixel && rounds;
}

Tensor resampled(const Tensor& x, const AxisPlan& plan, const ResizeOptions& options) {
  const bool is_nearest = options.mode == Interpolation::Nearest;
  if (is_nearest && only_repeats(plan, options)) return repeat_interleave(x, plan.to / plan.from, plan.axis);
  const Tensor centre = centres(plan, options.coordinates);
  Tensor y;
  if (is_nearest) {
    y = take(x, inside(rounded(centre, options.rounding), plan.from), plan.axis);
  } else {
    const Taps taps = taps_of(centre, plan.from, options);
    const Tensor read = take(x, taps.places, plan.axis);  // one gather for all: [.., taps, to, ..]
    for (size_t i = 0; i < taps.weights.size(); ++i) {
      const Tensor weight = along_axis(cast(taps.weights[i], x.dtype()), x, plan.axis);
      const Tensor part = select(read, plan.axis, static_cast<int64_t>(i)) * weight;
      y = y ? y + part : part;
    }
  }
  if (options.coordinates != Coordinates::CropAndResize) return y;
  const Tensor is_inside = equal(centre, clip(centre, 0, static_cast<double>(plan.from - 1)));
  return where(along_axis(is_inside, x, plan.axis), y, constant(options.extrapolation, y.dtype()));
}

double entry(const std::vector<double>& values, size_t i, double otherwise) {
  return values.empty() ? otherwise : values[i];
}

void check(const Tensor& x, const Shape& sizes, const ResizeOptions& options) {
  const size_t count = sizes.size();
  const auto fits = [count](const std::vector<double>& values) { return values.empty() || values.size() == count; };
  if (count > x.shape().size() || !fits(options.scales) || !fits(options.crop_start) || !fits(options.crop_end)) {
    throw TensorError("resize: sizes " + text(sizes) + ", scales and crops must have one entry for each of the last " +
                      std::to_string(count) + " axes of " + text(x));
  }
  if (!std::ranges::all_of(options.scales, [](double scale) { return scale > 0 && std::isfinite(scale); })) {
    throw TensorError("resize: scales of " + text(x) + " must be above 0 and finite");
  }
  if (options.mode != Interpolation::Nearest && !graph::is_float(x.dtype())) {
    throw TensorError("resize: only nearest works on " + text(x) + "; cast to a float first");
  }
}

/// The integer coordinates of a neighbour on one axis of a grid, and its share. `at`: unnormalised, f32 or f64.
struct GridTap {
  Tensor place, weight;
};

Tensor unnormalised(const Tensor& at, int64_t size, bool align_corners) {
  const auto count = static_cast<double>(size);
  return align_corners ? (at + 1.0) * ((count - 1) / 2) : ((at + 1.0) * count - 1.0) / 2;
}

/// Mirrored once at either border.
Tensor reflected(const Tensor& at, int64_t size, bool align_corners) {
  const double low = align_corners ? 0 : -0.5;
  const double high = static_cast<double>(size) - (align_corners ? 1 : 0.5);
  const Tensor up = low + abs(at - low);
  return high - abs(high - up);
}

std::vector<GridTap> grid_taps(Tensor at, int64_t size, Interpolation mode, GridPadding padding, bool align_corners) {
  if (padding == GridPadding::Reflection) at = reflected(at, size, align_corners);
  if (padding != GridPadding::Zeros) at = clip(at, 0, static_cast<double>(size - 1));
  if (mode == Interpolation::Nearest) return {{round(at), Tensor()}};
  const Tensor low = floor(at), share = at - low;
  return {{low, 1.0 - share}, {low + 1.0, share}};
}

}  // namespace

Tensor resize(const Tensor& x, const Shape& sizes, const ResizeOptions& options) {
  check(x, sizes, options);
  Tensor y = options.mode == Interpolation::Nearest ? x : widened(x);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t axis = x.rank() - static_cast<int64_t>(sizes.size()) + static_cast<int64_t>(i);
    AxisPlan plan{axis, x.size(axis), sizes[i], 0};
    if (plan.to < 0 || (plan.from == 0 && plan.to > 0)) {
      throw TensorError("resize: axis " + std::to_string(axis) + " of " + text(x) + " cannot become " +
                        std::to_string(plan.to));
    }
    plan.scale =
        entry(options.scales, i, static_cast<double>(plan.to) / static_cast<double>(std::max<int64_t>(1, plan.from)));
    plan.crop_start = entry(options.crop_start, i, 0);
    plan.crop_end = entry(options.crop_end, i, 1);
    const bool is_same = plan.scale == 1 && options.coordinates != Coordinates::CropAndResize;
    const bool stays = plan.to == plan.from && (is_same || plan.from == 0);
    if (!stays) y = resampled(y, plan, options);
  }
  return cast(y, x.dtype());
}

Tensor interpolate(const Tensor& x, const Shape& sizes, const char* mode, bool align_corners,
                   const std::vector<double>& scales) {
  const std::string_view name(mode);
  ResizeOptions options;
  options.scales = scales;
  options.coordinates = align_corners ? Coordinates::AlignCorners : Coordinates::HalfPixel;
  if (name == "nearest") {
    options.coordinates = Coordinates::Asymmetric;
    options.rounding = Rounding::Floor;
  } else if (name == "nearest-exact") {
    options.coordinates = Coordinates::HalfPixel;
    options.rounding = Rounding::RoundPreferCeil;
  } else if (name == "linear" || name == "bilinear" || name == "trilinear") {
    options.mode = Interpolation::Linear;
  } else if (name == "bicubic") {
    options.mode = Interpolation::Cubic;
  } else {
    throw TensorError("interpolate: no mode \"" + std::string(name) +
                      "\"; there are nearest, nearest-exact, linear, bilinear, trilinear, bicubic");
  }
  return resize(x, sizes, options);
}

Tensor grid_sample(const Tensor& x, const Tensor& grid, Interpolation mode, GridPadding padding, bool align_corners) {
  const bool fits = x.rank() == 4 && grid.rank() == 4 && grid.size(-1) == 2 && grid.size(0) == x.size(0) &&
                    graph::is_float(x.dtype()) && graph::is_float(grid.dtype()) && mode != Interpolation::Cubic;
  if (!fits) {
    throw TensorError("grid_sample: " + text(x) + " and grid " + text(grid) +
                      " must be floats [n, c, h, w] and [n, ho, wo, 2], nearest or linear");
  }
  const int64_t height = x.size(2), width = x.size(3), count = grid.size(1) * grid.size(2);
  const Tensor points = reshape(inner(grid), {x.size(0), 1, count, 2});
  const Tensor flat = flatten(inner(x), 2, 3);
  const auto taps = [&](int64_t coordinate, int64_t size) {
    const Tensor at = unnormalised(select(points, -1, coordinate), size, align_corners);
    return grid_taps(at, size, mode, padding, align_corners);
  };
  const auto within = [](const Tensor& place, int64_t size) {
    return equal(place, clip(place, 0, static_cast<double>(size - 1)));
  };
  Tensor result;
  for (const GridTap& row : taps(1, height)) {
    for (const GridTap& column : taps(0, width)) {
      const Tensor both = logical_and(within(row.place, height), within(column.place, width));
      const Tensor place = row.place * static_cast<double>(width) + column.place;
      const Tensor index = cast(where(both, place, constant(-1, place.dtype())), DType::I32);
      Tensor part = gather_along_axis(flat, 2, expand(index, {x.size(0), x.size(1), count}));
      if (row.weight) part = part * row.weight * column.weight;
      result = result ? result + part : part;
    }
  }
  return cast(reshape(result, {x.size(0), x.size(1), grid.size(1), grid.size(2)}), x.dtype());
}

}  // namespace quarry::tensor
