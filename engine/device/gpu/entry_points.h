// The functions of libcuda and libamdhip64 that the gpu driver calls, one row each. They are looked up at run time, so
// one binary runs on every box. Types are this file's own: addresses and handles have the size and the passing of both
// vendors' (tests/device/gpu compares every row with the vendor's header where that is installed).
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "common/result.h"

namespace quarry::device::gpu {

using Error = int;         ///< 0: success. 2 (out of memory) and 100 (no device) mean the same to both vendors
using Address = uint64_t;  ///< of device memory
using DeviceNumber = int;
struct ContextObject;
struct StreamObject;
struct EventObject;
struct ModuleObject;
struct FunctionObject;
struct GraphObject;
struct NodeObject;
struct FinishedGraphObject;
using Context = ContextObject*;
using Stream = StreamObject*;
using Event = EventObject*;
using ModuleHandle = ModuleObject*;
using Function = FunctionObject*;
using Graph = GraphObject*;
using Node = NodeObject*;
using FinishedGraph = FinishedGraphObject*;

/// CUDA_KERNEL_NODE_PARAMS_v2.
struct KernelNode {
  Function function;
  unsigned groups[3], items[3], shared_bytes;
  void** arguments;
  void** extra;
  void* kernel;
  Context context;
};

inline constexpr Error kOutOfMemory = 2, kNoDevice = 100;
inline constexpr unsigned kStreamNonBlocking = 1, kEventDisableTiming = 2;

enum class Need : uint8_t { Required, Optional };

// ROW(name, need, CUDA symbol, HIP symbol or none, signature). CUDA's symbols are exact: the plain cuMemAlloc is the
// old one of 32 bits.
#define QUARRY_GPU_ENTRY_POINTS(ROW)                                                                                   \
  ROW(init, Required, cuInit, hipInit, Error(unsigned))                                                                \
  ROW(driver_version, Required, cuDriverGetVersion, hipDriverGetVersion, Error(int*))                                  \
  ROW(error_text, Optional, cuGetErrorName, none, Error(Error, const char**))                                          \
  ROW(device_count, Required, cuDeviceGetCount, hipGetDeviceCount, Error(int*))                                        \
  ROW(device_at, Required, cuDeviceGet, hipDeviceGet, Error(DeviceNumber*, int))                                       \
  ROW(device_name, Required, cuDeviceGetName, hipDeviceGetName, Error(char*, int, DeviceNumber))                       \
  ROW(device_memory, Required, cuDeviceTotalMem_v2, hipDeviceTotalMem, Error(size_t*, DeviceNumber))                   \
  ROW(device_attribute, Required, cuDeviceGetAttribute, hipDeviceGetAttribute, Error(int*, int, DeviceNumber))         \
  ROW(device_address, Required, cuDeviceGetPCIBusId, hipDeviceGetPCIBusId, Error(char*, int, DeviceNumber))            \
  ROW(retain_context, Required, cuDevicePrimaryCtxRetain, hipDevicePrimaryCtxRetain, Error(Context*, DeviceNumber))    \
  ROW(release_context, Required, cuDevicePrimaryCtxRelease_v2, hipDevicePrimaryCtxRelease, Error(DeviceNumber))        \
  ROW(use_context, Required, cuCtxSetCurrent, hipCtxSetCurrent, Error(Context))                                        \
  ROW(allocate, Required, cuMemAlloc_v2, hipMalloc, Error(Address*, size_t))                                           \
  ROW(free, Required, cuMemFree_v2, hipFree, Error(Address))                                                           \
  ROW(allocate_host, Required, cuMemAllocHost_v2, hipMemAllocHost, Error(void**, size_t))                              \
  ROW(free_host, Required, cuMemFreeHost, hipHostFree, Error(void*))                                                   \
  ROW(copy_in, Required, cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync, Error(Address, const void*, size_t, Stream))        \
  ROW(copy_out, Required, cuMemcpyDtoHAsync_v2, hipMemcpyDtoHAsync, Error(void*, Address, size_t, Stream))             \
  ROW(copy, Required, cuMemcpyDtoDAsync_v2, hipMemcpyDtoDAsync, Error(Address, Address, size_t, Stream))               \
  ROW(fill, Required, cuMemsetD8Async, hipMemsetD8Async, Error(Address, unsigned char, size_t, Stream))                \
  ROW(create_stream, Required, cuStreamCreate, hipStreamCreateWithFlags, Error(Stream*, unsigned))                     \
  ROW(destroy_stream, Required, cuStreamDestroy_v2, hipStreamDestroy, Error(Stream))                                   \
  ROW(wait_stream, Required, cuStreamSynchronize, hipStreamSynchronize, Error(Stream))                                 \
  ROW(create_event, Required, cuEventCreate, hipEventCreateWithFlags, Error(Event*, unsigned))                         \
  ROW(destroy_event, Required, cuEventDestroy_v2, hipEventDestroy, Error(Event))                                       \
  ROW(record_event, Required, cuEventRecord, hipEventRecord, Error(Event, Stream))                                     \
  ROW(wait_event, Required, cuEventSynchronize, hipEventSynchronize, Error(Event))                                     \
  ROW(load_module, Required, cuModuleLoadDataEx, hipModuleLoadDataEx,                                                  \
      Error(ModuleHandle*, const void*, unsigned, int*, void**))                                                       \
  ROW(unload_module, Required, cuModuleUnload, hipModuleUnload, Error(ModuleHandle))                                   \
  ROW(function, Required, cuModuleGetFunction, hipModuleGetFunction, Error(Function*, ModuleHandle, const char*))      \
  ROW(set_function, Optional, cuFuncSetAttribute, none, Error(Function, int, int))                                     \
  ROW(describe_boxes, Optional, cuTensorMapEncodeTiled, none,                                                          \
      Error(void*, int, unsigned, void*, const uint64_t*, const uint64_t*, const unsigned*, const unsigned*, int, int, \
            int, int))                                                                                                 \
  ROW(launch, Required, cuLaunchKernel, hipModuleLaunchKernel,                                                         \
      Error(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, void**, void**))   \
  ROW(create_graph, Optional, cuGraphCreate, none, Error(Graph*, unsigned))                                            \
  ROW(add_kernel, Optional, cuGraphAddKernelNode_v2, none,                                                             \
      Error(Node*, Graph, const Node*, size_t, const KernelNode*))                                                     \
  ROW(add_nothing, Optional, cuGraphAddEmptyNode, none, Error(Node*, Graph, const Node*, size_t))                      \
  ROW(finish_graph, Optional, cuGraphInstantiateWithFlags, none, Error(FinishedGraph*, Graph, unsigned long long))     \
  ROW(upload_graph, Optional, cuGraphUpload, none, Error(FinishedGraph, Stream))                                       \
  ROW(launch_graph, Optional, cuGraphLaunch, none, Error(FinishedGraph, Stream))                                       \
  ROW(destroy_finished, Optional, cuGraphExecDestroy, none, Error(FinishedGraph))                                      \
  ROW(destroy_graph, Optional, cuGraphDestroy, none, Error(Graph))

struct EntryPoints {
#define QUARRY_ROW(name, need, cuda, hip, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  QUARRY_GPU_ENTRY_POINTS(QUARRY_ROW)
#undef QUARRY_ROW
};

}  // namespace quarry::device::gpu
