// Finds OpenCL devices and opens one by its selector.
#include "engine/device/opencl/opencl.h"

#include <algorithm>
#include <cstdlib>

#include "engine/device/opencl/driver.h"
#include "engine/device/select.h"

namespace quarry::device {

namespace {

constexpr uint64_t kDriversShare = 16;  // of a GPU's memory, for contexts, code and other programs: one part in so many

struct Found {
  cl_device_id device;
  DeviceInfo info;
};

// What vendors call the PCI address. Each query fails on other vendors' devices.
constexpr cl_device_info kNvidiaBus = 0x4008, kNvidiaSlot = 0x4009, kNvidiaDomain = 0x400A, kAmdTopology = 0x4037;

std::string card_of(cl_device_id device) {
  cl_uint bus = 0, slot = 0, domain = 0;
  if (clGetDeviceInfo(device, kNvidiaBus, sizeof bus, &bus, nullptr) == CL_SUCCESS &&
      clGetDeviceInfo(device, kNvidiaSlot, sizeof slot, &slot, nullptr) == CL_SUCCESS) {
    clGetDeviceInfo(device, kNvidiaDomain, sizeof domain, &domain, nullptr);
    return pci_address(domain, bus, slot >> 3, slot & 7);
  }
  unsigned char topology[24] = {};  // a type (1: PCIe) in four bytes; bus, device and function are the last three
  if (clGetDeviceInfo(device, kAmdTopology, sizeof topology, topology, nullptr) == CL_SUCCESS && topology[0] == 1)
    return pci_address(0, topology[21], topology[22], topology[23]);
  return "";
}

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
  if (properties.is_gpu) properties.card = card_of(device);
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
  std::vector<DeviceInfo> devices;
  for (const Found& one : found) devices.push_back(one.info);
  QUARRY_ASSIGN(const size_t place,
                select_device(devices, selector, "Install an OpenCL driver; pocl-opencl-icd serves any processor."));
  const Properties& properties = devices[place].properties;
  return opencl::OpenClDriver::open(found[place].device, properties, options,
                                    properties.is_gpu ? opencl::KeepBinaries::Yes : opencl::KeepBinaries::No);
}

}  // namespace quarry::device
