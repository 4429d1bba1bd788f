#include "engine/tensor/attention.h"

#include <cmath>
#include <limits>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/contraction.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/random.h"
#include "engine/tensor/reduce.h"
#include "engine/tensor/shape.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

constexpr const char* kAttention = "scaled_dot_product_attention";

void check_attention(const Tensor& query, const Tensor& key, const Tensor& value) {
  const bool floats = graph::is_float(query.dtype()) && graph::is_float(key.dtype()) && graph::is_float(value.dtype());
  const bool fits = floats && query.rank() >= 2 && query.rank() == key.rank() && key.rank() == value.rank() &&
                    query.size(-1) == key.size(-1) && key.size(-2) == value.size(-2);
  if (fits) return;
  throw TensorError(std::string(kAttention) + ": query " + text(query) + ", key " + text(key) + " and value " +
                    text(value) + " must be [.., heads, queries, width], [.., heads, keys, width] and " +
                    "[.., heads, keys, value width] of floats");
}

/// How many query heads each key and value head serves.
int64_t heads_served(const Tensor& query, const Tensor& key, const Tensor& value) {
  if (query.rank() < 3) return 1;
  const int64_t heads = query.size(-3), kv_heads = key.size(-3);
  const bool shared = kv_heads == value.size(-3) && kv_heads > 0 && heads % kv_heads == 0;
  if (shared) return heads / kv_heads;
  throw TensorError(std::string(kAttention) + ": " + std::to_string(kv_heads) + " heads of keys and " +
                    std::to_string(value.size(-3)) + " of values do not serve " + std::to_string(heads) +
                    " heads of queries");
}

Tensor masked(const Tensor& scores, const Tensor& mask) {
  if (mask.dtype() != DType::Bool) return scores + cast(mask, scores.dtype());
  return where(mask, scores, scalar_beside(scores, -std::numeric_limits<double>::infinity()));
}

/// [.., heads, n, w] -> [.., heads / share, share, n, w].
Tensor in_shares(const Tensor& x, int64_t share) {
  return share == 1 ? x : unflatten(x, -3, {-1, share});
}

Tensor probabilities_of(const Tensor& query, const Tensor& key, int64_t share, const AttentionOptions& options) {
  const Tensor keys = share == 1 ? key : unsqueeze(key, {-3});
  const Tensor products = matmul(widened(in_shares(query, share)), transpose(widened(keys), -1, -2));
  Tensor scores = products * options.scale.value_or(1 / std::sqrt(static_cast<double>(query.size(-1))));
  if (share > 1) scores = flatten(scores, -4, -3);
  if (options.is_causal) scores = masked(scores, lower_triangle(scores.size(-2), scores.size(-1)));
  if (options.mask) scores = masked(scores, options.mask);
  const Tensor probabilities = softmax(scores, -1);
  if (options.dropout == 0) return probabilities;
  return dropout(probabilities, options.dropout, options.dropout_stream);
}

/// The two halves that turn together, each [.., width / 2].
struct Halves {
  Tensor first, second;
};
Halves halves_of(const Tensor& x, RotaryLayout layout) {
  const int64_t half = x.size(-1) / 2;
  if (layout == RotaryLayout::HalfSplit) return {narrow(x, -1, 0, half), narrow(x, -1, half, half)};
  const Tensor pairs = unflatten(x, -1, {half, 2});
  return {select(pairs, -1, 0), select(pairs, -1, 1)};
}

Tensor joined(const Halves& halves, RotaryLayout layout) {
  const Tensor parts[] = {halves.first, halves.second};
  if (layout == RotaryLayout::HalfSplit) return cat(parts, -1);
  return flatten(stack(parts, -1), -2, -1);
}

void require_even(int64_t width, const char* where) {
  if (width > 0 && width % 2 == 0) return;
  throw TensorError(std::string(where) + ": the width must be even and above 0, not " + std::to_string(width));
}

/// base^(-2 i / width) for i below width / 2.
Tensor frequencies(int64_t width, double base) {
  const Tensor i = cast(iota(DType::I32, {width / 2}, 0), DType::F32);
  return exp(i * (-2 * std::log(base) / static_cast<double>(width)));
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const AttentionOptions& options) {
  check_attention(query, key, value);
  const int64_t share = heads_served(query, key, value);
  const Tensor probabilities = cast(probabilities_of(query, key, share, options), value.dtype());
  const Tensor values = share == 1 ? value : unsqueeze(value, {-3});
  const Tensor result = matmul(in_shares(probabilities, share), values);
  return cast(share == 1 ? result : flatten(result, -4, -3), query.dtype());
}

RotaryTables rotary_tables(const Tensor& positions, int64_t width, double base) {
  require_even(width, "rotary_tables");
  if (!graph::is_integer(positions.dtype())) {
    throw TensorError("rotary_tables: positions are integers, not " + text(positions));
  }
  const Tensor angles = unsqueeze(cast(positions, DType::F32), {-1}) * frequencies(width, base);
  return {cos(angles), sin(angles)};
}

Tensor rotary_embedding(const Tensor& x, const RotaryTables& tables, RotaryLayout layout) {
  if (!graph::is_float(x.dtype()) || x.rank() < 1) throw TensorError("rotary_embedding needs a float, not " + text(x));
  require_even(x.size(-1), "rotary_embedding");
  if (tables.cosines.rank() < 1 || tables.cosines.size(-1) != x.size(-1) / 2) {
    throw TensorError("rotary_embedding: tables " + text(tables.cosines) + " must end with half the width of " +
                      text(x));
  }
  const auto [first, second] = halves_of(widened(x), layout);
  const Halves turned{first * tables.cosines - second * tables.sines, second * tables.cosines + first * tables.sines};
  return cast(joined(turned, layout), x.dtype());
}

Tensor sinusoidal_positions(int64_t length, int64_t width, double base, DType dtype) {
  require_even(width, "sinusoidal_positions");
  const RotaryTables tables = rotary_tables(iota(DType::I32, {length}, 0), width, base);
  return cast(joined({tables.sines, tables.cosines}, RotaryLayout::Interleaved), dtype);
}

Tensor dropout(const Tensor& x, double probability, uint32_t stream) {
  if (!(probability >= 0 && probability <= 1)) throw TensorError("dropout: a probability lies between 0 and 1");
  if (!graph::is_float(x.dtype())) throw TensorError("dropout needs a float, not " + text(x));
  if (probability == 0) return x;
  const Tensor zeros = constant(0, x.dtype(), x.shape());
  if (probability == 1) return zeros;
  const Tensor scaled = cast(widened(x) * (1 / (1 - probability)), x.dtype());
  return where(bernoulli(x.shape(), stream, probability), zeros, scaled);
}

}  // namespace quarry::tensor
