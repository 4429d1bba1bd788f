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

/// What a single launch reads of a step.
struct LaunchScalars {
  int32_t step = 0;
  uint64_t seed = 0;
};

/// A launch with its buffers. They must live as long as what it is recorded in.
struct BoundLaunch {
  std::shared_ptr<Executable> executable;
  BufferRange result;
  std::vector<BufferRange> reads;
};

/// A copy on the device whose places may depend on the step: row `step mod rows` of the source, and row `slot` of the
/// target. Strides are multiples of 4 bytes.
struct BoundCopy {
  BufferRange to, from;  ///< row 0 of each, as many bytes
  uint64_t to_stride = 0, from_stride = 0;
  int64_t rows = 1;
};

/// All that a step does.
struct BoundStep {
  std::vector<BoundCopy> before;
  std::vector<BoundLaunch> launches;
  BufferRange scratch;  ///< of all of them
  std::vector<BoundCopy> after;
};

/// A step that a device can repeat without being told its parts again. Cut into parts of about a tenth of a second at
/// most, between which a run can be stopped.
class Recording {
 public:
  virtual ~Recording() = default;
  /// How many of the step's launches are done with the end of each part; at least one part.
  const std::vector<int64_t>& parts() const { return parts_; }

 protected:
  std::vector<int64_t> parts_;
};

/// What a recorded step reads of its number: the same recording serves every step.
struct StepCounters {
  int32_t step = 0;
  int32_t slot = 0;  ///< of the rings in which kept values are gathered
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
  /// Whether the device is better off with this kernel, which computes a rounded sum, than with a kernel for each of
  /// its two values (lower::fuse_casts).
  virtual bool takes_rounded_sum(const lower::Kernel&) const { return false; }
  /// `most_scratch_bytes` bounds the executable's scratch_bytes(): a job's memory bound holds all that it needs.
  virtual Result<std::shared_ptr<Executable>> compile(const lower::Kernel& kernel, uint64_t most_scratch_bytes) = 0;
  /// `reads` are in the order of Kernel::reads. `result` may be one of them only for a row update. `scratch` has at
  /// least the kernel's scratch_bytes(); what lies there means nothing before or after.
  virtual Status launch(Executable& kernel, BufferRange result, std::span<const BufferRange> reads, BufferRange scratch,
                        const LaunchScalars& scalars) = 0;
  virtual Status wait() = 0;

  /// The counters of the next replay. Each replay of a last part counts step and slot on; a launch() leaves them open.
  virtual Status set_counters(const StepCounters& counters);
  /// By default a recording is a list, and replay launches it one by one.
  virtual Result<std::shared_ptr<Recording>> record(BoundStep step);
  /// Queues one part; the parts of a step must be replayed in order.
  virtual Status replay(Recording& recording, size_t part);

 private:
  StepCounters counters_;
};

/// A device of this machine. `selector`: "interpreter", "opencl:0", "cuda:0".
struct DeviceInfo {
  std::string selector;
  Properties properties;
  std::string left_out;  ///< why it is not offered; empty: it is
};
/// What is offered here: one entry a card, the best backend's.
std::vector<DeviceInfo> list_devices();
/// These and what is left out: a driver that is missing, broken or too old, and a card that another backend offers.
std::vector<DeviceInfo> survey_devices();
/// Leaves out what is the same card as an earlier device that is offered. For survey_devices().
void leave_out_twins(std::vector<DeviceInfo>& devices);

struct OpenOptions {
  std::string cache_directory;                         ///< binaries and their source; empty: no cache on disk
  uint32_t first_compute_unit = 0, compute_units = 0;  ///< a slice (OpenCL sub-device); 0 units: the whole device
};
/// `selector` may also be "best" (the first that is offered), "opencl" (the first of that backend) or
/// "opencl:name-part".
Result<std::unique_ptr<Device>> open_device(std::string_view selector, const OpenOptions& options);

}  // namespace quarry::device
