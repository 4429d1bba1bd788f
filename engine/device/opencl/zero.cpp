#include "engine/device/opencl/zero.h"

#include <algorithm>

namespace quarry::device::opencl {

namespace {

// One fill of 32 GiB never ended on an H200 (driver 580); in pieces it takes 10 ms.
constexpr uint64_t kMostFilledBytes = uint64_t{256} << 20;

}  // namespace

Status zero_range(uint64_t offset, uint64_t bytes, const ZeroCall& fill, const ZeroCall& write) {
  const uint64_t tail = bytes % kFillPatternBytes, body = bytes - tail;
  for (uint64_t done = 0; done < body; done += kMostFilledBytes)
    QUARRY_TRY(fill(offset + done, std::min(body - done, kMostFilledBytes)));
  return tail == 0 ? Status() : write(offset + body, tail);
}

}  // namespace quarry::device::opencl
