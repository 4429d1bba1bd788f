// Amounts of memory, rounded so that there are few of them: the scheduler compares what a job asks for with each kind
// of slice, and a thousand boxes have a thousand different amounts.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace quarry::scheduler {

/// Eight grades from one power of two to the next: 8, 9, 10, ... 15, 16, 18, ... GiB. The grade of a slice is its
/// memory rounded down.
constexpr uint64_t memory_grade(uint64_t bytes) {
  const int drop = std::max(0, static_cast<int>(std::bit_width(bytes)) - 4);
  return bytes >> drop << drop;
}

/// What a job asks for: its memory bound rounded up, by a sixty-fourth at most. Beyond 2^63 it stays what it is.
constexpr uint64_t memory_to_ask(uint64_t bytes) {
  const int drop = std::max(0, static_cast<int>(std::bit_width(bytes)) - 7);
  const uint64_t step = uint64_t{1} << drop;
  return bytes > UINT64_MAX - step ? bytes : (bytes + step - 1) >> drop << drop;
}

}  // namespace quarry::scheduler
