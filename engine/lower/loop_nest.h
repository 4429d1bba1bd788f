// A loop nest: one kernel's work as ranges, one value expression, and where it is stored. What codegen schedules and
// prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/lower/expr.h"

namespace quarry::lower {

enum class AxisKind : uint8_t { Output, Reduce };

/// Axis number i is Range i in the expressions.
struct Axis {
  int64_t extent;
  AxisKind kind;
};

struct Read {
  graph::DType dtype;
  int64_t elements;
};

/// For each point of the output axes: result[store_index] = value, or the reduction of value over the reduce axes.
/// Points where store_condition is false are left as they are (row updates).
struct LoopNest {
  Arena arena;
  std::vector<Axis> axes;  ///< output axes first
  std::vector<Read> reads;
  graph::DType result = graph::DType::F32;
  int64_t result_elements = 0;
  ExprId value = kNoExpr;
  ExprId store_index = kNoExpr;
  ExprId store_condition = kNoExpr;  ///< never kNoExpr once lowered
  std::optional<graph::Op> reduce;
  graph::DType accumulator = graph::DType::F32;  ///< f32 for sums of f16 and bf16, else the result's dtype
  bool reads_step = false, reads_seed = false;

  int64_t points(AxisKind kind) const;  ///< product of the extents
};

std::string to_string(const LoopNest& nest);

/// What is wrong with the nest, or empty: operands of the right sort, ranges that exist, every unguarded load inside
/// its buffer, stores inside the result. For tests between passes.
std::string verify(const LoopNest& nest);

}  // namespace quarry::lower
