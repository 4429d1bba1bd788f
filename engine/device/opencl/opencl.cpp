// Finds OpenCL devices and opens one by its selector.
#include "engine/device/opencl/opencl.h"

#include <algorithm>
#include <cstdlib>

#include "common/text.h"
#include "engine/device/opencl/driver.h"

namespace quarry::device {

namespace {

constexpr uint64_t kDriversShare = 16;  // of a GPU's memory, for contexts, code and other programs: one part in so many

struct Found {
  cl_device_id device;
  DeviceInfo info;
};

Properties properties_of(cl_platform_id platform, cl_device_id device) {
  Properties properties;
  properties.name = opencl::device_text(device, CL_DEVICE_NAME);
  properties.backend = "opencl";
  properties.driver = opencl::platform_text(platform, CL_PLATFORM_NAME) + " " +
                      opencl::platform_text(platform, CL_PLATFORM_VERSION) + ", driver " +
                      opencl::device_text(device, CL_DRIVER_VERSION);
  properties.max_allocation_bytes = opencl::device_value<cl_ulong>(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  properties.is_gpu = (opencl::device_value<cl_device_type>(device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_GPU) != 0;
  const uint64_t all = opencl::device_value<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_SIZE);
  // A processor's memory is everybody's on this machine: one allocation of it is a fair part. A GPU's is ours, but for
  // what the driver and other programs have of it.
  properties.memory_bytes =
      properties.is_gpu ? all - all / kDriversShare : std::min<uint64_t>(all, properties.max_allocation_bytes);
  properties.compute_units = opencl::device_value<cl_uint>(device, CL_DEVICE_MAX_COMPUTE_UNITS);
  return properties;
}

std::vector<Found> find_devices() {
  cl_uint count = 0;
  if (clGetPlatformIDs(0, nullptr, &count) != CL_SUCCESS) return {};
  std::vector<cl_platform_id> platforms(count);
  clGetPlatformIDs(count, platforms.data(), nullptr);
  std::vector<Found> found;
  for (cl_platform_id platform : platforms) {
    cl_uint devices_count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &devices_count) != CL_SUCCESS) continue;
    std::vector<cl_device_id> devices(devices_count);
    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, devices_count, devices.data(), nullptr);
    for (cl_device_id device : devices) {
      found.push_back({device, {"opencl:" + std::to_string(found.size()), properties_of(platform, device)}});
    }
  }
  return found;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

const Found* select(const std::vector<Found>& found, std::string_view which) {
  if (which.empty()) return found.empty() ? nullptr : &found[0];
  if (const auto number = parse_number<size_t>(which)) return *number < found.size() ? &found[*number] : nullptr;
  for (const Found& one : found) {
    if (lower_case(one.info.properties.name).find(lower_case(which)) != std::string::npos) return &one;
  }
  return nullptr;
}

}  // namespace

std::vector<DeviceInfo> list_opencl_devices() {
  std::vector<DeviceInfo> devices;
  for (Found& found : find_devices()) devices.push_back(std::move(found.info));
  return devices;
}

Result<std::unique_ptr<Driver>> open_opencl_driver(std::string_view selector, const OpenOptions& options) {
  // PoCL keeps files of its own, by default under $HOME, which a worker may not have.
  if (!options.cache_directory.empty()) setenv("POCL_CACHE_DIR", (options.cache_directory + "/pocl").c_str(), 0);
  const std::vector<Found> found = find_devices();
  const size_t colon = selector.find(':');
  const std::string_view which = colon == std::string_view::npos ? "" : selector.substr(colon + 1);
  if (const Found* one = select(found, which)) {
    const bool gives_binaries = one->info.properties.is_gpu;
    return opencl::OpenClDriver::open(one->device, one->info.properties, options,
                                      gives_binaries ? opencl::KeepBinaries::Yes : opencl::KeepBinaries::No);
  }
  std::string known;
  for (const Found& one : found)
    known += (known.empty() ? "" : ", ") + one.info.selector + " (" + one.info.properties.name + ")";
  return Problem{
      "unknown_device", "there is no OpenCL device '" + std::string(selector) + "'", "",
      known.empty() ? "Install an OpenCL driver; pocl-opencl-icd serves any processor." : "Use one of: " + known + "."};
}

}  // namespace quarry::device
