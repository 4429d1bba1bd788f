#include "engine/run/memory_plan.h"

namespace quarry::run {

Result<meter::MemoryLayout> plan_memory(const Program& program, uint64_t limit_bytes) {
  meter::Usage usage{program.carry, {}};
  for (const Feed& feed : program.feed) usage.feed.push_back(feed.input);
  QUARRY_ASSIGN(meter::MemoryLayout layout, meter::lay_out_memory(*program.graph, usage));
  if (layout.bytes() > limit_bytes)
    return Problem{"memory_bound_exceeded",
                   "the job needs " + std::to_string(layout.bytes()) + " bytes on the device; " +
                       std::to_string(limit_bytes) + " are allowed",
                   "", "Use smaller batches or shapes, or a device with more memory."};
  return layout;
}

}  // namespace quarry::run
