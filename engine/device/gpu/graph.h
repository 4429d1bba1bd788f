// Launches as a CUDA graph, built node by node: a step of a job is then one call of the driver. HIP has none here,
// because a node of its graphs costs as much as a launch (3.9 us on gfx1100).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/device/driver.h"
#include "engine/device/gpu/vendor.h"

namespace quarry::device::gpu {

/// The values of a launch's arguments, as drivers take them: a pointer to each. The number of the first group is the
/// last argument of every text in these dialects.
class LaunchValues {
 public:
  LaunchValues(std::span<const Argument> arguments, const Groups& groups);
  LaunchValues(const LaunchValues&) = delete;
  LaunchValues& operator=(const LaunchValues&) = delete;
  void** pointers() { return pointers_.data(); }

 private:
  std::vector<uint64_t> values_;
  std::vector<void*> pointers_;
};

/// Lets a kernel have so much shared memory beyond what its text declares.
Status allow_shared(const Library& library, Function function, uint32_t bytes);

bool can_record(const Library& library);
/// The context is current. The graph is on the device when this returns.
Result<std::shared_ptr<RecordedCalls>> make_graph(std::shared_ptr<const Library> library, Context context,
                                                  Stream stream, std::span<const BoundCall> calls);
FinishedGraph graph_of(const RecordedCalls& calls);

}  // namespace quarry::device::gpu
