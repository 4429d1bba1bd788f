// Loaded code of a CUDA or HIP device.
#pragma once

#include <memory>
#include <span>

#include "engine/device/driver.h"
#include "engine/device/gpu/vendor.h"

namespace quarry::device::gpu {

class GpuEntry final : public Entry {
 public:
  GpuEntry(std::shared_ptr<Module> module, Function function) : module_(std::move(module)), function_(function) {}
  Function function() const { return function_; }

 private:
  std::shared_ptr<Module> module_;  // unloading it takes the function away
  Function function_;
};

/// PTX, a cubin or a code object. "compile_failed" carries the log of the driver's assembler. The context is current.
Result<std::shared_ptr<Module>> load_module(std::shared_ptr<const Library> library, Context context,
                                            std::span<const char> binary);

}  // namespace quarry::device::gpu
