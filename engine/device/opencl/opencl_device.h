// One opened OpenCL device, or a slice of it: context, in-order queue, compiled kernels.
#pragma once

#include <deque>
#include <map>
#include <tuple>
#include <vector>

#include "engine/codegen/codegen.h"
#include "engine/device/device.h"
#include "engine/device/opencl/compiler.h"
#include "engine/device/opencl/handle.h"

namespace quarry::device::opencl {

class OpenClBuffer : public Buffer {
 public:
  OpenClBuffer(Memory memory, uint64_t bytes) : memory_(std::move(memory)), bytes_(bytes) {}
  uint64_t bytes() const override { return bytes_; }
  cl_mem memory() const { return memory_.get(); }

 private:
  Memory memory_;
  uint64_t bytes_;
};

/// The kernels of one stored value. Remembers the arguments that are set, so that a step sets only what changed.
class OpenClExecutable : public Executable {
 public:
  struct Entry {
    codegen::Entry shape;
    KernelHandle kernel;
    std::vector<uint64_t> set;  ///< per argument, the bits last given
  };
  uint64_t scratch_bytes() const override { return scratch; }

  SharedProgram program;
  std::vector<Entry> entries;
  uint64_t scratch = 0;  ///< the parts of a split reduction
  int64_t result_element_bytes = 1, scratch_element_bytes = 1;
  std::vector<int64_t> read_element_bytes;
};

class OpenClDevice : public Device {
 public:
  static Result<std::unique_ptr<Device>> open(cl_device_id device, Properties properties, const OpenOptions& options);
  ~OpenClDevice() override;

  const Properties& properties() const override { return properties_; }
  Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) override;
  Status copy_in(BufferRange to, std::span<const std::byte> from) override;
  Status copy_out(std::span<std::byte> to, BufferRange from) override;
  Status copy(BufferRange to, BufferRange from) override;
  Status zero(BufferRange range) override;
  Result<std::shared_ptr<Executable>> compile(const lower::Kernel& kernel, uint64_t most_scratch_bytes) override;
  Status launch(Executable& kernel, BufferRange result, std::span<const BufferRange> reads, BufferRange scratch,
                const LaunchScalars& scalars) override;
  Status wait() override;

 private:
  OpenClDevice() = default;
  Status launch_entry(OpenClExecutable& executable, OpenClExecutable::Entry& entry, const BufferRange& result,
                      std::span<const BufferRange> reads, const BufferRange& scratch, const LaunchScalars& scalars);
  Status enqueue(const OpenClExecutable::Entry& entry);
  void forget_finished_copies();

  struct CopyUnderWay {
    std::vector<std::byte> bytes;
    Event done;
  };
  using CompiledKey = std::tuple<Digest, graph::NodeId, bool, uint64_t>;  ///< graph, result, in place, most scratch

  Properties properties_;
  Context context_;
  Queue queue_;
  codegen::Target target_;
  std::unique_ptr<Compiler> compiler_;
  std::map<CompiledKey, std::shared_ptr<OpenClExecutable>> compiled_;
  std::deque<CopyUnderWay> copies_;
  uint64_t copied_bytes_ = 0;
  uint32_t unflushed_ = 0;
};

}  // namespace quarry::device::opencl
