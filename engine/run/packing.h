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

/// The better of two classic orders: best fit as values are born, and largest first into the lowest gap. Either alone
/// can lose an eighth to fragments where the other does not.
Packing pack(std::span<const Lifetime> values);

/// The most bytes that live at one time: what no packing can be below.
uint64_t peak_bytes(std::span<const Lifetime> values);

}  // namespace quarry::run
