// Finds equal things fast: the shape, attribute and node pools of a graph keep each value once.
//
// The table's hash is keyed with random bits, so that a hostile graph cannot aim for collisions. What is found, and the
// ids given out, never depend on the key.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace quarry::graph {

/// An open-addressing set of ids; the caller hashes and compares what the ids stand for.
class IdTable {
 public:
  IdTable() : slots_(kFirstSize) {
    std::random_device random;
    key_ = uint64_t{random()} << 32 | random();
  }

  uint64_t start_hash() const { return key_; }
  /// Folds one word into a hash that began as start_hash().
  uint64_t mix(uint64_t hash, uint64_t word) const {
    __extension__ typedef unsigned __int128 Wide;
    const Wide product = Wide{hash ^ word} * (key_ | 1) + 0x9e3779b97f4a7c15u;
    const Wide again =
        Wide{static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product)} * 0xd6e8feb86659fd93u;
    return static_cast<uint64_t>(again >> 64) ^ static_cast<uint64_t>(again);
  }

  /// The id kept earlier for which equal(id) holds, else `candidate`, which is kept from now on.
  template <class Equal>
  uint32_t find_or_keep(uint64_t hash, uint32_t candidate, Equal equal) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    const auto tag = static_cast<uint32_t>(hash >> 32);
    for (size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].id == kEmpty) {
        slots_[i] = {hash, candidate};
        ++count_;
        return candidate;
      }
      if (static_cast<uint32_t>(slots_[i].hash >> 32) == tag && equal(slots_[i].id)) return slots_[i].id;
    }
  }

 private:
  static constexpr uint32_t kEmpty = UINT32_MAX;
  static constexpr size_t kFirstSize = 64;
  struct Slot {
    uint64_t hash = 0;
    uint32_t id = kEmpty;
  };

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.id == kEmpty) continue;
      size_t i = slot.hash & (slots_.size() - 1);
      while (slots_[i].id != kEmpty) i = (i + 1) & (slots_.size() - 1);
      slots_[i] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t count_ = 0;
  uint64_t key_;
};

/// Keeps each sequence of integers once in a pool that the caller owns.
class Interner {
 public:
  /// The offset of these values in the pool. A span of a whole sequence of the pool itself is fine: it is found, not
  /// copied.
  uint32_t intern(std::vector<int64_t>& pool, std::span<const int64_t> values) {
    uint64_t hash = table_.mix(table_.start_hash(), values.size());
    for (int64_t value : values) hash = table_.mix(hash, static_cast<uint64_t>(value));
    const auto candidate = static_cast<uint32_t>(entries_.size());
    const uint32_t id = table_.find_or_keep(hash, candidate, [&](uint32_t other) {
      const Entry& entry = entries_[other];
      return entry.length == values.size() && std::equal(values.begin(), values.end(), pool.begin() + entry.offset);
    });
    if (id == candidate) {
      entries_.push_back({static_cast<uint32_t>(pool.size()), static_cast<uint32_t>(values.size())});
      pool.insert(pool.end(), values.begin(), values.end());
    }
    return entries_[id].offset;
  }

 private:
  struct Entry {
    uint32_t offset, length;
  };
  IdTable table_;
  std::vector<Entry> entries_;
};

}  // namespace quarry::graph
