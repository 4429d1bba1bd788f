// What the parts of the emitter share while they print one kernel.
#pragma once

#include "engine/codegen/dialects/dialect.h"
#include "engine/codegen/values.h"

namespace quarry::codegen {

struct KernelText {
  const Scheduled& scheduled;
  const Target& target;
  Operations& operations;
  Values& values;
  bool to_scratch = false;  ///< the results are parts of a split reduction
  std::string part;         ///< of a split reduction: the variable with this tile's part

  const lower::LoopNest& nest() const { return scheduled.nest; }
  std::string index_type() const { return values.index_type(); }
  std::string accumulator_type(int width) const { return vector_type(compute_type(nest().accumulator), width); }
  graph::DType stored_dtype() const { return to_scratch ? nest().accumulator : nest().result; }
  std::string join(const std::string& a, const std::string& b, int width) const {
    const graph::Op op = *nest().reduce == graph::Op::ReduceSum ? graph::Op::Add : graph::Op::Max;
    return operations.binary(op, nest().accumulator, a, b, width);
  }
};

/// The points of the axes that one work-item computes, one after the other.
std::vector<Copies> copies_of(const std::vector<TiledAxis>& axes);

/// reduction.cpp: the loops of the reduction for each of `outputs`; returns this work-item's total of each.
std::vector<std::string> print_reduction(KernelText& kernel, const std::vector<Copies>& outputs);
/// lanes.cpp: adds up the lanes of each sum.
std::vector<std::string> combine_lanes(KernelText& kernel, const std::vector<std::string>& sums);
/// group.cpp: adds up what the work-items that share a reduction have of each sum.
std::vector<std::string> combine_items(KernelText& kernel, const std::vector<std::string>& sums);
/// group.cpp: fills the tiles of shared memory from which staged loads are read.
void print_stages(KernelText& kernel);
/// Bytes of shared memory that combine_items() and print_stages() take.
int64_t shared_bytes(const Scheduled& scheduled, const Target& target);
/// store.cpp: stores `values`, one for each of `outputs`.
void print_stores(KernelText& kernel, const std::vector<Printed>& values, const std::vector<Copies>& outputs);

}  // namespace quarry::codegen
