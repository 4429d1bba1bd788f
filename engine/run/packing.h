// Places values of known size and lifetime in one arena, so that no two that live at the same time overlap. Pure
// arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace quarry::run {

/// A value that lives during the launches [first, last].
struct Lifetime {
  uint64_t bytes;  ///< a multiple of the alignment
  size_t first, last;
};

struct Packing {
  std::vector<uint64_t> offsets;  ///< by request
  uint64_t bytes = 0;             ///< of the whole arena
};

/// Tries one order of placement after the other until the arena has at most `enough_bytes`, and gives the smallest
/// found: as values are born into the best fit, then, into the lowest gap, by size, by size times life and by life, and
/// last small variations of these. One order alone often loses more than an eighth to fragments. Deterministic.
Packing pack(std::span<const Lifetime> values, uint64_t enough_bytes);

/// The most bytes that live at one time: what no packing can be below.
uint64_t peak_bytes(std::span<const Lifetime> values);

}  // namespace quarry::run
