// The opencl backend: any device that the ICD loader finds. PoCL makes a processor one.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"
#include "engine/device/driver.h"

namespace quarry::device {

/// Empty where no platform is installed.
std::vector<DeviceInfo> list_opencl_devices();

/// `selector`: "opencl" (the first device), "opencl:1" (by number), "opencl:name-part".
Result<std::unique_ptr<Driver>> open_opencl_driver(std::string_view selector, const OpenOptions& options);

}  // namespace quarry::device
