// One element of each op, exactly as docs/graph-format.md defines it. Elements are bits in the low bytes of a uint64_t
// (graph/number.h). Floats are computed in f64 and rounded once to their dtype; for ADD, SUB, MUL and DIV of narrower
// floats that is the correctly rounded result, because f64 has more than twice their digits. Integers are computed
// modulo 2^64 and wrapped.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/graph/graph.h"

namespace quarry::device::interpreter {

uint64_t apply_unary(graph::Op op, graph::DType dtype, uint64_t x);               ///< EXP, LOG
uint64_t apply_binary(graph::Op op, graph::DType dtype, uint64_t x, uint64_t y);  ///< ADD to MAX

/// What a reduce over no elements gives: 0, or the lowest value (-inf, the lowest integer, false).
uint64_t reduce_identity(graph::Op op, graph::DType dtype);

/// Folds elements one by one into a reduce's result. A SUM of floats is kept in f64 and rounded once, at the end.
class Accumulator {
 public:
  Accumulator(graph::Op op, graph::DType dtype);
  void add(uint64_t element);
  uint64_t result() const;

 private:
  graph::Op op_;
  graph::DType dtype_;
  bool sums_floats_;
  double sum_ = 0;
  uint64_t folded_;
};

uint64_t load_element(graph::DType dtype, const std::byte* array, int64_t position);
void store_element(graph::DType dtype, std::byte* array, int64_t position, uint64_t bits);

}  // namespace quarry::device::interpreter
