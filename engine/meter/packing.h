// Places values of known size and lifetime in one arena, so that no two that live at the same time overlap. Pure
// arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace quarry::meter {

/// A value that lives during the launches [first, last].
struct Lifetime {
  uint64_t bytes;  ///< a multiple of the alignment
  size_t first, last;
};

struct Packing {
  std::vector<uint64_t> offsets;  ///< by value
  uint64_t bytes = 0;             ///< of the whole arena
};

/// Deterministic, n log n for n values however they live: the smallest of a few packings, more of them where few values
/// live together. Their bytes must sum to less than 2^64. What it needs over peak_bytes() is lost to fragments.
Packing pack(std::span<const Lifetime> values);

/// As each value is born, so that none crosses a multiple of `piece_bytes`, counted from `base` before the first
/// offset: what a device needs whose allocations are smaller than the arena. No value may be larger than a piece.
Packing pack_in_pieces(std::span<const Lifetime> values, uint64_t base, uint64_t piece_bytes);

/// The most bytes that live at one time: what no packing can be below.
uint64_t peak_bytes(std::span<const Lifetime> values);

}  // namespace quarry::meter
