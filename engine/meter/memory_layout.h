// Where every value of a step lies: one arena, laid out from the graph and its use alone. The meter states the memory
// bound by this layout and engine/run runs in it, so every plan of the engine fits in the bound (docs/metering.md,
// Memory bound).
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/result.h"
#include "engine/meter/fusion.h"
#include "engine/meter/meter.h"

namespace quarry::meter {

inline constexpr uint64_t kBufferAlignment = 256;
inline constexpr uint64_t kWorkspaceShare = 8;  ///< one part in eight more, for workspace,
/// and no less than this: the parts of a split reduction of a job that is small itself.
inline constexpr uint64_t kLeastWorkspaceBytes = 1 << 20;

/// A range of the arena; offset is a multiple of kBufferAlignment.
struct Slot {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// Steps alternate between two parities: what a step of one parity writes as the next value of a carried input, the
/// step of the other reads. So carries are assigned together and nothing is copied.
class MemoryLayout {
 public:
  /// Of an INPUT or a stored value.
  const Slot& at(graph::NodeId node, int parity) const { return slots_.at(node)[static_cast<size_t>(parity)]; }

  /// A carried input whose next value has to be copied at the end of a step: its output is itself an input, or feeds
  /// several.
  struct Copy {
    graph::NodeId from;   ///< at the step's parity
    graph::NodeId input;  ///< at the other parity
  };
  const std::vector<Copy>& copies() const { return copies_; }

  /// Of the arena.
  uint64_t bytes() const { return bytes_; }
  /// What devices may use beside the arena while the job runs.
  uint64_t workspace_bytes() const;
  /// The memory bound: the arena, the second copy of each carry that is not needed because it is updated in place or
  /// never changes, and workspace.
  uint64_t bound_bytes() const { return held_bytes() + workspace_bytes(); }
  uint64_t held_bytes() const { return bytes_ + spared_bytes_; }  ///< the bound without workspace

 private:
  friend class LayoutPlanner;
  std::unordered_map<graph::NodeId, std::array<Slot, 2>> slots_;
  std::vector<Copy> copies_;
  uint64_t bytes_ = 0;
  uint64_t spared_bytes_ = 0;
};

/// Inputs, both copies of each carry and two slices of each feed stay for the whole step; stored values live from their
/// kernel to that of their last reader, outputs to the step's end; kernels run in the order of NodeIds. Carries and
/// feeds that name no input or output are left out. "value_too_large" when a value must be stored that has too many
/// elements, "count_overflow" when the bound is no signed 64-bit number.
Result<MemoryLayout> lay_out_memory(const graph::NormalGraph& graph, const Usage& usage);

/// The same for a device that has no allocation as large as the arena: no value crosses a multiple of `piece_bytes`, so
/// the arena may be several allocations. It may be larger than the bound, which knows no device. "out_of_memory" when a
/// value is larger than a piece.
Result<MemoryLayout> lay_out_memory_in_pieces(const graph::NormalGraph& graph, const Usage& usage,
                                              uint64_t piece_bytes);

/// The same of stored values and updates in place that are known already.
Result<MemoryLayout> lay_out_memory(const graph::Graph& graph, const std::vector<StoredValue>& stored,
                                    const graph::RowUpdates& in_place, const Usage& usage);

uint64_t value_bytes(const graph::Graph& graph, graph::NodeId node);
/// The next multiple of kBufferAlignment.
constexpr uint64_t aligned(uint64_t bytes) {
  return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

}  // namespace quarry::meter
