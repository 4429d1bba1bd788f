// A device of which no allocation may be larger than so many bytes, as some OpenCL drivers give a quarter of a card's
// memory to one. Everything else is the device's that it stands before.
#pragma once

#include "engine/device/device.h"

namespace quarry::test {

class SmallAllocations final : public device::Device {
 public:
  SmallAllocations(device::Device& device, uint64_t most_bytes) : device_(device), properties_(device.properties()) {
    properties_.max_allocation_bytes = most_bytes;
  }
  const device::Properties& properties() const override { return properties_; }
  Result<std::shared_ptr<device::Buffer>> allocate(uint64_t bytes) override {
    if (bytes > properties_.max_allocation_bytes) return Problem{"out_of_memory", "an allocation too large", "", ""};
    ++allocations_;
    return device_.allocate(bytes);
  }
  Status copy_in(device::BufferRange to, std::span<const std::byte> from) override { return device_.copy_in(to, from); }
  Status copy_out(std::span<std::byte> to, device::BufferRange from) override { return device_.copy_out(to, from); }
  Status copy(device::BufferRange to, device::BufferRange from) override { return device_.copy(to, from); }
  Status zero(device::BufferRange range) override { return device_.zero(range); }
  Result<std::shared_ptr<device::Executable>> compile(const lower::Kernel& kernel, uint64_t most_scratch) override {
    return device_.compile(kernel, most_scratch);
  }
  Status launch(device::Executable& kernel, device::BufferRange result, std::span<const device::BufferRange> reads,
                device::BufferRange scratch, const device::LaunchScalars& scalars) override {
    return device_.launch(kernel, result, reads, scratch, scalars);
  }
  Status wait() override { return device_.wait(); }

  int allocations() const { return allocations_; }

 private:
  device::Device& device_;
  device::Properties properties_;
  int allocations_ = 0;
};

}  // namespace quarry::test
