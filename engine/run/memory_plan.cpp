#include "engine/run/memory_plan.h"

#include <algorithm>

namespace quarry::run {

Result<MemoryPlan> plan_memory(const Program& program, uint64_t max_allocation_bytes, uint64_t limit_bytes) {
  meter::Usage usage{program.carry, {}};
  for (const Feed& feed : program.feed) usage.feed.push_back(feed.input);
  MemoryPlan plan;
  QUARRY_ASSIGN(plan.layout, meter::lay_out_memory(*program.graph, usage));
  plan.piece_bytes = std::max(plan.layout.bytes(), device::kBufferAlignment);
  const uint64_t most = max_allocation_bytes / device::kBufferAlignment * device::kBufferAlignment;
  if (plan.layout.bytes() <= limit_bytes && plan.layout.bytes() > most) {
    plan.piece_bytes = most;
    QUARRY_ASSIGN(plan.layout, meter::lay_out_memory_in_pieces(*program.graph, usage, most));
  }
  if (plan.layout.bytes() > limit_bytes)
    return Problem{"memory_bound_exceeded",
                   "the job needs " + std::to_string(plan.layout.bytes()) + " bytes on the device; " +
                       std::to_string(limit_bytes) + " are allowed",
                   "", "Use smaller batches or shapes, or a device with more memory."};
  return plan;
}

}  // namespace quarry::run
