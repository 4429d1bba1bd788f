// The table of backends: what can be opened here, and by which selector.
#include <algorithm>
#include <iterator>

#include "common/text.h"
#include "engine/device/compiled/compiled_device.h"
#include "engine/device/device.h"
#include "engine/device/gpu/gpu.h"
#include "engine/device/interpreter/interpreter.h"
#include "engine/device/opencl/opencl.h"

namespace quarry::device {

namespace {

Result<std::unique_ptr<Device>> over(Result<std::unique_ptr<Driver>> driver, const OpenOptions& options) {
  if (!driver.ok()) return driver.problem();
  return std::unique_ptr<Device>(std::make_unique<CompiledDevice>(std::move(driver).value(), options.cache_directory));
}

}  // namespace

void leave_out_twins(std::vector<DeviceInfo>& devices) {
  for (auto device = devices.begin(); device != devices.end(); ++device) {
    if (device->properties.card.empty() || !device->left_out.empty()) continue;
    const auto twin = std::find_if(devices.begin(), device, [&](const DeviceInfo& other) {
      return other.properties.card == device->properties.card && other.left_out.empty();
    });
    if (twin != device) device->left_out = "it is the card " + twin->selector;
  }
}

std::vector<DeviceInfo> survey_devices() {
  std::vector<DeviceInfo> devices;  // the best backend of a card first
  for (auto& found : {survey_gpus(gpu::cuda()), survey_gpus(gpu::hip()), list_opencl_devices()})
    devices.insert(devices.end(), found.begin(), found.end());
  devices.push_back(interpreter_info());
  leave_out_twins(devices);
  return devices;
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = survey_devices();
  std::erase_if(devices, [](const DeviceInfo& device) { return !device.left_out.empty(); });
  return devices;
}

Result<std::unique_ptr<Device>> open_device(std::string_view selector, const OpenOptions& options) {
  if (selector == "best") return open_device(list_devices().front().selector, options);
  const std::string_view backend = selector.substr(0, selector.find(':'));
  if (backend == "cuda") return over(open_gpu_driver(gpu::cuda(), selector, options), options);
  if (backend == "hip") return over(open_gpu_driver(gpu::hip(), selector, options), options);
  if (backend == "opencl") return over(open_opencl_driver(selector, options), options);
  if (selector == "interpreter") return open_interpreter();
  std::string known;
  for (const DeviceInfo& device : list_devices()) known += (known.empty() ? "" : ", ") + device.selector;
  return Problem{"unknown_device", "no device is called " + quote(selector), "", "Use one of: " + known + "."};
}

}  // namespace quarry::device
