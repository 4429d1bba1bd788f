// Buffers of a CUDA or HIP device.
#pragma once

#include <memory>
#include <utility>

#include "engine/device/gpu/vendor.h"
#include "engine/device/memory.h"

namespace quarry::device::gpu {

class GpuBuffer final : public Buffer {
 public:
  GpuBuffer(std::shared_ptr<const Library> library, Context context, Address address, uint64_t bytes)
      : library_(std::move(library)), context_(context), address_(address), bytes_(bytes) {}
  ~GpuBuffer() override {
    library_->call.use_context(context_);
    library_->call.free(address_);
  }
  GpuBuffer(const GpuBuffer&) = delete;
  GpuBuffer& operator=(const GpuBuffer&) = delete;
  uint64_t bytes() const override { return bytes_; }
  Address address() const { return address_; }

 private:
  std::shared_ptr<const Library> library_;
  Context context_;
  Address address_;
  uint64_t bytes_;
};

inline Address address_of(const BufferRange& range) {
  return static_cast<const GpuBuffer*>(range.buffer)->address() + range.offset;
}

}  // namespace quarry::device::gpu
