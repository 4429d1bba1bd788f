#include "engine/device/interpreter/interpreter.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "engine/device/interpreter/evaluation.h"

namespace quarry::device {
namespace {

using interpreter::Evaluation;

Properties interpreter_properties() {
  Properties properties;
  properties.name = "interpreter";
  properties.backend = "interpreter";
  properties.driver = "interpreter 1";
  properties.memory_bytes =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  properties.max_allocation_bytes = properties.memory_bytes;
  properties.compute_units = 1;
  return properties;
}

class HostBuffer final : public Buffer {
 public:
  explicit HostBuffer(uint64_t bytes) : bytes_(bytes), data_(std::calloc(bytes == 0 ? 1 : bytes, 1), &std::free) {}
  uint64_t bytes() const override { return bytes_; }
  std::byte* data() const { return static_cast<std::byte*>(data_.get()); }

 private:
  uint64_t bytes_;
  std::unique_ptr<void, decltype(&std::free)> data_;
};

Problem bad_range(const char* what) {
  return {"device_error", std::string(what) + ": a range of bytes lies outside its buffer or has the wrong size", "",
          ""};
}

class Interpreter final : public Device {
 public:
  const Properties& properties() const override { return properties_; }

  Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) override {
    auto buffer = bytes <= properties_.max_allocation_bytes ? std::make_shared<HostBuffer>(bytes) : nullptr;
    if (!buffer || !buffer->data())
      return Problem{"out_of_memory", "this host cannot allocate " + std::to_string(bytes) + " bytes", "",
                     "Use a smaller graph or a host with more memory."};
    return std::shared_ptr<Buffer>(std::move(buffer));
  }

  Status copy_in(BufferRange to, std::span<const std::byte> from) override {
    std::byte* target = data(to);
    if (!target || to.bytes != from.size()) return bad_range("copy_in");
    std::copy(from.begin(), from.end(), target);
    return {};
  }

  Status copy_out(std::span<std::byte> to, BufferRange from) override {
    const std::byte* source = data(from);
    if (!source || from.bytes != to.size()) return bad_range("copy_out");
    std::copy_n(source, from.bytes, to.begin());
    return {};
  }

  Status copy(BufferRange to, BufferRange from) override {
    std::byte* target = data(to);
    const std::byte* source = data(from);
    if (!target || !source || to.bytes != from.bytes) return bad_range("copy");
    std::memmove(target, source, from.bytes);
    return {};
  }

  Status zero(BufferRange range) override {
    std::byte* target = data(range);
    if (!target) return bad_range("zero");
    std::memset(target, 0, range.bytes);
    return {};
  }

  Result<std::shared_ptr<Executable>> compile(const lower::Kernel& kernel, uint64_t) override {
    QUARRY_ASSIGN(auto evaluation, Evaluation::plan(kernel));
    return std::shared_ptr<Executable>(std::move(evaluation));
  }

  Status launch(Executable& executable, BufferRange result, std::span<const BufferRange> reads, BufferRange,
                const LaunchScalars& scalars) override {
    const auto& evaluation = static_cast<const Evaluation&>(executable);
    const lower::Kernel& kernel = evaluation.kernel();
    std::byte* target = data_of_node(result, kernel, kernel.result);
    if (!target || reads.size() != kernel.reads.size()) return bad_range("launch");
    std::vector<const std::byte*> arrays;
    bool in_place = false;
    for (size_t i = 0; i < reads.size(); ++i) {
      const std::byte* array = data_of_node(reads[i], kernel, kernel.reads[i]);
      if (!array) return bad_range("launch");
      in_place |= array == target;
      arrays.push_back(array);
    }
    if (!in_place) return evaluation.run(target, arrays, scalars);
    std::vector<std::byte> fresh(result.bytes);  // a row update reads the buffer that it writes
    QUARRY_TRY(evaluation.run(fresh.data(), arrays, scalars));
    std::copy(fresh.begin(), fresh.end(), target);
    return {};
  }

  Status wait() override { return {}; }

 private:
  // nullptr when the range does not lie in its buffer.
  static std::byte* data(BufferRange range) {
    if (!range.buffer || range.offset > range.buffer->bytes() || range.bytes > range.buffer->bytes() - range.offset)
      return nullptr;
    return static_cast<HostBuffer*>(range.buffer)->data() + range.offset;
  }

  static std::byte* data_of_node(BufferRange range, const lower::Kernel& kernel, graph::NodeId node) {
    return range.bytes == meter::value_bytes(kernel.graph->graph, node) ? data(range) : nullptr;
  }

  Properties properties_ = interpreter_properties();
};

}  // namespace

DeviceInfo interpreter_info() {
  return {"interpreter", interpreter_properties()};
}

std::unique_ptr<Device> open_interpreter() {
  return std::make_unique<Interpreter>();
}

}  // namespace quarry::device
