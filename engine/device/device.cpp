// Recorded steps as a list of launches: what serves each device that has nothing better.
#include "engine/device/device.h"

namespace quarry::device {

namespace {

class Listed final : public Recording {
 public:
  explicit Listed(BoundStep bound) : step(std::move(bound)) {
    const auto launches = static_cast<int64_t>(step.launches.size());
    for (int64_t done = 1; done <= launches; ++done) parts_.push_back(done);
    if (parts_.empty()) parts_.push_back(0);
  }
  BoundStep step;
};

Status copy_rows(Device& device, const std::vector<BoundCopy>& copies, const StepCounters& counters) {
  for (const BoundCopy& copy : copies) {
    BufferRange to = copy.to, from = copy.from;
    to.offset += copy.to_stride * static_cast<uint64_t>(counters.slot);
    from.offset += copy.from_stride * static_cast<uint64_t>(counters.step % copy.rows);
    QUARRY_TRY(device.copy(to, from));
  }
  return {};
}

}  // namespace

Status Device::set_counters(const StepCounters& counters) {
  counters_ = counters;
  return {};
}

Result<std::shared_ptr<Recording>> Device::record(BoundStep step) {
  return std::shared_ptr<Recording>(std::make_shared<Listed>(std::move(step)));
}

Status Device::replay(Recording& recording, size_t part) {
  const BoundStep& step = static_cast<const Listed&>(recording).step;
  if (part == 0) QUARRY_TRY(copy_rows(*this, step.before, counters_));
  if (part < step.launches.size()) {
    const BoundLaunch& bound = step.launches[part];
    QUARRY_TRY(launch(*bound.executable, bound.result, bound.reads, step.scratch, {counters_.step, counters_.seed}));
  }
  if (part + 1 < recording.parts().size()) return {};
  QUARRY_TRY(copy_rows(*this, step.after, counters_));
  ++counters_.step;
  ++counters_.slot;
  return {};
}

}  // namespace quarry::device
