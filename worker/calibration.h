// The rate card of a device, measured by running five small graphs on it.
#pragma once

#include <functional>

#include "common/clock.h"
#include "engine/device/device.h"
#include "worker/local_protocol.h"

namespace quarry::worker {

/// FLOP/s of a square matrix product in each width, bytes/s of an element-wise sum, and launches/s of one that is too
/// small to take time. A figure that cannot be measured is 0.
/// The f32 FLOP/s and the bytes/s come first; before each of the others `goes_on` is asked.
Calibrated measure_rate_card(device::Device& device, uint64_t memory_bytes, const Clock& clock,
                             const std::function<bool()>& goes_on);

}  // namespace quarry::worker
