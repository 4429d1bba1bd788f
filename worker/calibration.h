// The rate card of a device, measured by running two small graphs on it.
#pragma once

#include "common/clock.h"
#include "engine/device/device.h"
#include "worker/local_protocol.h"

namespace quarry::worker {

/// f32 FLOP/s of a square matrix product, and bytes/s of an element-wise sum. A figure that cannot be measured is 0.
Calibrated measure_rate_card(device::Device& device, uint64_t memory_bytes, const Clock& clock);

}  // namespace quarry::worker
