#include "engine/run/packing.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <utility>

namespace quarry::run {
namespace {

// Placing in a given order is quadratic in the number of values: above this it would take longer than compiling them.
constexpr size_t kMaxValuesByOrder = 4096;
constexpr int kMaxAttempts = 64;

std::vector<size_t> births(std::span<const Lifetime> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a].first < values[b].first; });
  return order;
}

// Free ranges of an arena that grows at its end.
class FreeList {
 public:
  uint64_t take(uint64_t bytes) {
    auto best = free_.end();
    for (auto range = free_.begin(); range != free_.end(); ++range)
      if (range->second >= bytes && (best == free_.end() || range->second < best->second)) best = range;
    if (best != free_.end()) {
      const auto [offset, size] = *best;
      free_.erase(best);
      if (size > bytes) free_.emplace(offset + bytes, size - bytes);
      return offset;
    }
    uint64_t offset = end_;
    if (!free_.empty()) {
      const auto last = std::prev(free_.end());
      if (last->first + last->second == end_) {  // a free tail too small: grow it
        offset = last->first;
        free_.erase(last);
      }
    }
    end_ = offset + bytes;
    return offset;
  }

  void give_back(uint64_t offset, uint64_t bytes) {
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + bytes == next->first) {
      bytes += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto previous = std::prev(next);
      if (previous->first + previous->second == offset) {
        previous->second += bytes;
        return;
      }
    }
    free_.emplace(offset, bytes);
  }

  uint64_t end() const { return end_; }

 private:
  std::map<uint64_t, uint64_t> free_;  // offset -> bytes, never adjacent
  uint64_t end_ = 0;
};

Packing pack_by_birth(std::span<const Lifetime> values) {
  Packing packing{std::vector<uint64_t>(values.size(), 0), 0};
  FreeList arena;
  std::multimap<size_t, size_t> alive;  // last launch -> value
  for (const size_t value : births(values)) {
    while (!alive.empty() && alive.begin()->first < values[value].first) {
      const size_t dead = alive.begin()->second;
      arena.give_back(packing.offsets[dead], values[dead].bytes);
      alive.erase(alive.begin());
    }
    if (values[value].bytes == 0) continue;
    packing.offsets[value] = arena.take(values[value].bytes);
    alive.emplace(values[value].last, value);
  }
  packing.bytes = arena.end();
  return packing;
}

// Places the values in this order, each at the lowest offset where nothing that lives with it lies.
Packing pack_in_order(std::span<const Lifetime> values, const std::vector<size_t>& order) {
  Packing packing{std::vector<uint64_t>(values.size(), 0), 0};
  std::vector<size_t> placed;  // by ascending offset
  for (const size_t value : order) {
    const Lifetime& wanted = values[value];
    if (wanted.bytes == 0) continue;
    uint64_t offset = 0;
    for (const size_t other : placed) {
      if (values[other].last < wanted.first || values[other].first > wanted.last) continue;
      if (packing.offsets[other] >= offset + wanted.bytes) break;
      offset = std::max(offset, packing.offsets[other] + values[other].bytes);
    }
    packing.offsets[value] = offset;
    packing.bytes = std::max(packing.bytes, offset + wanted.bytes);
    const auto place = std::upper_bound(placed.begin(), placed.end(), offset,
                                        [&](uint64_t at, size_t other) { return at < packing.offsets[other]; });
    placed.insert(place, value);
  }
  return packing;
}

// What to place first: the larger the key, the earlier.
double key(const Lifetime& value, int rule) {
  const auto life = static_cast<double>(value.last - value.first + 1);
  const auto bytes = static_cast<double>(value.bytes);
  return rule == 0 ? bytes : rule == 1 ? bytes * life : life;
}

}  // namespace

Packing pack(std::span<const Lifetime> values, uint64_t enough_bytes) {
  Packing best = pack_by_birth(values);
  const uint64_t peak = peak_bytes(values);
  enough_bytes = std::max(enough_bytes, peak);
  if (values.size() > kMaxValuesByOrder) return best;
  std::mt19937 variation(1);  // its sequence is fixed by the standard: the same plan on every host
  for (int attempt = 0; attempt < kMaxAttempts && best.bytes > enough_bytes; ++attempt) {
    std::vector<double> keys;
    for (const Lifetime& value : values) {
      const double factor = attempt < 3 ? 1 : 0.5 + static_cast<double>(variation()) * 0x1p-32;
      keys.push_back(key(value, attempt % 3) * factor);
    }
    std::vector<size_t> order = births(values);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] > keys[b]; });
    Packing packing = pack_in_order(values, order);
    if (packing.bytes < best.bytes) best = std::move(packing);
  }
  return best;
}

uint64_t peak_bytes(std::span<const Lifetime> values) {
  std::map<size_t, std::pair<uint64_t, uint64_t>> changes;  // launch -> bytes born, bytes dead before it
  for (const Lifetime& value : values) {
    changes[value.first].first += value.bytes;
    changes[value.last + 1].second += value.bytes;
  }
  uint64_t alive = 0, peak = 0;
  for (const auto& [launch, change] : changes) {
    alive += change.first;
    alive -= change.second;
    peak = std::max(peak, alive);
  }
  return peak;
}

}  // namespace quarry::run
