// How the scheduler names a graph: it only asks whether two jobs are of the same one, for a million jobs in memory.
#pragma once

#include <cstring>

#include "common/sha256.h"

namespace quarry::wire {

/// The first 8 bytes of the graph's id; never 0, which names no graph.
inline uint64_t graph_key(const Digest& graph) {
  uint64_t key = 0;
  std::memcpy(&key, graph.data(), sizeof key);
  return key == 0 ? 1 : key;
}

}  // namespace quarry::wire
