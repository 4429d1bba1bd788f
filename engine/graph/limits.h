// Every limit on a graph and a job, in one place (docs/graph-format.md, section 8). A value past one is refused by
// name, never wrapped.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quarry::graph {

inline constexpr size_t kMaxNodes = 1'000'000;
inline constexpr size_t kMaxTextBytes = size_t{128} << 20;
inline constexpr size_t kMaxDocumentBytes = size_t{8} << 20;  ///< of a job document
inline constexpr int kMaxNesting = 16;
inline constexpr int kMaxRank = 16;
inline constexpr int64_t kMaxVirtualElements = int64_t{1} << 62;  ///< of any value
inline constexpr int64_t kMaxStoredElements = int64_t{1} << 40;   ///< of an INPUT, a reduce result, an output
inline constexpr int kMaxMovementInARow = 64;
inline constexpr size_t kMaxReduces = 16'384;
inline constexpr int64_t kMaxSteps = (int64_t{1} << 31) - 1;
inline constexpr size_t kMaxNameBytes = 256;  ///< of an input, an output or a label
inline constexpr size_t kMaxOutputs = 16'384;

}  // namespace quarry::graph
