// The interpreter device: always there, needs no driver, slow and exact. The oracle that other devices are tested
// against.
#pragma once

#include <memory>

#include "engine/device/device.h"

namespace quarry::device {

DeviceInfo interpreter_info();
std::unique_ptr<Device> open_interpreter();

}  // namespace quarry::device
