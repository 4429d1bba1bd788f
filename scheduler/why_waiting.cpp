#include <algorithm>
#include <string>

#include "scheduler/core_data.h"

namespace quarry::scheduler {
namespace {

std::string gib(uint64_t bytes) {
  const uint64_t tenths = (bytes * 10 + (uint64_t{1} << 29)) >> 30;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

Explanation nothing_fits(const State::Data& data, const Requirement& needs) {
  uint64_t largest = 0;
  bool has_dtypes = false;
  for (const auto& [key, kind] : data.fleet.classes()) {
    largest = std::max(largest, kind.memory_bytes);
    has_dtypes = has_dtypes || (needs.dtypes & ~kind.dtypes) == 0;
  }
  if (!has_dtypes) return {"nothing_fits", "No connected box computes in all of the job's dtypes."};
  return {"nothing_fits", "The job needs " + gib(needs.memory_bytes) +
                              " in a slice with its dtypes; the largest slice that is connected has " + gib(largest) +
                              "."};
}

}  // namespace

Explanation why_waiting(const State& state, JobId job) {
  const State::Data& data = state.data();
  if (const auto at = data.attempts.find(job); at != data.attempts.end())
    return at->second.fence ? Explanation{"running", "The job runs."}
                            : Explanation{"placing", "The job is being placed."};
  const Waiting* waiting = data.queue.find(job);
  if (!waiting) return {"unknown", "The job is not waiting here."};
  if (data.fleet.sessions().empty()) return {"no_boxes", "No box is connected."};

  const Requirement& needs = waiting->group->requirement();
  size_t fitting = 0, free = 0;
  for (const auto& [key, kind] : data.fleet.classes())
    if (kind.fits(needs)) {
      fitting += kind.slices;
      free += kind.free.size();
    }
  if (fitting == 0) return nothing_fits(data, needs);
  if (free > 0 && waiting->avoids != BoxId{})
    return {"avoiding_box",
            "An attempt on the box that is free failed; for some seconds the job waits for another one."};
  return {"all_busy", "All " + std::to_string(fitting) + " slices that fit are busy, and older jobs go first."};
}

}  // namespace quarry::scheduler
