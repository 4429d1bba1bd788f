// Checked by the compiler alone, where Debian's libamdhip64-dev is installed.
#define __HIP_PLATFORM_AMD__
#define __HIP_DISABLE_CPP_FUNCTIONS__
#include <hip/hip_runtime_api.h>

#include <cstddef>

#include "engine/device/gpu/entry_points.h"
#include "tests/device/gpu/signatures.h"

namespace quarry::test {

// What the table calls a function that HIP does not have.
inline constexpr std::nullptr_t none = nullptr;

template <class Ours, class Theirs>
constexpr bool matches() {
  return std::is_same_v<Theirs, std::nullptr_t> || SameSignature<Ours, Theirs>::value;
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // contexts, which HIP keeps for programs made for CUDA
#define QUARRY_ROW(name, need, cuda_symbol, hip_symbol, ...)                                               \
  static_assert(matches<decltype(device::gpu::EntryPoints::name), std::decay_t<decltype((hip_symbol))>>(), \
                #hip_symbol " is declared otherwise");
QUARRY_GPU_ENTRY_POINTS(QUARRY_ROW)
#undef QUARRY_ROW

static_assert(hipDeviceAttributeMultiprocessorCount == 63 && hipDeviceAttributeMaxThreadsPerBlock == 56 &&
                  hipDeviceAttributeMaxSharedMemoryPerBlock == 74 && hipDeviceAttributeWarpSize == 87 &&
                  hipDeviceAttributeComputeCapabilityMajor == 23 && hipDeviceAttributeComputeCapabilityMinor == 61,
              "attributes have other numbers");

}  // namespace quarry::test
