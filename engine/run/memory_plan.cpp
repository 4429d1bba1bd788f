#include "engine/run/memory_plan.h"

#include <algorithm>

namespace quarry::run {

namespace {

meter::Usage usage_of(const Program& program) {
  meter::Usage usage{program.carry, {}};
  for (const Feed& feed : program.feed) usage.feed.push_back(feed.input);
  return usage;
}

}  // namespace

Result<MemoryPlan> plan_memory(const Program& program, uint64_t max_allocation_bytes, uint64_t limit_bytes) {
  const meter::Usage usage = usage_of(program);
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

std::optional<MemoryPlan> plan_memory_of(const Program& program, const std::vector<lower::Kernel>& fused,
                                         const MemoryPlan& stored) {
  if (stored.layout.bytes() > stored.piece_bytes) return std::nullopt;  // in pieces: as the bill's values lie
  std::vector<meter::StoredValue> values;
  graph::RowUpdates in_place;
  for (const lower::Kernel& kernel : fused) {
    values.push_back({kernel.result, kernel.reads});
    if (kernel.row_update) in_place.emplace(kernel.result, *kernel.row_update);
  }
  auto layout = meter::lay_out_memory(program.graph->graph, values, in_place, usage_of(program));
  if (!layout.ok() || layout->bytes() > stored.layout.bytes()) return std::nullopt;
  return MemoryPlan{std::move(layout).value(), stored.piece_bytes};
}

}  // namespace quarry::run
