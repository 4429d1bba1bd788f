// Counts the work of a graph before it runs: tariff version 1 (docs/metering.md, design section 6). Exact integers; a
// count that does not fit is a Problem ("count_overflow"), never a wrapped number. Knows nothing of devices, prices or
// money.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "common/flops.h"
#include "common/result.h"
#include "engine/graph/graph.h"

namespace quarry::meter {

inline constexpr int kTariffVersion = 1;
inline constexpr UInt128 kFlopsPerByte = 64;
inline constexpr UInt128 kFlopsPerStoredValue = 100'000'000;
inline constexpr UInt128 kFlopsPerJob = 10'000'000'000;

/// How a job uses a graph, as far as counting needs it: names of inputs and outputs.
struct Usage {
  std::vector<std::pair<std::string, std::string>> carry;  ///< input <- output
  std::vector<std::string> feed;                           ///< fed inputs
};

/// The work of one step. `weighted` is F by width class: 16 bits or less, 32, 64.
struct StepCount {
  Flops flops;                    ///< the field's convention, for people
  std::array<Flops, 3> weighted;  ///< already multiplied by the width factor 1, 2, 4
  UInt128 bytes = 0;              ///< B
  uint64_t stored_values = 0;
  uint64_t memory_bound_bytes = 0;

  Flops weighted_total() const { return {weighted[0].count + weighted[1].count + weighted[2].count}; }
  /// F + 64 B + 10^8 per stored value. Fits: count() refused what would not.
  Flops metered() const;
};

Result<StepCount> count(const graph::NormalGraph& graph, const Usage& usage);

/// Metered FLOPs of `steps` steps, with (first segment) or without the job's constant.
Result<Flops> metered(const StepCount& step, int64_t steps, bool with_job_constant);

/// A value that a kernel of its own computes, and the INPUTs and other stored values that the kernel loads, ascending.
/// A row update reads its old value too.
struct StoredValue {
  graph::NodeId node;
  std::vector<graph::NodeId> reads;
};

/// The stored values of a graph: reduce results, outputs, and what would repeat work if fused (design section 5).
/// Device-free; lowering makes one kernel of each, in this order. Ascending; INPUTs are not in it. A stored value is
/// never a pure movement of another one unless it is an output.
std::vector<StoredValue> stored_values(const graph::NormalGraph& graph);

}  // namespace quarry::meter
