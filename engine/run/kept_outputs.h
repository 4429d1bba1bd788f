// Outputs of which every step's value is kept. They are gathered on the device, in rings that use what memory the plan
// left over, and fetched when a ring is full or the host waits anyway: keeping a loss costs no wait per step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"

namespace quarry::run {

class KeptOutputs {
 public:
  /// Allocates rings for outputs of these sizes in at most `spare_bytes` of device memory; with less than a slot,
  /// values are fetched one by one.
  static Result<KeptOutputs> make(device::Device& device, const std::map<std::string, uint64_t>& value_bytes,
                                  uint64_t spare_bytes);

  /// Makes room for the values of this many more steps, so that nothing is allocated while they run. "out_of_memory".
  Status reserve(int64_t steps);
  /// What a step does to keep an output that lies in `from`: a copy to the slot of its counters. None where there is no
  /// room for rings.
  std::optional<device::BoundCopy> copy(const std::string& output, device::BufferRange from) const;
  /// Fetches an output that no step copies, once everything queued before has run.
  Status fetch(const std::string& output, device::BufferRange from);
  /// A step has been queued, which has filled a slot. True when the rings are full: then flush().
  bool step_ends() { return slots_ > 0 && ++used_ == slots_; }
  /// Fetches what is still on the device; the next slot is then 0. Blocks.
  Status flush();
  /// All values kept so far, one after the other; nullptr for an output that is not kept so. After flush().
  const std::vector<std::byte>* values(const std::string& output) const;
  /// Forgets all values, here and on the device.
  Status clear();
  uint64_t ring_bytes() const { return ring_bytes_; }

 private:
  struct Kept {
    uint64_t bytes = 0;       // of one value
    uint64_t slot_bytes = 0;  // the same, aligned
    uint64_t offset = 0;      // of the ring
    std::vector<std::byte> values;
  };
  Status flush(Kept& kept);

  device::Device* device_ = nullptr;
  std::shared_ptr<device::Buffer> rings_;
  std::map<std::string, Kept> kept_;
  std::vector<std::byte> staging_;
  uint64_t ring_bytes_ = 0;
  uint64_t slots_ = 0, used_ = 0;  // of each ring
};

}  // namespace quarry::run
