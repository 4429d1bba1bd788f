#include "engine/device/compiled/hazards.h"

#include <algorithm>
#include <bitset>
#include <cassert>

namespace quarry::device {

namespace {

bool overlap(const std::vector<BufferRange>& some, const std::vector<BufferRange>& others) {
  for (const BufferRange& a : some)
    for (const BufferRange& b : others)
      if (a.buffer == b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes) return true;
  return false;
}

bool conflict(const Access& earlier, const Access& later) {
  return overlap(earlier.writes, later.reads) || overlap(earlier.writes, later.writes) ||
         overlap(earlier.reads, later.writes);
}

}  // namespace

std::vector<std::vector<size_t>> hazards(std::span<const Access> launches) {
  assert(launches.size() <= kMostAccesses);
  std::vector<std::vector<size_t>> after(launches.size());
  std::vector<std::bitset<kMostAccesses>> before(launches.size());  // all that have ended when a launch begins
  for (size_t later = 0; later < launches.size(); ++later) {
    for (size_t earlier = later; earlier-- > 0;) {
      if (before[later].test(earlier) || !conflict(launches[earlier], launches[later])) continue;
      after[later].push_back(earlier);
      before[later] |= before[earlier];
      before[later].set(earlier);
    }
  }
  return after;
}

}  // namespace quarry::device
