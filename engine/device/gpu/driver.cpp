#include "engine/device/gpu/driver.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <vector>

#include "engine/device/gpu/graph.h"
#include "engine/device/gpu/memory.h"
#include "engine/device/gpu/module.h"

namespace quarry::device::gpu {

namespace {

// From 1 MiB on pinned memory copies at full speed; 4 MiB is how engine/run loads.
constexpr size_t kStagingBytes = size_t{4} << 20;

}  // namespace

Status GpuDriver::check(const char* call, Error error) const {
  return error == 0 ? Status() : Status(problem_of(*library_, call, error));
}

// A context belongs to a thread, and a Driver may be used by one thread after another.
Status GpuDriver::use_context() const {
  return check("setting the context", library_->call.use_context(context_));
}

Result<std::unique_ptr<Driver>> GpuDriver::open(std::shared_ptr<const Library> library, const Vendor& vendor,
                                                int number, Properties properties,
                                                std::unique_ptr<TextCompiler> compiler) {
  std::unique_ptr<GpuDriver> opened(new GpuDriver);
  GpuDriver& driver = *opened;
  const EntryPoints& call = library->call;
  driver.library_ = std::move(library);
  driver.compiler_ = std::move(compiler);
  DeviceNumber device = -1;
  QUARRY_TRY(driver.check("getting the device", call.device_at(&device, number)));
  QUARRY_TRY(driver.check("making a context", call.retain_context(&driver.context_, device)));
  driver.device_ = device;
  QUARRY_TRY(driver.use_context());
  QUARRY_TRY(driver.check("making a stream", call.create_stream(&driver.stream_, kStreamNonBlocking)));
  QUARRY_TRY(driver.make_stagings());
  const auto attribute = [&](int which) {
    int value = 0;
    return call.device_attribute(&value, which, device) == 0 ? static_cast<uint32_t>(value) : 0u;
  };
  codegen::Target target;
  target.dialect = vendor.dialect;
  target.is_gpu = true;
  target.compute_units = std::max(1u, properties.compute_units);
  target.group_size = std::min(256u, attribute(vendor.attributes.items_per_group));
  target.shared_bytes = attribute(vendor.attributes.shared_bytes);
  target.subgroup = attribute(vendor.attributes.subgroup);
  const bool is_hopper = vendor.maker == Maker::Nvidia && attribute(vendor.attributes.capability_major) == 9 &&
                         attribute(vendor.attributes.capability_minor) == 0;
  const bool tiles = is_hopper && call.set_function != nullptr && call.describe_boxes != nullptr;
  driver.capabilities_ = {std::move(properties),        target, driver.compiler_->identity(),
                          can_record(*driver.library_), ".cu",  tiles};
  return std::unique_ptr<Driver>(std::move(opened));
}

Status GpuDriver::make_stagings() {
  for (Staging& staging : stagings_) {
    QUARRY_TRY(check("allocating host memory", library_->call.allocate_host(&staging.memory, kStagingBytes)));
    QUARRY_TRY(check("making an event", library_->call.create_event(&staging.done, kEventDisableTiming)));
  }
  return {};
}

GpuDriver::~GpuDriver() {
  if (device_ < 0) return;
  const EntryPoints& call = library_->call;
  call.use_context(context_);
  if (stream_ != nullptr) call.wait_stream(stream_);
  for (const Staging& staging : stagings_) {
    if (staging.done != nullptr) call.destroy_event(staging.done);
    if (staging.memory != nullptr) call.free_host(staging.memory);
  }
  if (stream_ != nullptr) call.destroy_stream(stream_);
  call.release_context(device_);
}

Result<std::shared_ptr<Buffer>> GpuDriver::allocate(uint64_t bytes) {
  QUARRY_TRY(use_context());
  Address address = 0;
  QUARRY_TRY(check("allocating memory", library_->call.allocate(&address, std::max(bytes, kBufferAlignment))));
  return std::shared_ptr<Buffer>(std::make_shared<GpuBuffer>(library_, context_, address, bytes));
}

Status GpuDriver::copy_in(BufferRange to, std::span<const std::byte> from) {
  QUARRY_TRY(use_context());
  for (size_t done = 0; done < from.size();) {
    Staging& staging = stagings_[next_staging_];
    next_staging_ = (next_staging_ + 1) % kStagings;
    if (staging.in_use) QUARRY_TRY(check("waiting for a copy", library_->call.wait_event(staging.done)));
    staging.in_use = false;
    const size_t bytes = std::min(from.size() - done, kStagingBytes);
    std::memcpy(staging.memory, from.data() + done, bytes);
    QUARRY_TRY(
        check("copying to the device", library_->call.copy_in(address_of(to) + done, staging.memory, bytes, stream_)));
    QUARRY_TRY(check("recording an event", library_->call.record_event(staging.done, stream_)));
    staging.in_use = true;
    done += bytes;
  }
  return {};
}

Status GpuDriver::copy_out(std::span<std::byte> to, BufferRange from) {
  QUARRY_TRY(use_context());
  QUARRY_TRY(
      check("copying from the device", library_->call.copy_out(to.data(), address_of(from), to.size(), stream_)));
  return wait();
}

Status GpuDriver::copy(BufferRange to, BufferRange from) {
  QUARRY_TRY(use_context());
  return check("copying on the device", library_->call.copy(address_of(to), address_of(from), to.bytes, stream_));
}

Status GpuDriver::zero(BufferRange range) {
  QUARRY_TRY(use_context());
  return check("zeroing memory", library_->call.fill(address_of(range), 0, range.bytes, stream_));
}

Result<std::shared_ptr<Module>> GpuDriver::build(const std::string& text) {
  QUARRY_ASSIGN(const std::vector<char> binary, compiler_->compile(text));
  return load(binary);
}

Result<std::shared_ptr<Module>> GpuDriver::load(std::span<const char> binary) {
  QUARRY_TRY(use_context());
  return load_module(library_, context_, binary);
}

Status GpuDriver::launch(Entry& entry, const Groups& groups, std::span<const Argument> arguments) {
  if (groups.count > INT_MAX || groups.first > UINT_MAX)
    return Problem{"device_error", "a launch of " + std::to_string(groups.count) + " groups is too large", "", ""};
  QUARRY_TRY(use_context());
  const Function function = static_cast<const GpuEntry&>(entry).function();
  QUARRY_TRY(allow_shared(*library_, function, groups.shared_bytes));
  LaunchValues values(arguments, groups);
  return check("launching a kernel",
               library_->call.launch(function, static_cast<unsigned>(groups.count), 1, 1, groups.items, 1, 1,
                                     groups.shared_bytes, stream_, values.pointers(), nullptr));
}

Result<BoxDescription> GpuDriver::describe(const BoxView& view) {
  QUARRY_TRY(use_context());
  // The names and numbers of cuda.h's enumerations.
  const int dtype = view.dtype == graph::DType::F16 ? 6 : view.dtype == graph::DType::BF16 ? 9 : 7;
  const int swizzle = view.swizzle_bytes == 128 ? 3 : view.swizzle_bytes == 64 ? 2 : 0;
  constexpr int kNoInterleave = 0, kPromoteTo256Bytes = 3, kZerosOutside = 0;
  const std::vector<unsigned> ones(view.extents.size(), 1);
  alignas(64) BoxDescription description{};
  const Address address = address_of(view.array) + view.offset;
  QUARRY_TRY(check("describing a view",
                   library_->call.describe_boxes(description.data(), dtype, static_cast<unsigned>(view.extents.size()),
                                                 reinterpret_cast<void*>(address), view.extents.data(),
                                                 view.strides.data(), view.box.data(), ones.data(), kNoInterleave,
                                                 swizzle, kPromoteTo256Bytes, kZerosOutside)));
  return description;
}

Result<std::shared_ptr<RecordedCalls>> GpuDriver::record(std::span<const BoundCall> calls) {
  QUARRY_TRY(use_context());
  return make_graph(library_, context_, stream_, calls);
}

Status GpuDriver::replay(RecordedCalls& calls) {
  QUARRY_TRY(use_context());
  return check("launching a recorded step", library_->call.launch_graph(graph_of(calls), stream_));
}

Status GpuDriver::wait() {
  QUARRY_TRY(use_context());
  return check("waiting for the device", library_->call.wait_stream(stream_));
}

}  // namespace quarry::device::gpu
