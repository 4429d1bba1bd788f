// What transformers are made of.
#pragma once

#include <optional>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

struct AttentionOptions {
  Tensor mask = {};                  ///< broadcast to [.., queries, keys]: bool (true: look), or added to the scores
  bool is_causal = false;            ///< query i sees keys up to i (top left aligned, as in PyTorch)
  std::optional<double> scale = {};  ///< default 1 / sqrt(width)
  double dropout = 0;                ///< of the probabilities
  uint32_t dropout_stream = 0;
};
/// query [.., heads, queries, width], key [.., kv heads, keys, width], value [.., kv heads, keys, value width] ->
/// [.., heads, queries, value width]. kv heads divide heads: each serves heads / kv heads queries in a row. Scores and
/// softmax are f32 on f16 and bf16. A query that may look nowhere gets NaN, as in PyTorch.
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const AttentionOptions& options = {});

/// Which two elements of the width turn together.
enum class RotaryLayout {
  HalfSplit,   ///< i and i + width / 2 (LLaMA in Hugging Face's weights, GPT-NeoX)
  Interleaved  ///< 2 i and 2 i + 1 (LLaMA as Meta published it, GPT-J)
};
struct RotaryTables {
  Tensor cosines, sines;  ///< [positions shape .., width / 2], f32
};
/// Angles position * base^(-2 i / width). positions: integers of any shape.
RotaryTables rotary_tables(const Tensor& positions, int64_t width, double base = 10000);
/// x [.., length, width] turned by the tables [length, width / 2], which are broadcast to x's leading axes. Computed in
/// f32, in x's dtype afterwards.
Tensor rotary_embedding(const Tensor& x, const RotaryTables& tables, RotaryLayout layout = RotaryLayout::HalfSplit);
/// [length, width], width even: sin(p / base^(2 i / width)) at 2 i, the cosine at 2 i + 1 ("Attention is all you
/// need").
Tensor sinusoidal_positions(int64_t length, int64_t width, double base = 10000, DType dtype = DType::F32);

/// x with elements replaced by 0 with the given probability and the others scaled by 1 / (1 - probability). New ones in
/// each step of a job; another stream for each call.
Tensor dropout(const Tensor& x, double probability, uint32_t stream);

}  // namespace quarry::tensor
