// A library with libcuda's functions over host memory: one card, which runs nothing but remembers what it was asked.
// Built several times: complete, without a function, too old, and one that does not start.
#include "tests/device/gpu/fake_cuda.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifndef FAKE_VERSION
#define FAKE_VERSION 13000
#endif
#ifndef FAKE_START
#define FAKE_START 0
#endif

namespace {

quarry::test::FakeCuda state;

void give(void* out, const void* handle) {
  std::memcpy(out, &handle, sizeof handle);
}
const char kHandle = 0;

}  // namespace

extern "C" {

quarry::test::FakeCuda* fake_cuda() {
  return &state;
}

int cuInit(unsigned) {
  return FAKE_START;
}
int cuDriverGetVersion(int* version) {
  *version = FAKE_VERSION;
  return 0;
}
int cuGetErrorName(int error, const char** text) {
  *text = error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : error == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : "OTHER";
  return 0;
}
int cuDeviceGetCount(int* count) {
  *count = 1;
  return 0;
}
int cuDeviceGet(int* device, int number) {
  *device = number;
  return 0;
}
int cuDeviceGetName(char* name, int bytes, int) {
  std::snprintf(name, static_cast<size_t>(bytes), "Fake H200");
  return 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = size_t{1} << 30;
  return 0;
}
int cuDeviceGetAttribute(int* value, int which, int) {
  *value = which == 16 ? 132 : which == 1 ? 1024 : which == 8 ? 49152 : which == 10 ? 32 : which == 75 ? 9 : 0;
  return 0;
}
int cuDeviceGetPCIBusId(char* text, int bytes, int) {
  std::snprintf(text, static_cast<size_t>(bytes), "0000:3B:00.0");
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
  ++state.live;
  give(context, &kHandle);
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) {
  --state.live;
  return 0;
}
int cuCtxSetCurrent(void*) {
  return 0;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  if (bytes > size_t{1} << 30) return 2;
  ++state.live;
  *address = reinterpret_cast<uint64_t>(std::malloc(bytes));
  return 0;
}
int cuMemFree_v2(uint64_t address) {
  --state.live;
  std::free(reinterpret_cast<void*>(address));
  return 0;
}
int cuMemAllocHost_v2(void** memory, size_t bytes) {
  ++state.live;
  *memory = std::malloc(bytes);
  return 0;
}
int cuMemFreeHost(void* memory) {
  --state.live;
  std::free(memory);
  return 0;
}
// The copy is done when its event is waited for, or its stream: whoever reuses the source before is found out.
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) {
  state.pending.push_back({to, from, bytes});
  return 0;
}
static void finish() {
  for (const auto& copy : state.pending) std::memcpy(reinterpret_cast<void*>(copy.to), copy.from, copy.bytes);
  state.pending.clear();
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
  finish();
  std::memcpy(to, reinterpret_cast<void*>(from), bytes);
  return 0;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void*) {
  finish();
  std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
  return 0;
}
int cuMemsetD8Async(uint64_t address, unsigned char value, size_t bytes, void*) {
  finish();
  std::memset(reinterpret_cast<void*>(address), value, bytes);
  return 0;
}
int cuStreamCreate(void** stream, unsigned) {
  ++state.live;
  give(stream, &kHandle);
  return 0;
}
int cuStreamDestroy_v2(void*) {
  --state.live;
  return 0;
}
int cuStreamSynchronize(void*) {
  finish();
  return state.fault;
}
int cuEventCreate(void** event, unsigned) {
  ++state.live;
  give(event, &kHandle);
  return 0;
}
int cuEventDestroy_v2(void*) {
  --state.live;
  return 0;
}
int cuEventRecord(void*, void*) {
  return 0;
}
int cuEventSynchronize(void*) {
  finish();
  return 0;
}
int cuModuleLoadDataEx(void** module, const void* image, unsigned options, int* which, void** values) {
  const auto* text = static_cast<const char*>(image);
  if (std::strstr(text, "no PTX") != nullptr) {
    for (unsigned i = 0; i < options; ++i)
      if (which[i] == 5) std::snprintf(static_cast<char*>(values[i]), 100, "line 1: no PTX");
    return 218;
  }
  ++state.live;
  give(module, &kHandle);
  return 0;
}
int cuModuleUnload(void*) {
  --state.live;
  return 0;
}
int cuModuleGetFunction(void** function, void*, const char* name) {
  if (std::strcmp(name, "kernel0") != 0) return 500;
  give(function, &kHandle);
  return 0;
}
#ifndef FAKE_WITHOUT_LAUNCH
int cuLaunchKernel(void*, unsigned groups, unsigned, unsigned, unsigned items, unsigned, unsigned, unsigned, void*,
                   void** arguments, void**) {
  quarry::test::FakeLaunch launch{groups, items, {}};
  for (int i = 0; i < state.arguments; ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, arguments[i], sizeof bits);
    launch.arguments.push_back(bits);
  }
  state.launches.push_back(launch);
  return 0;
}
#endif

}  // extern "C"
