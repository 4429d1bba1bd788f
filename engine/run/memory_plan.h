// The memory of a step: the layout by which the meter stated the memory bound, refused before anything is allocated
// where a device has less.
#pragma once

#include <optional>
#include <vector>

#include "common/result.h"
#include "engine/lower/kernel.h"
#include "engine/meter/memory_layout.h"
#include "engine/run/run.h"

namespace quarry::run {

struct MemoryPlan {
  meter::MemoryLayout layout;
  uint64_t piece_bytes = 0;  ///< no value crosses a multiple of it: each piece is an allocation of its own
};

/// `program` must be valid. "memory_bound_exceeded" when the arena needs more than `limit_bytes`: never within the
/// program's memory bound, but on a device whose largest allocation is smaller than the arena.
Result<MemoryPlan> plan_memory(const Program& program, uint64_t max_allocation_bytes, uint64_t limit_bytes);

/// The same for kernels that were fused beyond the stored values of the bill. Nothing if they would need more memory
/// than `stored`, the plan of those values: a plan never exceeds the bound.
std::optional<MemoryPlan> plan_memory_of(const Program& program, const std::vector<lower::Kernel>& fused,
                                         const MemoryPlan& stored);

}  // namespace quarry::run
