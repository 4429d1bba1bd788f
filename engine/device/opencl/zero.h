// How a range of an OpenCL buffer is zeroed.
#pragma once

#include <cstdint>
#include <functional>

#include "common/result.h"

namespace quarry::device::opencl {

/// NVIDIA's clEnqueueFillBuffer (driver 580) counts patterns in a signed 32-bit number: from an offset of 2^31 patterns
/// on it faults, later and elsewhere. With the largest pattern of OpenCL that is 256 GiB, more than any device has.
inline constexpr uint64_t kFillPatternBytes = 128;

using ZeroCall = std::function<Status(uint64_t offset, uint64_t bytes)>;

/// Zeroes [offset, offset + bytes). `fill` gets whole patterns at a multiple of the pattern, `write` the bytes that are
/// left, fewer than a pattern. `offset` is a multiple of kBufferAlignment.
Status zero_range(uint64_t offset, uint64_t bytes, const ZeroCall& fill, const ZeroCall& write);

}  // namespace quarry::device::opencl
