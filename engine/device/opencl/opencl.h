// The OpenCL backend: every device of every installable client driver, found through the ICD loader at run time.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "engine/device/device.h"

namespace quarry::device {

/// Empty where there is no loader or no driver.
std::vector<DeviceInfo> list_opencl_devices();
/// `selector`: "opencl" (the first device), "opencl:0", "opencl:name-part".
Result<std::unique_ptr<Device>> open_opencl_device(std::string_view selector, const OpenOptions& options);

}  // namespace quarry::device
