// Program -> CUDA C++ for sm_90a, without headers: clang (-x cuda) and NVRTC take the same text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tile/tile.h"

namespace quarry::tile {

/// A kernel and how it is launched. Its arguments, in order: the address of the tensor maps (128 bytes each, in the
/// program's order); for each buffer in `buffers` its address and its offset in elements (i64); if workspace_bytes > 0
/// the address of the workspace, its offset in bytes (i64) and the address of the counters; the first tile and the end
/// of the tiles as i32; each of `counts` as i32. The text does not depend on `counts`, so that problems of one schedule
/// share a binary.
struct CudaKernel {
  std::string text;
  std::string entry;
  uint32_t threads = 0;         ///< of a block
  uint32_t shared_bytes = 0;    ///< dynamic
  std::vector<int> buffers;     ///< numbers of the arguments that threads load or store themselves
  int64_t workspace_bytes = 0;  ///< what lies there means nothing before or after a launch
  int64_t counter_bytes = 0;    ///< must be 0 before the first launch; each launch leaves them 0
  std::vector<int32_t> counts;
  int64_t tiles = 0;  ///< what first and end range over; more blocks than that have nothing to do
};

/// Asserts that verify() finds nothing.
CudaKernel print_cuda(const Program& program);

/// What every text begins with, and what those that split f32 numbers go on with.
extern const char* const kCudaPrelude;
extern const char* const kCudaSplitPrelude;

}  // namespace quarry::tile
