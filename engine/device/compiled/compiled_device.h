// A device over a driver. What every vendor's device does alike is here: kernels are lowered, scheduled and written as
// text, the text is compiled through a cache on disk, and a kernel's launches get their arguments and are kept short.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "engine/device/compiled/executable.h"
#include "engine/device/compiled/module_cache.h"
#include "engine/device/compiled/recorder.h"
#include "engine/device/device.h"
#include "engine/device/driver.h"

namespace quarry::device {

class CompiledDevice final : public Device {
 public:
  /// `cache_directory` may be empty: nothing is kept on disk.
  CompiledDevice(std::unique_ptr<Driver> driver, std::string cache_directory);

  const Properties& properties() const override { return driver_->capabilities().properties; }
  Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) override;
  Status copy_in(BufferRange to, std::span<const std::byte> from) override;
  Status copy_out(std::span<std::byte> to, BufferRange from) override;
  Status copy(BufferRange to, BufferRange from) override;
  Status zero(BufferRange range) override;
  /// Where a template computes it.
  bool takes_rounded_sum(const lower::Kernel& kernel) const override;
  Result<std::shared_ptr<Executable>> compile(const lower::Kernel& kernel, uint64_t most_scratch_bytes) override;
  Status launch(Executable& kernel, BufferRange result, std::span<const BufferRange> reads, BufferRange scratch,
                const LaunchScalars& scalars) override;
  Status wait() override;
  Status set_counters(const StepCounters& counters) override;
  Result<std::shared_ptr<Recording>> record(BoundStep step) override;
  Status replay(Recording& recording, size_t part) override;

 private:
  using CompiledKey =
      std::tuple<Digest, graph::NodeId, bool, bool, uint64_t>;  ///< graph, result, in place, rounded, most scratch

  /// Fill the executable with its launches. On failure its name tells where the text is kept.
  Status by_template(CompiledExecutable& executable);
  Status by_loops(const lower::LoopNest& nest, uint64_t most_scratch_bytes, CompiledExecutable& executable);
  Status write_counters(const StepCounters& counters);

  std::unique_ptr<Driver> driver_;
  ModuleCache modules_;
  std::shared_ptr<Buffer> counters_;     // a StepCounters; made when it is needed first
  std::optional<StepCounters> written_;  // what it holds; none: a replay counts it on
  std::unique_ptr<Recorder> recorder_;   // of a driver that records
  std::map<CompiledKey, std::shared_ptr<CompiledExecutable>> compiled_;
  std::string last_launched_;  ///< its name
};

}  // namespace quarry::device
