// The table of backends: what can be opened here, and by which selector.
#include "common/text.h"
#include "engine/device/compiled/compiled_device.h"
#include "engine/device/device.h"
#include "engine/device/interpreter/interpreter.h"
#include "engine/device/opencl/opencl.h"

namespace quarry::device {

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = list_opencl_devices();
  devices.push_back(interpreter_info());
  return devices;
}

Result<std::unique_ptr<Device>> open_device(std::string_view selector, const OpenOptions& options) {
  const std::string_view backend = selector.substr(0, selector.find(':'));
  if (backend == "opencl") {
    QUARRY_ASSIGN(auto driver, open_opencl_driver(selector, options));
    return std::unique_ptr<Device>(std::make_unique<CompiledDevice>(std::move(driver), options.cache_directory));
  }
  if (selector == "interpreter") return open_interpreter();
  std::string known;
  for (const DeviceInfo& device : list_devices()) known += (known.empty() ? "" : ", ") + device.selector;
  return Problem{"unknown_device", "no device is called " + quote(selector), "", "Use one of: " + known + "."};
}

}  // namespace quarry::device
