#include "engine/device/opencl/driver.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

#include "engine/device/opencl/memory.h"
#include "engine/device/opencl/zero.h"

namespace quarry::device::opencl {

namespace {

constexpr uint64_t kMostStagedBytes = uint64_t{64} << 20;  // copies under way whose source may already be reused
constexpr uint32_t kLaunchesPerFlush = 16;

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
  target.shared_bytes =
      static_cast<uint32_t>(std::min<cl_ulong>(UINT32_MAX, device_value<cl_ulong>(device, CL_DEVICE_LOCAL_MEM_SIZE)));
  target.group_size =
      static_cast<uint32_t>(std::min<size_t>(256, device_value<size_t>(device, CL_DEVICE_MAX_WORK_GROUP_SIZE)));
  target.native_lanes =
      std::clamp(static_cast<int>(device_value<cl_uint>(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT)), 4, 16);
  target.has_f64 = device_value<cl_device_fp_config>(device, CL_DEVICE_DOUBLE_FP_CONFIG) != 0;
  return target;
}

}  // namespace

Result<std::unique_ptr<Driver>> OpenClDriver::open(cl_device_id whole, Properties properties,
                                                   const OpenOptions& options, KeepBinaries keep) {
  std::unique_ptr<OpenClDriver> opened(new OpenClDriver);
  const cl_device_id slice = cut(whole, options.first_compute_unit, options.compute_units, properties.compute_units);
  const cl_device_id device = slice != nullptr ? slice : whole;
  if (slice != nullptr) properties.compute_units = options.compute_units;
  cl_int error = CL_SUCCESS;
  opened->context_ = Context(clCreateContext(nullptr, 1, &device, nullptr, nullptr, &error));
  QUARRY_TRY(check("clCreateContext", error));
  opened->queue_ = Queue(clCreateCommandQueue(opened->context_.get(), device, 0, &error));
  QUARRY_TRY(check("clCreateCommandQueue", error));
  opened->compiler_ = std::make_unique<Compiler>(opened->context_.get(), device, keep);
  opened->capabilities_ = {properties, target_of(device, properties), opened->compiler_->flags(), false, ".cl"};
  return std::unique_ptr<Driver>(std::move(opened));
}

OpenClDriver::~OpenClDriver() {
  if (queue_.get() != nullptr) clFinish(queue_.get());
}

Result<std::shared_ptr<Buffer>> OpenClDriver::allocate(uint64_t bytes) {
  cl_int error = CL_SUCCESS;
  Memory memory(clCreateBuffer(context_.get(), CL_MEM_READ_WRITE, std::max(bytes, kBufferAlignment), nullptr, &error));
  QUARRY_TRY(check("clCreateBuffer", error));
  return std::shared_ptr<Buffer>(std::make_shared<OpenClBuffer>(std::move(memory), bytes));
}

void OpenClDriver::forget_finished_copies() {
  while (!copies_.empty()) {
    cl_int status = CL_COMPLETE;
    clGetEventInfo(copies_.front().done.get(), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, nullptr);
    if (status > CL_COMPLETE) return;
    copied_bytes_ -= copies_.front().bytes.size();
    copies_.pop_front();
  }
}

Status OpenClDriver::copy_in(BufferRange to, std::span<const std::byte> from) {
  forget_finished_copies();
  if (copied_bytes_ + from.size() > kMostStagedBytes) {
    return check("clEnqueueWriteBuffer", clEnqueueWriteBuffer(queue_.get(), memory_of(to.buffer), CL_TRUE, to.offset,
                                                              from.size(), from.data(), 0, nullptr, nullptr));
  }
  CopyUnderWay copy{.bytes = {from.begin(), from.end()}, .done = {}};
  cl_event done = nullptr;
  QUARRY_TRY(check("clEnqueueWriteBuffer", clEnqueueWriteBuffer(queue_.get(), memory_of(to.buffer), CL_FALSE, to.offset,
                                                                from.size(), copy.bytes.data(), 0, nullptr, &done)));
  copy.done = Event(done);
  copied_bytes_ += from.size();
  copies_.push_back(std::move(copy));
  return {};
}

Status OpenClDriver::copy_out(std::span<std::byte> to, BufferRange from) {
  return check("clEnqueueReadBuffer", clEnqueueReadBuffer(queue_.get(), memory_of(from.buffer), CL_TRUE, from.offset,
                                                          to.size(), to.data(), 0, nullptr, nullptr));
}

Status OpenClDriver::copy(BufferRange to, BufferRange from) {
  return check("clEnqueueCopyBuffer", clEnqueueCopyBuffer(queue_.get(), memory_of(from.buffer), memory_of(to.buffer),
                                                          from.offset, to.offset, to.bytes, 0, nullptr, nullptr));
}

Status OpenClDriver::zero(BufferRange range) {
  static constexpr unsigned char kZeros[kFillPatternBytes] = {};
  const cl_mem memory = memory_of(range.buffer);
  return zero_range(
      range.offset, range.bytes,
      [&](uint64_t offset, uint64_t bytes) {
        return check("clEnqueueFillBuffer", clEnqueueFillBuffer(queue_.get(), memory, kZeros, sizeof kZeros, offset,
                                                                bytes, 0, nullptr, nullptr));
      },
      [&](uint64_t offset, uint64_t bytes) {
        return check("clEnqueueWriteBuffer",
                     clEnqueueWriteBuffer(queue_.get(), memory, CL_FALSE, offset, bytes, kZeros, 0, nullptr, nullptr));
      });
}

// Every argument is set at each launch: drivers do not keep a buffer that is set, and may give its handle to another.
Status OpenClDriver::launch(Entry& entry, const Groups& groups, std::span<const Argument> arguments) {
  const cl_kernel kernel = static_cast<const OpenClEntry&>(entry).kernel();
  cl_uint place = 0;
  for (const Argument& argument : arguments) {
    const cl_int error = argument.buffer != nullptr
                             ? clSetKernelArg(kernel, place, sizeof(cl_mem), &memory_of(argument.buffer))
                             : clSetKernelArg(kernel, place, argument.bytes, &argument.bits);
    QUARRY_TRY(check("clSetKernelArg", error));
    ++place;
  }
  const size_t local = groups.items, offset = groups.first * local, items = groups.count * local;
  QUARRY_TRY(check("clEnqueueNDRangeKernel",
                   clEnqueueNDRangeKernel(queue_.get(), kernel, 1, &offset, &items, &local, 0, nullptr, nullptr)));
  if (++unflushed_ < kLaunchesPerFlush) return {};
  unflushed_ = 0;
  return check("clFlush", clFlush(queue_.get()));
}

Status OpenClDriver::wait() {
  unflushed_ = 0;
  QUARRY_TRY(check("clFinish", clFinish(queue_.get())));
  forget_finished_copies();
  return {};
}

}  // namespace quarry::device::opencl
