#include "engine/device/opencl/opencl_device.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

#include "engine/lower/lower.h"

namespace quarry::device::opencl {

namespace {

constexpr uint64_t kMostStagedBytes = uint64_t{64} << 20;  // copies under way whose source may already be reused
constexpr uint32_t kLaunchesPerFlush = 16;
// One fill of 32 GiB never ends on an H200 (driver 580); in pieces it takes 10 ms.
constexpr uint64_t kMostFilledBytes = uint64_t{256} << 20;
constexpr size_t kMostCompiled = 4096;
// A launch is kept under 250 ms: what one compute unit surely does in that time, by the estimate of
// codegen::Entry::flops.
constexpr double kProcessorFlopsPerLaunchAndUnit = 1e9, kGpuFlopsPerLaunchAndUnit = 5e9;

cl_mem memory_of(const BufferRange& range) {
  return static_cast<OpenClBuffer*>(range.buffer)->memory();
}

cl_device_id cut_new(cl_device_id device, uint32_t first, uint32_t count) {
  std::vector<cl_device_partition_property> counts{CL_DEVICE_PARTITION_BY_COUNTS};
  if (first > 0) counts.push_back(first);
  counts.push_back(count);
  counts.insert(counts.end(), {CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0});
  std::vector<cl_device_id> parts(first > 0 ? 2 : 1);
  cl_uint made = 0;
  if (clCreateSubDevices(device, counts.data(), static_cast<cl_uint>(parts.size()), parts.data(), &made) != CL_SUCCESS)
    return nullptr;
  for (size_t i = 0; i + 1 < parts.size(); ++i) clReleaseDevice(parts[i]);
  return parts.back();
}

// The slice's units as a sub-device; null where it is the whole device, or the driver cannot cut it. Cut once in a
// process and never released, at its end neither: PoCL 3.1 frees a sub-device while a thread of its own lets go of the
// last event there.
cl_device_id cut(cl_device_id device, uint32_t first, uint32_t count, uint32_t total) {
  if (count == 0 || first + count > total || count == total) return nullptr;
  static std::mutex mutex;
  static auto& slices = *new std::map<std::tuple<cl_device_id, uint32_t, uint32_t>, cl_device_id>;
  const std::lock_guard lock(mutex);
  cl_device_id& slice = slices[{device, first, count}];
  if (slice == nullptr) slice = cut_new(device, first, count);
  return slice;
}

codegen::Target target_of(cl_device_id device, const Properties& properties) {
  codegen::Target target;
  target.is_gpu = properties.is_gpu;
  target.compute_units = std::max(1u, properties.compute_units);
  target.group_size =
      static_cast<uint32_t>(std::min<size_t>(256, device_value<size_t>(device, CL_DEVICE_MAX_WORK_GROUP_SIZE)));
  target.native_lanes =
      std::clamp(static_cast<int>(device_value<cl_uint>(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT)), 4, 16);
  target.has_f64 = device_value<cl_device_fp_config>(device, CL_DEVICE_DOUBLE_FP_CONFIG) != 0;
  return target;
}

}  // namespace

Result<std::unique_ptr<Device>> OpenClDevice::open(cl_device_id whole, Properties properties,
                                                   const OpenOptions& options) {
  std::unique_ptr<OpenClDevice> opened(new OpenClDevice);
  const cl_device_id slice = cut(whole, options.first_compute_unit, options.compute_units, properties.compute_units);
  const cl_device_id device = slice != nullptr ? slice : whole;
  if (slice != nullptr) properties.compute_units = options.compute_units;
  opened->properties_ = properties;
  opened->target_ = target_of(device, properties);
  cl_int error = CL_SUCCESS;
  opened->context_ = Context(clCreateContext(nullptr, 1, &device, nullptr, nullptr, &error));
  QUARRY_TRY(check("clCreateContext", error));
  opened->queue_ = Queue(clCreateCommandQueue(opened->context_.get(), device, 0, &error));
  QUARRY_TRY(check("clCreateCommandQueue", error));
  const std::string identity =
      properties.driver + "\n" + properties.name + "\n" + std::to_string(properties.compute_units);
  opened->compiler_ = std::make_unique<Compiler>(opened->context_.get(), device, identity, options.cache_directory,
                                                 properties.is_gpu ? KeepBinaries::Yes : KeepBinaries::No);
  return std::unique_ptr<Device>(std::move(opened));
}

OpenClDevice::~OpenClDevice() {
  if (queue_.get() != nullptr) clFinish(queue_.get());
}

Result<std::shared_ptr<Buffer>> OpenClDevice::allocate(uint64_t bytes) {
  const uint64_t asked = std::max(bytes, kBufferAlignment);
  if (asked > properties_.max_allocation_bytes) {
    return Problem{"out_of_memory",
                   "an allocation of " + std::to_string(bytes) + " bytes is over this device's limit of " +
                       std::to_string(properties_.max_allocation_bytes),
                   "", ""};
  }
  cl_int error = CL_SUCCESS;
  Memory memory(clCreateBuffer(context_.get(), CL_MEM_READ_WRITE, asked, nullptr, &error));
  QUARRY_TRY(check("clCreateBuffer", error));
  return std::shared_ptr<Buffer>(std::make_shared<OpenClBuffer>(std::move(memory), bytes));
}

void OpenClDevice::forget_finished_copies() {
  while (!copies_.empty()) {
    cl_int status = CL_COMPLETE;
    clGetEventInfo(copies_.front().done.get(), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, nullptr);
    if (status > CL_COMPLETE) return;
    copied_bytes_ -= copies_.front().bytes.size();
    copies_.pop_front();
  }
}

Status OpenClDevice::copy_in(BufferRange to, std::span<const std::byte> from) {
  if (from.empty()) return {};
  forget_finished_copies();
  if (copied_bytes_ + from.size() > kMostStagedBytes) {
    return check("clEnqueueWriteBuffer", clEnqueueWriteBuffer(queue_.get(), memory_of(to), CL_TRUE, to.offset,
                                                              from.size(), from.data(), 0, nullptr, nullptr));
  }
  CopyUnderWay copy{.bytes = {from.begin(), from.end()}, .done = {}};
  cl_event done = nullptr;
  QUARRY_TRY(check("clEnqueueWriteBuffer", clEnqueueWriteBuffer(queue_.get(), memory_of(to), CL_FALSE, to.offset,
                                                                from.size(), copy.bytes.data(), 0, nullptr, &done)));
  copy.done = Event(done);
  copied_bytes_ += from.size();
  copies_.push_back(std::move(copy));
  return {};
}

Status OpenClDevice::copy_out(std::span<std::byte> to, BufferRange from) {
  if (to.empty()) return {};
  return check("clEnqueueReadBuffer", clEnqueueReadBuffer(queue_.get(), memory_of(from), CL_TRUE, from.offset,
                                                          to.size(), to.data(), 0, nullptr, nullptr));
}

Status OpenClDevice::copy(BufferRange to, BufferRange from) {
  if (to.bytes == 0) return {};
  return check("clEnqueueCopyBuffer", clEnqueueCopyBuffer(queue_.get(), memory_of(from), memory_of(to), from.offset,
                                                          to.offset, to.bytes, 0, nullptr, nullptr));
}

Status OpenClDevice::zero(BufferRange range) {
  if (range.bytes == 0) return {};
  static constexpr unsigned char kZeros[16] = {};
  const size_t pattern = range.bytes % sizeof kZeros == 0 ? sizeof kZeros : 1;
  for (uint64_t done = 0; done < range.bytes; done += kMostFilledBytes) {
    const size_t bytes = std::min(range.bytes - done, kMostFilledBytes);
    QUARRY_TRY(check("clEnqueueFillBuffer", clEnqueueFillBuffer(queue_.get(), memory_of(range), kZeros, pattern,
                                                                range.offset + done, bytes, 0, nullptr, nullptr)));
  }
  return {};
}

Result<std::shared_ptr<Executable>> OpenClDevice::compile(const lower::Kernel& kernel, uint64_t most_scratch_bytes) {
  const CompiledKey key{kernel.graph->id, kernel.result, kernel.row_update.has_value(), most_scratch_bytes};
  if (auto found = compiled_.find(key); found != compiled_.end()) return std::shared_ptr<Executable>(found->second);
  const lower::LoopNest nest = lower::lower_kernel(kernel);
  codegen::Target target = target_;
  target.most_scratch_bytes = most_scratch_bytes;
  const codegen::Program program = codegen::generate(nest, target);
  auto executable = std::make_shared<OpenClExecutable>();
  executable->result_element_bytes = graph::byte_size(nest.result);
  for (const lower::Read& read : nest.reads) executable->read_element_bytes.push_back(graph::byte_size(read.dtype));
  if (!program.entries.empty()) {
    executable->scratch = program.scratch_bytes;
    executable->scratch_element_bytes = graph::byte_size(nest.accumulator);
    QUARRY_ASSIGN(executable->program, compiler_->compile(program.source));
    for (const codegen::Entry& shape : program.entries) {
      cl_int error = CL_SUCCESS;
      KernelHandle handle(clCreateKernel(executable->program->get(), shape.name.c_str(), &error));
      QUARRY_TRY(check("clCreateKernel", error));
      executable->entries.push_back({shape, std::move(handle), {}});
    }
  }
  if (compiled_.size() >= kMostCompiled) compiled_.clear();
  compiled_.emplace(key, executable);
  return std::shared_ptr<Executable>(std::move(executable));
}

namespace {

// Sets arguments one after the other, skipping those that already have the value.
class Arguments {
 public:
  explicit Arguments(OpenClExecutable::Entry& entry) : entry_(entry) {}
  template <class T>
  void add(const T& value) {
    uint64_t bits = 0;
    static_assert(sizeof value <= sizeof bits);
    std::memcpy(&bits, &value, sizeof value);
    const size_t place = next_++;
    if (place < entry_.set.size() && entry_.set[place] == bits) return;
    const cl_int error = clSetKernelArg(entry_.kernel.get(), static_cast<cl_uint>(place), sizeof value, &value);
    if (error != CL_SUCCESS && error_ == CL_SUCCESS) error_ = error;
    if (place == entry_.set.size()) entry_.set.push_back(bits);
    entry_.set[place] = bits;
  }
  cl_int error() const { return error_; }

 private:
  OpenClExecutable::Entry& entry_;
  size_t next_ = 0;
  cl_int error_ = CL_SUCCESS;
};

}  // namespace

Status OpenClDevice::launch(Executable& kernel, BufferRange result, std::span<const BufferRange> reads,
                            BufferRange scratch, const LaunchScalars& scalars) {
  auto& executable = static_cast<OpenClExecutable&>(kernel);
  assert(reads.size() == executable.read_element_bytes.size());
  for (OpenClExecutable::Entry& entry : executable.entries) {
    QUARRY_TRY(launch_entry(executable, entry, result, reads, scratch, scalars));
  }
  return {};
}

Status OpenClDevice::launch_entry(OpenClExecutable& executable, OpenClExecutable::Entry& entry,
                                  const BufferRange& result, std::span<const BufferRange> reads,
                                  const BufferRange& scratch, const LaunchScalars& scalars) {
  Arguments arguments(entry);
  const auto add_buffer = [&](cl_mem memory, uint64_t offset, int64_t element_bytes) {
    arguments.add(memory);
    arguments.add(static_cast<cl_long>(offset / static_cast<uint64_t>(element_bytes)));
  };
  if (entry.shape.writes_scratch) {
    add_buffer(memory_of(scratch), scratch.offset, executable.scratch_element_bytes);
  } else {
    add_buffer(memory_of(result), result.offset, executable.result_element_bytes);
  }
  if (entry.shape.reads_scratch) {
    add_buffer(memory_of(scratch), scratch.offset, executable.scratch_element_bytes);
  } else {
    for (size_t i = 0; i < reads.size(); ++i)
      add_buffer(memory_of(reads[i]), reads[i].offset, executable.read_element_bytes[i]);
  }
  if (entry.shape.reads_step) arguments.add(static_cast<cl_int>(scalars.step));
  if (entry.shape.reads_seed) arguments.add(static_cast<cl_ulong>(scalars.seed));
  QUARRY_TRY(check("clSetKernelArg", arguments.error()));
  return enqueue(entry);
}

// Launches that would take long are cut by work-items: a cancel acts between them, and no watchdog ends them.
Status OpenClDevice::enqueue(const OpenClExecutable::Entry& entry) {
  const double per_launch =
      (properties_.is_gpu ? kGpuFlopsPerLaunchAndUnit : kProcessorFlopsPerLaunchAndUnit) * target_.compute_units;
  const size_t local = entry.shape.local;
  const size_t groups = entry.shape.work_items / local;
  // A processor's work-items are few and long: a piece must still keep every unit busy.
  const size_t most = properties_.is_gpu ? groups : std::max<size_t>(1, groups / (4 * size_t{target_.compute_units}));
  const size_t pieces = std::clamp<size_t>(static_cast<size_t>(std::min(entry.shape.flops / per_launch, 1e9)), 1, most);
  const size_t share = (groups + pieces - 1) / pieces;
  for (size_t first = 0; first < groups; first += share) {
    const size_t offset = first * local, items = std::min(share, groups - first) * local;
    QUARRY_TRY(check("clEnqueueNDRangeKernel", clEnqueueNDRangeKernel(queue_.get(), entry.kernel.get(), 1, &offset,
                                                                      &items, &local, 0, nullptr, nullptr)));
  }
  if (++unflushed_ < kLaunchesPerFlush) return {};
  unflushed_ = 0;
  return check("clFlush", clFlush(queue_.get()));
}

Status OpenClDevice::wait() {
  unflushed_ = 0;
  QUARRY_TRY(check("clFinish", clFinish(queue_.get())));
  forget_finished_copies();
  return {};
}

}  // namespace quarry::device::opencl
