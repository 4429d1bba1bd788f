// The contraction template: SUM over k of left * right on matrix units, as a tile program.
//
// One skeleton: a producer warp fills stages of both operands by TMA, one or two warpgroups multiply them with wgmma,
// and the finished tile goes through its epilogue to memory while the next tile's stages are filled. It runs on sm_90a.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/tile/tile.h"

namespace quarry::templates {

/// How one side of a contraction lies in memory. An element is argument[offset + row * row_stride + k * k_stride + sum
/// of batch * batch_strides]; `row` is m for the left operand and n for the right one. Strides are in elements.
struct OperandView {
  int argument;
  int64_t offset = 0, row_stride, k_stride;
  std::vector<int64_t> batch_strides;
  int64_t elements;  ///< of the argument
};

/// result[offset + m * m_stride + n * n_stride + ..] = round(SUM_k left[m, k] * right[n, k]), in f32, rounded once to
/// the result's dtype.
struct ContractionProblem {
  graph::DType operand;          ///< bf16, f16 or f32, of both sides. f32 is computed by six products of bf16 parts
  graph::DType result;           ///< bf16, f16 or f32
  std::vector<int64_t> batches;  ///< extents of the batch axes, outermost first; an argument moves along 3 at most
  int64_t m, n, k;
  OperandView left, right;
  int64_t result_offset = 0, m_stride, n_stride, result_elements;
  std::vector<int64_t> result_batch_strides;
};

/// `parts` changes bits (the order of the sum); the rest changes speed only.
struct ContractionSchedule {
  int64_t parts = 1;  ///< of the sum over k, joined in order
  int64_t block_m = 128, block_n = 256;
  int stages = 4;
  int64_t raster_rows = 16;
  bool operator==(const ContractionSchedule&) const = default;
};
std::string to_string(const ContractionSchedule& schedule);

/// Nothing if the template does not take the problem: an operand that the TMA engine cannot read (no contiguous axis, a
/// stride that is no multiple of 16 bytes), other dtypes, or a schedule that does not fit a block.
std::optional<tile::Program> contraction(const ContractionProblem& problem, const ContractionSchedule& schedule);

/// How many tiles of work there are: no more blocks than that are launched.
int64_t work_items(const ContractionProblem& problem, const ContractionSchedule& schedule);

}  // namespace quarry::templates
