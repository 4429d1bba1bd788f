// Counts the work of a graph before it runs, by the tariff's versions (docs/metering.md). Exact integers; a
// count that does not fit is a Problem ("count_overflow"), never a wrapped number. Knows nothing of devices, prices or
// money.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/flops.h"
#include "common/result.h"
#include "engine/graph/graph.h"

namespace quarry::meter {

/// A published version never changes, and each job keeps its own. What differs is the count of a step and what a
/// checkpoint costs; the constants below are of all versions.
enum class Tariff : uint8_t { One = 1, Two = 2 };
inline constexpr Tariff kNewestTariff = Tariff::Two;
inline constexpr UInt128 kFlopsPerByte = 64;
inline constexpr UInt128 kLeastCopiedBytes = 128 << 10;  ///< what a copy counts at least, since tariff 2
inline constexpr UInt128 kFlopsPerStoredValue = 100'000'000;
inline constexpr UInt128 kFlopsPerJob = 10'000'000'000;

/// How a job uses a graph, as far as counting needs it: names of inputs and outputs.
struct Usage {
  std::vector<std::pair<std::string, std::string>> carry;  ///< input <- output
  std::vector<std::string> feed;                           ///< fed inputs
  std::vector<std::string> keep_each;                      ///< outputs of which every step's value is kept
};

/// The work of one step: the metered vector is `weighted` (F by width class: 16 bits or less, 32, 64), `bytes` and
/// `stored_values`, which are launches. What a device needs for a step is predicted from it alone.
struct StepCount {
  Tariff tariff = kNewestTariff;
  Flops flops;                    ///< the field's convention, for people
  std::array<Flops, 3> weighted;  ///< already multiplied by the width factor 1, 2, 4
  UInt128 bytes = 0;              ///< B
  uint64_t stored_values = 0;
  uint64_t memory_bound_bytes = 0;
  UInt128 index_work = 0;        ///< what of F finds elements: 32 bits wide; 0 in tariff 1
  UInt128 copied_bytes = 0;      ///< what of B is copies; 0 in tariff 1
  UInt128 checkpoint_bytes = 0;  ///< what a segment's end moves before the next one can start; 0 in tariff 1

  Flops weighted_total() const { return {weighted[0].count + weighted[1].count + weighted[2].count}; }
  /// F + 64 B + 10^8 per stored value. Fits: count() refused what would not.
  Flops metered() const;
};

/// "kernel_too_large", "value_too_large" and "count_overflow" name what is refused.
Result<StepCount> count(const graph::NormalGraph& graph, const Usage& usage, Tariff tariff = kNewestTariff);

/// A segment holds at most this much metered work, or one step.
inline constexpr UInt128 kMostSegmentFlops = 10'000'000'000'000'000;
/// How a job of `steps` steps is cut: as long as segments may be, or after every `checkpoint_every` steps if that is
/// sooner.
int64_t steps_per_segment(const StepCount& step, int64_t steps, std::optional<int64_t> checkpoint_every);

/// Metered FLOPs of `steps` steps, with (first segment) or without the job's constant.
Result<Flops> metered(const StepCount& step, int64_t steps, bool with_job_constant);
/// Of a whole job that is cut into `segments`. Since tariff 2 each segment after the first costs what a job's start
/// does and the bytes of its checkpoint.
Result<Flops> metered_job(const StepCount& step, int64_t steps, int64_t segments);

/// A value that a kernel of its own computes, and the INPUTs and other stored values that the kernel loads, ascending.
/// A row update reads its old value too.
struct StoredValue {
  graph::NodeId node;
  std::vector<graph::NodeId> reads;
};

/// The stored values of a graph: reduce results, outputs, and what would repeat work if fused (docs/metering.md).
/// Device-free; lowering makes one kernel of each, in this order. Ascending; INPUTs are not in it. A stored value is
/// never a pure movement of another one unless it is an output.
std::vector<StoredValue> stored_values(const graph::NormalGraph& graph);

}  // namespace quarry::meter
