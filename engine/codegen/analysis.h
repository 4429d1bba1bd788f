// What the choice of a schedule needs to know of a nest, gathered once.
#pragma once

#include <vector>

#include "engine/codegen/scheduled.h"

namespace quarry::codegen {

/// One operation of the value.
struct Item {
  double cost;      ///< of one scalar or vector operation, in cycles of a processor
  uint64_t ranges;  ///< the axes it depends on
  bool is_load;
  std::vector<int64_t> step;  ///< loads: see steps()
  int64_t bytes = 0;          ///< loads: of an element in memory
  bool guarded = false;       ///< loads: only where a condition holds
};

struct Analysis {
  std::vector<Item> items;
  std::vector<int64_t> store_step;
  int widest_bytes = 1;  ///< of a value
};

Analysis analyse(const lower::LoopNest& nest);

/// Of a split reduction: how many parts are worth their accumulators in scratch memory.
int64_t most_parts(const lower::LoopNest& nest, const Target& target);

Schedule processor_schedule(const lower::LoopNest& nest, const Target& target);
Schedule gpu_schedule(const lower::LoopNest& nest, const Target& target);

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
constexpr int64_t power_of_two_below(int64_t value) {
  return int64_t{1} << (63 - __builtin_clzll(static_cast<uint64_t>(value)));
}

}  // namespace quarry::codegen
