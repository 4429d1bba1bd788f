// The memory of a run on its device: the plan's arena, which is several allocations where the device has none as large,
// and the scratch of its launches.
#pragma once

#include <memory>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"
#include "engine/meter/memory_layout.h"

namespace quarry::run {

class Arena {
 public:
  Arena() = default;
  /// `piece_bytes` is the plan's, see meter::lay_out_memory_in_pieces(). "out_of_memory".
  static Result<Arena> allocate(device::Device& device, const meter::MemoryLayout& plan, uint64_t piece_bytes,
                                uint64_t scratch_bytes);

  device::BufferRange range(const meter::Slot& slot) const;
  /// Of all launches: they run one after the other.
  device::BufferRange scratch() const { return {scratch_.get(), 0, scratch_ ? scratch_->bytes() : 0}; }
  Status zero(device::Device& device) const;
  uint64_t bytes() const;

 private:
  uint64_t piece_bytes_ = 0;
  std::vector<std::shared_ptr<device::Buffer>> pieces_;
  std::shared_ptr<device::Buffer> scratch_;
};

}  // namespace quarry::run
