// Which launches of a step must wait for which: what one writes and another reads or writes orders the two.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/device/memory.h"

namespace quarry::device {

struct Access {
  std::vector<BufferRange> reads, writes;
};

/// More would make the search for hazards, which looks at pairs, slow.
inline constexpr size_t kMostAccesses = 512;

/// For each launch the earlier ones that it must wait for, and that no other of them waits for. At most kMostAccesses.
std::vector<std::vector<size_t>> hazards(std::span<const Access> launches);

}  // namespace quarry::device
