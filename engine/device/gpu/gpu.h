// The cuda and hip backends: what their libraries find here, and opening one of it.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"
#include "engine/device/driver.h"
#include "engine/device/gpu/vendor.h"

namespace quarry::device {

/// Every device of the vendor's library, also those that are left out; one entry without a number says why there is
/// none.
std::vector<DeviceInfo> survey_gpus(const gpu::Vendor& vendor);

/// `selector`: "cuda" (the first device), "cuda:1", "cuda:name-part". A slice is the whole card: neither vendor's
/// driver cuts one here.
Result<std::unique_ptr<Driver>> open_gpu_driver(const gpu::Vendor& vendor, std::string_view selector,
                                                const OpenOptions& options);

}  // namespace quarry::device
