// Zeroing around the fault of NVIDIA's driver, which is here played by a fill that refuses what NVIDIA's cannot do.
#include "engine/device/opencl/zero.h"

#include <catch2/catch.hpp>
#include <map>

namespace quarry::test {
namespace {

using device::opencl::kFillPatternBytes;
using device::opencl::zero_range;

/// The zeroed ranges, by offset; or the problem of a fill that NVIDIA's driver faults at.
Result<std::map<uint64_t, uint64_t>> zeroed(uint64_t offset, uint64_t bytes) {
  std::map<uint64_t, uint64_t> ranges;
  const Status status = zero_range(
      offset, bytes,
      [&](uint64_t at, uint64_t size) -> Status {
        if (at % kFillPatternBytes != 0 || size % kFillPatternBytes != 0)
          return Problem{"invalid", "a fill needs whole patterns", "", ""};
        if (at / kFillPatternBytes >= uint64_t{1} << 31)
          return Problem{"fault", "offset " + std::to_string(at) + " is 2^31 patterns", "", ""};
        ranges.emplace(at, size);
        return {};
      },
      [&](uint64_t at, uint64_t size) -> Status {
        if (size >= kFillPatternBytes) return Problem{"invalid", "a large write", "", ""};
        ranges.emplace(at, size);
        return {};
      });
  if (!status.ok()) return status.problem();
  return ranges;
}

}  // namespace

TEST_CASE("a range of any size is zeroed once, at offsets beyond 2^31 bytes and beyond 2^31 words too") {
  for (const int power : {0, 8, 28, 31, 33, 34, 35, 37}) {
    for (const uint64_t below : {uint64_t{0}, uint64_t{256}}) {
      const uint64_t offset = power == 0 ? 0 : (uint64_t{1} << power) - below;
      for (const uint64_t bytes : {uint64_t{0}, uint64_t{1}, uint64_t{127}, uint64_t{128}, uint64_t{2'120},
                                   uint64_t{1} << 28, (uint64_t{1} << 28) + 1, (uint64_t{5} << 30) + 72}) {
        INFO("offset " << offset << ", bytes " << bytes);
        const auto ranges = zeroed(offset, bytes);
        if (!ranges.ok()) FAIL(ranges.problem().detail);
        uint64_t next = offset;
        for (const auto& [at, size] : *ranges) {
          CHECK(at == next);
          next = at + size;
        }
        CHECK(next == offset + bytes);
      }
    }
  }
}

}  // namespace quarry::test
