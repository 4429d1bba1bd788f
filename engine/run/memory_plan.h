// Where every value of a step lies in the arena: decided once, from the graph alone, before anything is allocated.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/result.h"
#include "engine/lower/kernel.h"
#include "engine/run/run.h"

namespace quarry::run {

/// A range of the arena; offset is a multiple of device::kBufferAlignment.
struct Slot {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// Steps alternate between two parities: what a step of one parity writes as the next value of a carried input, the
/// step of the other reads. So carries are assigned together and nothing is copied.
class MemoryPlan {
 public:
  const Slot& at(graph::NodeId node, int parity) const { return slots_.at(node)[static_cast<size_t>(parity)]; }

  /// A carried input whose next value has to be copied at the end of a step: its output is itself an input, or feeds
  /// several.
  struct Copy {
    graph::NodeId from;   ///< at the step's parity
    graph::NodeId input;  ///< at the other parity
  };
  const std::vector<Copy>& copies() const { return copies_; }
  uint64_t bytes() const { return bytes_; }

 private:
  friend class MemoryPlanner;
  std::unordered_map<graph::NodeId, std::array<Slot, 2>> slots_;
  std::vector<Copy> copies_;
  uint64_t bytes_ = 0;
};

/// `program` must be valid. "memory_bound_exceeded" when the plan needs more than `limit_bytes`.
Result<MemoryPlan> plan_memory(const Program& program, const std::vector<lower::Kernel>& kernels, uint64_t limit_bytes);

uint64_t value_bytes(const graph::Graph& graph, graph::NodeId node);

}  // namespace quarry::run
