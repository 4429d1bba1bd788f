// The driver of one CUDA or HIP device: its primary context, one stream, and host memory through which bytes come in.
#pragma once

#include <array>
#include <memory>

#include "engine/device/device.h"
#include "engine/device/driver.h"
#include "engine/device/gpu/compilers.h"
#include "engine/device/gpu/vendor.h"

namespace quarry::device::gpu {

class GpuDriver final : public Driver {
 public:
  /// `number` counts the library's devices. `architecture` is "sm_90a" or "gfx1100".
  static Result<std::unique_ptr<Driver>> open(std::shared_ptr<const Library> library, const Vendor& vendor, int number,
                                              Properties properties, std::unique_ptr<TextCompiler> compiler);
  ~GpuDriver() override;

  const Capabilities& capabilities() const override { return capabilities_; }
  Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) override;
  Status copy_in(BufferRange to, std::span<const std::byte> from) override;
  Status copy_out(std::span<std::byte> to, BufferRange from) override;
  Status copy(BufferRange to, BufferRange from) override;
  Status zero(BufferRange range) override;
  Result<std::shared_ptr<Module>> build(const std::string& text) override;
  Result<std::shared_ptr<Module>> load(std::span<const char> binary) override;
  Status launch(Entry& entry, const Groups& groups, std::span<const Argument> arguments) override;
  Status wait() override;
  Result<BoxDescription> describe(const BoxView& view) override;
  Result<std::shared_ptr<RecordedCalls>> record(std::span<const BoundCall> calls) override;
  Status replay(RecordedCalls& calls) override;

 private:
  /// Pinned host memory: pieces of what copy_in() got are on their way from here.
  struct Staging {
    void* memory = nullptr;
    Event done = nullptr;
    bool in_use = false;
  };
  static constexpr size_t kStagings = 8;

  GpuDriver() = default;
  Status check(const char* call, Error error) const;
  Status use_context() const;
  Status make_stagings();

  std::shared_ptr<const Library> library_;
  DeviceNumber device_ = -1;
  Context context_ = nullptr;
  Stream stream_ = nullptr;
  Capabilities capabilities_;
  std::unique_ptr<TextCompiler> compiler_;
  std::array<Staging, kStagings> stagings_;
  size_t next_staging_ = 0;
};

}  // namespace quarry::device::gpu
