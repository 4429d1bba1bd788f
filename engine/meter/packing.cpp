#include "engine/meter/packing.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <utility>

namespace quarry::meter {
namespace {

// Placing in a chosen order looks at every pair of values that live together: below this many looks in all, a count
// takes tens of milliseconds at the worst. Most graphs find their peak within the first orders.
constexpr size_t kMostLooks = size_t{1} << 21;
constexpr size_t kMostOrders = 64;
constexpr uint64_t kGoodEnoughShare = 64;  // one part in so many lost to fragments is not worth another order

std::vector<size_t> births(std::span<const Lifetime> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t value) { return values[value].first; });
  return order;
}

std::vector<size_t> deaths(std::span<const Lifetime> values) {
  std::vector<size_t> order = births(values);
  std::ranges::stable_sort(order, {}, [&](size_t value) { return values[value].last; });
  return order;
}

// Free ranges of an arena that grows at its end. No range crosses the border of a piece.
class FreeList {
 public:
  FreeList(uint64_t base, uint64_t piece_bytes) : piece_bytes_(piece_bytes), end_(base) {}

  /// The smallest range that is large enough; else the free tail, grown.
  uint64_t take(uint64_t bytes) {
    if (const auto best = by_size_.lower_bound({bytes, 0}); best != by_size_.end()) {
      const auto [size, offset] = *best;
      remove(offset, size);
      if (size > bytes) insert(offset + bytes, size - bytes);
      return offset;
    }
    uint64_t offset = end_;
    if (!by_offset_.empty() && !is_border(end_)) {
      const auto [last, size] = *by_offset_.rbegin();
      if (last + size == end_) {
        offset = last;
        remove(last, size);
      }
    }
    if (bytes > piece_bytes_ - offset % piece_bytes_) {
      const uint64_t border = (offset / piece_bytes_ + 1) * piece_bytes_;
      insert(offset, border - offset);
      offset = border;
    }
    end_ = offset + bytes;
    return offset;
  }

  void give_back(uint64_t offset, uint64_t bytes) {
    if (const auto next = by_offset_.find(offset + bytes); next != by_offset_.end() && !is_border(next->first)) {
      const uint64_t size = next->second;
      remove(offset + bytes, size);
      bytes += size;
    }
    if (const auto after = by_offset_.lower_bound(offset); after != by_offset_.begin() && !is_border(offset)) {
      const auto [before, size] = *std::prev(after);
      if (before + size == offset) {
        remove(before, size);
        offset = before;
        bytes += size;
      }
    }
    insert(offset, bytes);
  }

  uint64_t end() const { return end_; }

 private:
  bool is_border(uint64_t offset) const { return offset % piece_bytes_ == 0; }
  void insert(uint64_t offset, uint64_t bytes) {
    by_offset_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }
  void remove(uint64_t offset, uint64_t bytes) {
    by_offset_.erase(offset);
    by_size_.erase({bytes, offset});
  }

  std::map<uint64_t, uint64_t> by_offset_;           // offset -> bytes, never adjacent
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // the same as (bytes, offset)
  uint64_t piece_bytes_;
  uint64_t end_;
};

constexpr uint64_t kOnePiece = UINT64_MAX;

/// Each value as it is born into the best fit. Offsets count from 0, not from `base`.
Packing pack_by_birth(std::span<const Lifetime> values, uint64_t base = 0, uint64_t piece_bytes = kOnePiece) {
  Packing packing{std::vector<uint64_t>(values.size(), 0), 0};
  FreeList arena(base, piece_bytes);
  const std::vector<size_t> born = births(values), dying = deaths(values);
  auto dead = dying.begin();
  for (const size_t value : born) {
    for (; values[*dead].last < values[value].first; ++dead)
      if (values[*dead].bytes > 0) arena.give_back(packing.offsets[*dead], values[*dead].bytes);
    if (values[value].bytes > 0) packing.offsets[value] = arena.take(values[value].bytes);
  }
  for (size_t value = 0; value < values.size(); ++value)
    if (values[value].bytes > 0) packing.offsets[value] -= base;
  packing.bytes = arena.end() - base;
  return packing;
}

/// The same with time running backwards.
Packing pack_by_death(std::span<const Lifetime> values) {
  size_t end = 0;
  for (const Lifetime& value : values) end = std::max(end, value.last);
  std::vector<Lifetime> mirrored;
  mirrored.reserve(values.size());
  for (const Lifetime& value : values) mirrored.push_back({value.bytes, end - value.last, end - value.first});
  return pack_by_birth(mirrored);
}

/// For each value those that live together with it.
class Neighbours {
 public:
  /// None when there are more than `most` pairs.
  static std::optional<Neighbours> find(std::span<const Lifetime> values, size_t most) {
    Neighbours found;
    std::vector<std::pair<size_t, size_t>> pairs;
    std::vector<size_t> alive;
    for (const size_t value : births(values)) {
      if (values[value].bytes == 0) continue;
      std::erase_if(alive, [&](size_t other) { return values[other].last < values[value].first; });
      if (pairs.size() + alive.size() > most) return std::nullopt;
      for (const size_t other : alive) pairs.emplace_back(value, other);
      alive.push_back(value);
    }
    found.begin_.assign(values.size() + 1, 0);
    for (const auto& [a, b] : pairs) ++found.begin_[a + 1], ++found.begin_[b + 1];
    std::partial_sum(found.begin_.begin(), found.begin_.end(), found.begin_.begin());
    std::vector<size_t> next(found.begin_.begin(), found.begin_.end() - 1);
    found.values_.resize(2 * pairs.size());
    for (const auto& [a, b] : pairs) found.values_[next[a]++] = b, found.values_[next[b]++] = a;
    return found;
  }

  std::span<const size_t> of(size_t value) const {
    return std::span(values_).subspan(begin_[value], begin_[value + 1] - begin_[value]);
  }
  size_t count() const { return values_.size(); }

 private:
  std::vector<size_t> begin_;  // of each value's in values_
  std::vector<size_t> values_;
};

/// Places the values in this order, each at the lowest offset where nothing that lives with it lies.
Packing pack_in_order(std::span<const Lifetime> values, const std::vector<size_t>& order,
                      const Neighbours& neighbours) {
  Packing packing{std::vector<uint64_t>(values.size(), 0), 0};
  std::vector<bool> placed(values.size(), false);
  std::vector<std::pair<uint64_t, uint64_t>> taken;  // offset, end
  for (const size_t value : order) {
    const uint64_t bytes = values[value].bytes;
    if (bytes == 0) continue;
    taken.clear();
    for (const size_t other : neighbours.of(value))
      if (placed[other]) taken.emplace_back(packing.offsets[other], packing.offsets[other] + values[other].bytes);
    std::ranges::sort(taken);
    uint64_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (begin >= offset + bytes) break;
      offset = std::max(offset, end);
    }
    placed[value] = true;
    packing.offsets[value] = offset;
    packing.bytes = std::max(packing.bytes, offset + bytes);
  }
  return packing;
}

/// What to place first, by size, by size times life and by life: the larger the key, the earlier.
double key(const Lifetime& value, size_t rule) {
  const auto life = static_cast<double>(value.last - value.first + 1);
  const auto bytes = static_cast<double>(value.bytes);
  return rule == 0 ? bytes : rule == 1 ? bytes * life : life;
}

}  // namespace

Packing pack(std::span<const Lifetime> values) {
  const uint64_t peak = peak_bytes(values);
  const uint64_t enough = peak + peak / kGoodEnoughShare;
  Packing best = pack_by_birth(values);
  const auto keep_better = [&](Packing packing) {
    if (packing.bytes < best.bytes) best = std::move(packing);
  };
  if (best.bytes > enough) keep_better(pack_by_death(values));
  if (best.bytes <= enough) return best;
  const auto neighbours = Neighbours::find(values, kMostLooks / 2);
  if (!neighbours) return best;
  const size_t orders = std::min(kMostOrders, kMostLooks / (neighbours->count() + values.size()));
  std::mt19937 variation(1);  // its sequence is fixed by the standard: the same packing on every host
  const std::vector<size_t> by_birth = births(values);
  for (size_t i = 0; i < orders && best.bytes > enough; ++i) {
    std::vector<double> keys;
    for (const Lifetime& value : values) {
      const double factor = i < 3 ? 1 : 0.5 + static_cast<double>(variation()) * 0x1p-32;
      keys.push_back(key(value, i % 3) * factor);
    }
    std::vector<size_t> order = by_birth;
    std::ranges::stable_sort(order, std::greater(), [&](size_t value) { return keys[value]; });
    keep_better(pack_in_order(values, order, *neighbours));
  }
  return best;
}

Packing pack_in_pieces(std::span<const Lifetime> values, uint64_t base, uint64_t piece_bytes) {
  return pack_by_birth(values, base, piece_bytes);
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

}  // namespace quarry::meter
