// What the library of fake_cuda.cpp remembers. A test gets it by the function `fake_cuda`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quarry::test {

struct FakeLaunch {
  unsigned groups, items;
  std::vector<uint64_t> arguments;
};
struct FakeCuda {
  struct Copy {
    uint64_t to;
    const void* from;
    size_t bytes;
  };
  int live = 0;       ///< contexts, streams, events, modules and allocations that were not given back
  int fault = 0;      ///< what waiting for the stream gives
  int arguments = 0;  ///< how many a launch has
  std::vector<Copy> pending;
  std::vector<FakeLaunch> launches;
};

}  // namespace quarry::test
