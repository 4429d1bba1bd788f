// How a device is named: by its backend, by its number there, or by a part of its name.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"

namespace quarry::device {

/// The place in `devices`, all of one backend, of what `selector` names: "cuda" (the first), "cuda:1", "cuda:h200".
/// "unknown_device"; `none` is the advice where there are no devices.
Result<size_t> select_device(const std::vector<DeviceInfo>& devices, std::string_view selector, const char* none);

/// "0000:3b:00.0", as Linux writes it.
std::string pci_address(unsigned domain, unsigned bus, unsigned device, unsigned function);

}  // namespace quarry::device
