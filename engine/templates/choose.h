// Which schedule a contraction gets: a cost model, without measuring.
#pragma once

#include <optional>

#include "engine/templates/contraction.h"

namespace quarry::templates {

/// What of a device decides. All boxes of one device and slice shape have the same, so they choose the same bits.
struct DeviceClass {
  int64_t units = 132;         ///< multiprocessors
  int64_t most_workspace = 0;  ///< bytes for the parts of split sums
};

struct Choice {
  bool swap = false;  ///< the schedule is for swapped(problem)
  ContractionSchedule schedule;
  int64_t blocks = 1;       ///< of a launch
  double microseconds = 0;  ///< predicted
};

/// The predicted time of one launch. The constants were fitted to an H200 (docs/performance.md).
double predicted_us(const ContractionProblem& problem, const ContractionSchedule& schedule, const DeviceClass& device);

/// The best schedule that the template takes, or nothing if it takes none. Deterministic.
std::optional<Choice> choose(const ContractionProblem& problem, const DeviceClass& device);

}  // namespace quarry::templates
