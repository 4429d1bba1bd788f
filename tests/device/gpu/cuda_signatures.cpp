// Checked by the compiler alone, where NVIDIA's header is installed.
#include <cuda.h>

#include <cstddef>

#include "engine/device/gpu/entry_points.h"
#include "tests/device/gpu/signatures.h"

namespace quarry::test {

#define QUARRY_ROW(name, need, cuda_symbol, hip_symbol, ...)                                              \
  static_assert(SameSignature<decltype(device::gpu::EntryPoints::name), decltype(&::cuda_symbol)>::value, \
                #cuda_symbol " is declared otherwise");
QUARRY_GPU_ENTRY_POINTS(QUARRY_ROW)
#undef QUARRY_ROW

using Ours = device::gpu::KernelNode;
using Theirs = CUDA_KERNEL_NODE_PARAMS;
static_assert(sizeof(Ours) == sizeof(Theirs) && offsetof(Ours, groups) == offsetof(Theirs, gridDimX) &&
              offsetof(Ours, items) == offsetof(Theirs, blockDimX) &&
              offsetof(Ours, shared_bytes) == offsetof(Theirs, sharedMemBytes) &&
              offsetof(Ours, arguments) == offsetof(Theirs, kernelParams) &&
              offsetof(Ours, context) == offsetof(Theirs, ctx));

}  // namespace quarry::test
