#include "engine/tensor/convolution.h"

#include <algorithm>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/axis_entries.h"
#include "engine/tensor/contraction.h"
#include "engine/tensor/shape.h"

namespace quarry::tensor {
namespace {

/// The arguments of a convolution, checked and with one entry for each spatial axis.
struct Geometry {
  size_t axes;  ///< spatial
  Shape kernel, stride, dilation;
  std::vector<Pair> padding;
  int64_t batch, groups, channels_in, channels_out;  ///< channels of a group
};

/// Both kinds see the weight as [a, b, K..] with a = x's channels or the result's.
Geometry geometry_of(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                     bool is_transposed) {
  const char* where = is_transposed ? "conv_transpose" : "conv";
  const std::string both = text(x) + " and weight " + text(weight);
  if (x.rank() < 3 || weight.rank() != x.rank()) {
    throw TensorError(std::string(where) + ": x [n, channels, L..] and a weight of as many axes, not " + both);
  }
  Geometry g;
  g.axes = x.shape().size() - 2;
  g.kernel.assign(weight.shape().begin() + 2, weight.shape().end());
  g.stride = entries_of(options.stride, g.axes, 1, 1, where, "stride");
  g.dilation = entries_of(options.dilation, g.axes, 1, 1, where, "dilation");
  g.padding = entries_of(options.padding, g.axes, where);
  g.groups = options.groups;
  g.batch = x.size(0);
  for (int64_t size : x.shape()) require_reachable(size, where, "a size");
  const int64_t channels = x.size(1);
  const bool divides = g.groups >= 1 && g.groups <= weight.size(0) && weight.size(0) % g.groups == 0;
  if (!divides || channels != (is_transposed ? weight.size(0) : weight.size(1) * g.groups)) {
    throw TensorError(std::string(where) + ": the channels of " + both + " do not fit " + std::to_string(g.groups) +
                      (is_transposed ? " groups: weight is [channels, out / groups, K..]"
                                     : " groups: weight is [out, channels / groups, K..]"));
  }
  g.channels_in = channels / g.groups;
  g.channels_out = is_transposed ? weight.size(1) : weight.size(0) / g.groups;
  if (bias && bias.shape() != Shape{g.channels_out * g.groups}) {
    throw TensorError(std::string(where) + ": bias [" + std::to_string(g.channels_out * g.groups) + "] beside weight " +
                      text(weight) + ", not " + text(bias));
  }
  return g;
}

Tensor with_bias(const Tensor& x, const Tensor& bias) {
  if (!bias) return x;
  Shape along_channels(x.shape().size() - 1, 1);
  along_channels[0] = bias.size(0);
  return add(x, reshape(bias, along_channels));
}

/// The contraction of seen [n, groups * in, O.., K..] with weight [groups, out, in, K..] to [n, groups * out, O..].
Tensor contract_windows(const Tensor& seen, const Tensor& weight, const Geometry& g) {
  const std::span places = std::span(seen.shape()).subspan(2, g.axes);
  const std::span kernel = std::span(seen.shape()).subspan(2 + g.axes);
  // [n, groups, out, O.., in, K..]
  Axes axes{0, 1, 3};
  Shape grouped{g.batch, g.groups, g.channels_in, 1};
  Shape weighted{1, g.groups, g.channels_out};
  for (size_t i = 0; i < 2 * g.axes; ++i) {
    if (i == g.axes) axes.push_back(2);
    axes.push_back(static_cast<int64_t>(4 + i));
  }
  grouped.insert(grouped.end(), places.begin(), places.end());
  grouped.insert(grouped.end(), kernel.begin(), kernel.end());
  weighted.insert(weighted.end(), g.axes, 1);
  weighted.push_back(g.channels_in);
  weighted.insert(weighted.end(), kernel.begin(), kernel.end());
  Axes summed;
  for (size_t i = 0; i <= g.axes; ++i) summed.push_back(static_cast<int64_t>(3 + g.axes + i));
  const Tensor product = contract(permute(reshape(seen, grouped), axes), reshape(weight, weighted), summed);
  Shape result{g.batch, g.groups * g.channels_out};
  result.insert(result.end(), places.begin(), places.end());
  return reshape(product, result);
}

/// [groups * a, b, K..] -> [groups, b, a, K..]
Tensor swapped_in_groups(const Tensor& weight, const Geometry& g) {
  const Shape grouped{g.groups, weight.size(0) / g.groups};
  return transpose(unflatten(weight, 0, grouped), 1, 2);
}

/// Cut or fill with zeros: `before` and `after` may be negative.
Tensor with_border(const Tensor& x, const std::vector<Pair>& amounts) {
  std::vector<Pair> all = amounts;
  all.insert(all.begin(), x.shape().size() - amounts.size(), Pair{0, 0});
  return pad(x, all, PadMode::Constant);
}

/// Sizes of the whole result of a transposed convolution, before padding cuts it.
Shape full_sizes(const Tensor& x, const Geometry& g) {
  Shape sizes;
  for (size_t i = 0; i < g.axes; ++i) {
    const int64_t length = std::max<int64_t>(x.shape()[2 + i], 1);
    sizes.push_back((length - 1) * g.stride[i] + g.dilation[i] * (g.kernel[i] - 1) + 1);
  }
  return sizes;
}

/// Result position q * stride + r is a convolution of x with the taps r, r + stride, ... of the kernel: as many
/// channels as there are remainders, then moved into space. For kernels that the stride divides.
Tensor by_remainders(const Tensor& x, const Tensor& weight, const Geometry& g) {
  Shape taps;                // of each remainder
  std::vector<Pair> border;  // so that windows reach over both ends
  Shape apart{g.groups, g.channels_out, g.channels_in};
  Axes remainders_first{0}, flipped;  // [groups, r.., out, in, taps..]
  for (size_t i = 0; i < g.axes; ++i) {
    taps.push_back(g.kernel[i] / g.stride[i]);
    border.push_back({taps[i] - 1, taps[i] - 1});
    apart.insert(apart.end(), {taps[i], g.stride[i]});
    remainders_first.push_back(static_cast<int64_t>(4 + 2 * i));
    flipped.push_back(static_cast<int64_t>(3 + 2 * i));
  }
  remainders_first.insert(remainders_first.end(), {1, 2});
  for (size_t i = 0; i < g.axes; ++i) remainders_first.push_back(static_cast<int64_t>(3 + 2 * i));
  const Tensor by_tap = flip(reshape(swapped_in_groups(weight, g), apart), flipped);
  const int64_t remainders = count_of(g.stride);

  Geometry plain = g;
  plain.channels_out = remainders * g.channels_out;
  Shape merged{g.groups, plain.channels_out, g.channels_in};
  merged.insert(merged.end(), taps.begin(), taps.end());
  const Tensor product = contract_windows(windows(with_border(x, border), taps),
                                          reshape(permute(by_tap, remainders_first), merged), plain);

  // [n, groups, r.., out, q..] -> [n, groups * out, q * stride + r ..]
  Shape parts{g.batch, g.groups};
  parts.insert(parts.end(), g.stride.begin(), g.stride.end());
  parts.push_back(g.channels_out);
  parts.insert(parts.end(), product.shape().begin() + 2, product.shape().end());
  Axes into_space{0, 1, static_cast<int64_t>(2 + g.axes)};
  Shape joined{g.batch, g.groups * g.channels_out};
  for (size_t i = 0; i < g.axes; ++i) {
    into_space.insert(into_space.end(), {static_cast<int64_t>(3 + g.axes + i), static_cast<int64_t>(2 + i)});
    joined.push_back(product.shape()[2 + i] * g.stride[i]);
  }
  return reshape(permute(reshape(product, parts), into_space), joined);
}

/// Every product of an element and a tap, then added up where they overlap. For all kernels.
Tensor by_overlap(const Tensor& x, const Tensor& weight, const Geometry& g) {
  // [n, groups, out, L.., K.., in]
  Shape elements{g.batch, g.groups, g.channels_in, 1};
  elements.insert(elements.end(), x.shape().begin() + 2, x.shape().end());
  elements.insert(elements.end(), g.axes, 1);
  Shape taps{1, g.groups, g.channels_in, g.channels_out};
  taps.insert(taps.end(), g.axes, 1);
  taps.insert(taps.end(), g.kernel.begin(), g.kernel.end());
  const Tensor products =
      contract(moveaxis(reshape(x, elements), {2}, {-1}), moveaxis(reshape(weight, taps), {2}, {-1}), {-1});
  Shape merged{g.batch, g.groups * g.channels_out};
  merged.insert(merged.end(), products.shape().begin() + 3, products.shape().end());
  return overlap_add(reshape(products, merged), full_sizes(x, g), g.stride, g.dilation);
}

/// Where by_remainders() multiplies nothing but the kernel's own taps.
bool divides_into_remainders(const Geometry& g) {
  for (size_t i = 0; i < g.axes; ++i) {
    if (g.kernel[i] % g.stride[i] != 0 || (g.dilation[i] != 1 && g.kernel[i] != 1)) return false;
  }
  return true;
}

/// A kernel with zeros between its taps, for a stride of 1: nothing to choose between remainders there.
bool is_plain(const Geometry& g) {
  return std::ranges::all_of(g.stride, [](int64_t s) { return s == 1; });
}

/// Stride 1: a convolution with the kernel flipped, at the positions that the border leaves.
Tensor by_flipping(const Tensor& x, const Tensor& weight, const Geometry& g, const std::vector<Pair>& border) {
  std::vector<Pair> around;
  Axes spatial;
  for (size_t i = 0; i < g.axes; ++i) {
    const int64_t reach = g.dilation[i] * (g.kernel[i] - 1);
    around.push_back({reach + border[i].before, reach + border[i].after});
    spatial.push_back(static_cast<int64_t>(3 + i));
  }
  const Tensor seen = windows(with_border(x, around), g.kernel, {}, g.dilation);
  return contract_windows(seen, flip(swapped_in_groups(weight, g), spatial), g);
}

// --- the two kinds, each other's transpose; gradients of both are convolutions again ---

/// The same layer seen from its other side.
Geometry turned(Geometry g) {
  std::swap(g.channels_in, g.channels_out);
  return g;
}

std::vector<Pair> negated(std::vector<Pair> amounts) {
  for (Pair& pair : amounts) pair = {-pair.before, -pair.after};
  return amounts;
}

/// For each tap the sum over batch and places of what it saw times what came of it: [groups * out, in, K..].
Tensor tap_sums(const Tensor& seen, const Tensor& result, const Geometry& g) {
  Shape sources{g.batch, g.groups, 1, g.channels_in};
  sources.insert(sources.end(), seen.shape().begin() + 2, seen.shape().end());
  Shape results{g.batch, g.groups, g.channels_out, 1};
  results.insert(results.end(), result.shape().begin() + 2, result.shape().end());
  results.insert(results.end(), g.axes, 1);
  Axes summed{0};
  for (size_t i = 0; i < g.axes; ++i) summed.push_back(static_cast<int64_t>(4 + i));
  Shape weight{g.groups * g.channels_out, g.channels_in};
  weight.insert(weight.end(), g.kernel.begin(), g.kernel.end());
  return reshape(contract(reshape(seen, sources), reshape(result, results), summed), weight);
}

Tensor transposed(const Tensor& x, const Tensor& weight, const Geometry& g, const std::vector<Pair>& border);

/// x with a border of zeros (or cut off), convolved.
Tensor convolved(const Tensor& x, const Tensor& weight, const Geometry& g, const std::vector<Pair>& border) {
  const auto seen_in = [g, border](const Tensor& from) {
    return windows(with_border(from, border), g.kernel, g.stride, g.dilation);
  };
  const Tensor product = contract_windows(seen_in(x), unflatten(weight, 0, {g.groups, g.channels_out}), g);
  const auto rule = [g, border, seen_in](std::span<const Tensor> of, const Tensor&, const Tensor& gradient) {
    // What lies behind the last window got no part in any.
    std::vector<Pair> back = negated(border);
    const Shape reached = full_sizes(gradient, g);
    for (size_t i = 0; i < g.axes; ++i) back[i].after = of[0].shape()[2 + i] - reached[i] - back[i].before;
    return std::vector{cast(transposed(gradient, of[1], turned(g), back), of[0].dtype()),
                       cast(tap_sums(seen_in(of[0]), gradient, g), of[1].dtype())};
  };
  return with_derivative({x, weight}, product, rule);
}

/// Its transpose: the whole of what x spreads to, cut or filled at its border.
Tensor transposed(const Tensor& x, const Tensor& weight, const Geometry& g, const std::vector<Pair>& border) {
  const auto spread_out = [&] {
    if (is_plain(g)) return by_flipping(x, weight, g, border);
    return with_border(divides_into_remainders(g) ? by_remainders(x, weight, g) : by_overlap(x, weight, g), border);
  };
  const auto rule = [g, border](std::span<const Tensor> of, const Tensor&, const Tensor& gradient) {
    const Tensor seen = windows(with_border(gradient, negated(border)), g.kernel, g.stride, g.dilation);
    return std::vector{cast(convolved(gradient, of[1], turned(g), negated(border)), of[0].dtype()),
                       cast(tap_sums(seen, of[0], turned(g)), of[1].dtype())};
  };
  return with_derivative({x, weight}, spread_out(), rule);
}

}  // namespace

Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  const Geometry g = geometry_of(x, weight, bias, options, false);
  const Tensor padded = with_border(x, g.padding);
  for (size_t i = 0; i < g.axes; ++i) {
    if (padded.shape()[2 + i] > g.dilation[i] * (g.kernel[i] - 1)) continue;
    throw TensorError("conv: the kernel of " + text(weight) + " with dilation " + text(g.dilation) +
                      " does not fit in " + text(x) + " padded to " + text(padded.shape()));
  }
  return with_bias(convolved(x, weight, g, g.padding), bias);
}

Tensor conv_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                      const Shape& output_padding) {
  const Geometry g = geometry_of(x, weight, bias, options, true);
  const Shape extra = entries_of(output_padding, g.axes, 0, 0, "conv_transpose", "output_padding");
  std::vector<Pair> border;
  const Shape full = full_sizes(x, g);
  for (size_t i = 0; i < g.axes; ++i) {
    border.push_back({-g.padding[i].before, extra[i] - g.padding[i].after});
    if (x.shape()[2 + i] > 0 && full[i] + border[i].before + border[i].after >= 0) continue;
    throw TensorError("conv_transpose: nothing is left of " + text(x) + " with weight " + text(weight) +
                      " after the padding is cut off");
  }
  return with_bias(transposed(x, weight, g, border), bias);
}

std::vector<Pair> same_padding(const Shape& sizes, const Shape& kernel, const Shape& stride, const Shape& dilation,
                               bool lower) {
  const size_t count = sizes.size();
  const Shape spans = entries_of(kernel, count, 1, 1, "same_padding", "kernel");
  const Shape steps = entries_of(stride, count, 1, 1, "same_padding", "stride");
  const Shape gaps = entries_of(dilation, count, 1, 1, "same_padding", "dilation");
  std::vector<Pair> padding;
  for (size_t i = 0; i < count; ++i) {
    require_reachable(sizes[i], "same_padding", "size");
    const int64_t windows_wanted = (sizes[i] + steps[i] - 1) / steps[i];
    const int64_t reached = (windows_wanted - 1) * steps[i] + gaps[i] * (spans[i] - 1) + 1;
    const int64_t missing = std::max<int64_t>(reached - sizes[i], 0);
    const int64_t less = missing / 2;
    padding.push_back(lower ? Pair{missing - less, less} : Pair{less, missing - less});
  }
  return padding;
}

}  // namespace quarry::tensor
