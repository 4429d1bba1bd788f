// Checked by the compiler alone, where NVIDIA's header is installed.
#include <cuda.h>

#include "engine/device/gpu/entry_points.h"
#include "tests/device/gpu/signatures.h"

namespace quarry::test {

#define QUARRY_ROW(name, need, cuda_symbol, hip_symbol, ...)                                              \
  static_assert(SameSignature<decltype(device::gpu::EntryPoints::name), decltype(&::cuda_symbol)>::value, \
                #cuda_symbol " is declared otherwise");
QUARRY_GPU_ENTRY_POINTS(QUARRY_ROW)
#undef QUARRY_ROW

}  // namespace quarry::test
