// Buffers of an OpenCL device.
#pragma once

#include "engine/device/memory.h"
#include "engine/device/opencl/handle.h"

namespace quarry::device::opencl {

class OpenClBuffer final : public Buffer {
 public:
  OpenClBuffer(Memory memory, uint64_t bytes) : memory_(std::move(memory)), bytes_(bytes) {}
  uint64_t bytes() const override { return bytes_; }
  const cl_mem& memory() const { return memory_.get(); }

 private:
  Memory memory_;
  uint64_t bytes_;
};

inline const cl_mem& memory_of(const Buffer* buffer) {
  return static_cast<const OpenClBuffer*>(buffer)->memory();
}

}  // namespace quarry::device::opencl
