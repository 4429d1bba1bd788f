// One opened OpenCL device, or a slice of it: context and in-order queue. No events but for copies whose source may be
// reused.
#pragma once

#include <deque>
#include <vector>

#include "engine/device/device.h"
#include "engine/device/driver.h"
#include "engine/device/opencl/handle.h"
#include "engine/device/opencl/module.h"

namespace quarry::device::opencl {

class OpenClDriver final : public Driver {
 public:
  static Result<std::unique_ptr<Driver>> open(cl_device_id device, Properties properties, const OpenOptions& options,
                                              KeepBinaries keep);
  ~OpenClDriver() override;

  const Capabilities& capabilities() const override { return capabilities_; }
  Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) override;
  Status copy_in(BufferRange to, std::span<const std::byte> from) override;
  Status copy_out(std::span<std::byte> to, BufferRange from) override;
  Status copy(BufferRange to, BufferRange from) override;
  Status zero(BufferRange range) override;
  Result<std::shared_ptr<Module>> build(const std::string& text) override { return compiler_->build(text); }
  Result<std::shared_ptr<Module>> load(std::span<const char> binary) override { return compiler_->load(binary); }
  Status launch(Entry& entry, const Groups& groups, std::span<const Argument> arguments) override;
  Status wait() override;

 private:
  OpenClDriver() = default;
  void forget_finished_copies();

  struct CopyUnderWay {
    std::vector<std::byte> bytes;
    Event done;
  };

  Capabilities capabilities_;
  Context context_;
  Queue queue_;
  std::unique_ptr<Compiler> compiler_;
  std::deque<CopyUnderWay> copies_;
  uint64_t copied_bytes_ = 0;
  uint32_t unflushed_ = 0;
};

}  // namespace quarry::device::opencl
