// A device is: allocate, copy, compile, launch, wait. Everything above this line is shared by all devices.
//
// Threading: one thread at a time per Device. Work is queued in order; copy_in and launch return before they finish,
// copy_out and wait block. Failure: Problems with code "device_error" (the device or driver failed), "out_of_memory",
// "compile_failed".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/device/memory.h"
#include "engine/device/properties.h"
#include "engine/lower/kernel.h"
#include "engine/meter/memory_layout.h"

namespace quarry::device {

static_assert(kBufferAlignment == meter::kBufferAlignment);  // where memory plans place values

/// A compiled kernel, bound to the device that compiled it.
class Executable {
 public:
  virtual ~Executable() = default;
  /// What each launch of it needs beside its result and its reads.
  virtual uint64_t scratch_bytes() const { return 0; }
};

struct LaunchScalars {
  int32_t step = 0;
  uint64_t seed = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const Properties& properties() const = 0;
  virtual Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) = 0;
  virtual Status copy_in(BufferRange to, std::span<const std::byte> from) = 0;  ///< `from` may be reused on return
  virtual Status copy_out(std::span<std::byte> to, BufferRange from) = 0;       ///< blocks
  virtual Status copy(BufferRange to, BufferRange from) = 0;                    ///< on the device
  virtual Status zero(BufferRange range) = 0;
  /// `most_scratch_bytes` bounds the executable's scratch_bytes(): a job's memory bound holds all that it needs.
  virtual Result<std::shared_ptr<Executable>> compile(const lower::Kernel& kernel, uint64_t most_scratch_bytes) = 0;
  /// `reads` are in the order of Kernel::reads. `result` may be one of them only for a row update. `scratch` has at
  /// least the kernel's scratch_bytes(); what lies there means nothing before or after.
  virtual Status launch(Executable& kernel, BufferRange result, std::span<const BufferRange> reads, BufferRange scratch,
                        const LaunchScalars& scalars) = 0;
  virtual Status wait() = 0;
};

/// What can be opened here. `selector`: "interpreter", "opencl", "opencl:0", "opencl:name-part".
struct DeviceInfo {
  std::string selector;
  Properties properties;
};
std::vector<DeviceInfo> list_devices();

struct OpenOptions {
  std::string cache_directory;                         ///< binaries and their source; empty: no cache on disk
  uint32_t first_compute_unit = 0, compute_units = 0;  ///< a slice (OpenCL sub-device); 0 units: the whole device
};
Result<std::unique_ptr<Device>> open_device(std::string_view selector, const OpenOptions& options);

}  // namespace quarry::device
