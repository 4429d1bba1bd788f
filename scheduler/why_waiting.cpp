#include <algorithm>
#include <string>

#include "scheduler/core_data.h"

namespace quarry::scheduler {
namespace {

std::string gib(uint64_t bytes) {
  const uint64_t tenths = (bytes * 10 + (uint64_t{1} << 29)) >> 30;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}
std::string counted(size_t n, const std::string& one, const std::string& many) {
  return n == 1 ? "1 " + one : std::to_string(n) + " " + many;
}

Explanation nothing_fits(const State::Data& data, const wire::ReadyJob& job) {
  uint64_t largest = 0;
  bool has_dtypes = false;
  for (const auto& [key, kind] : data.fleet.classes()) {
    if ((job.dtypes & ~kind.dtypes) != 0) continue;
    has_dtypes = true;
    largest = std::max(largest, kind.largest());
  }
  if (!has_dtypes)
    return {
        "nothing_fits",
        "No connected box computes in all of the job's dtypes. It starts when one does that connects; cancel it, or "
        "use other dtypes."};
  return {"nothing_fits", "The job needs " + gib(job.memory_bound_bytes) +
                              " in one slice, and the largest slice that is connected has " + gib(largest) +
                              ". It starts when a box with a larger slice connects; cancel it, or make the graph "
                              "smaller."};
}

struct Fitting {
  size_t slices = 0, free = 0, resting = 0, unreachable = 0;
};
Fitting count_fitting(const State::Data& data, const Requirement& needs) {
  Fitting fitting;
  for (const auto& [id, session] : data.fleet.sessions())
    for (const Slice& slice : session.slices) {
      if (!slice.fits(needs)) continue;
      ++fitting.slices;
      if (slice.is_free() && slice.takes(needs.account)) ++fitting.free;
      if (!session.reachable || session.expiring)
        ++fitting.unreachable;
      else if (slice.paused_until)
        ++fitting.resting;
    }
  return fitting;
}

Explanation all_busy(const State::Data& data, const Waiting& waiting, const Fitting& fitting) {
  const Requirement& needs = waiting.group->requirement();
  std::string detail = fitting.slices == 1 ? "The one slice that fits is busy"
                                           : "All " + std::to_string(fitting.slices) + " slices that fit are busy";
  if (fitting.resting > 0) detail += ", " + std::to_string(fitting.resting) + " of them resting after failures";
  if (fitting.unreachable > 0) detail += ", " + std::to_string(fitting.unreachable) + " of them out of reach";
  const size_t accounts = data.queue.lines_before(needs.account), own = waiting.group->waiting() - 1;
  detail += "; before this job come " + counted(accounts, "other account", "other accounts") + " in turn and up to " +
            counted(own, "job", "jobs") + " of this account. It starts when a slice becomes free at its turn.";
  return {"all_busy", detail};
}

}  // namespace

Explanation why_waiting(const State& state, JobId job) {
  const State::Data& data = state.data();
  if (const auto at = data.attempts.find(job); at != data.attempts.end())
    return at->second.fence ? Explanation{"running", "The job runs."}
                            : Explanation{"placing", "The job is being placed."};
  const Waiting* waiting = data.queue.find(job);
  if (!waiting) return {"unknown", "The job is not waiting here."};
  if (data.fleet.sessions().empty())
    return {"no_boxes", "No box is connected. The job starts when one connects that fits it."};

  const Fitting fitting = count_fitting(data, waiting->group->requirement());
  if (fitting.slices == 0) return nothing_fits(data, waiting->job);
  if (fitting.free > 0 && waiting->avoids != BoxId{})
    return {"avoiding_box",
            "An attempt on the box that is free failed, so the job waits for one of the " +
                counted(fitting.slices - fitting.free, "other slice", "other slices") +
                " that fit. It starts when one becomes free, or at the latest after some minutes where it failed."};
  if (fitting.free > 0 && data.fleet.with_compiled(waiting->job.graph))
    return {"compiled_elsewhere",
            "The job waits for a box that has compiled its graph, because that is sooner than "
            "compiling it on a box that is free."};
  return all_busy(data, *waiting, fitting);
}

}  // namespace quarry::scheduler
