// The memory bound of a graph: what a device must have free to run it (design section 5). Every plan of the engine fits
// in it.
#pragma once

#include "common/uint128.h"
#include "engine/meter/fusion.h"
#include "engine/meter/meter.h"

namespace quarry::meter {

inline constexpr uint64_t kBufferAlignment = 256;
inline constexpr uint64_t kWorkspaceShare = 8;  ///< one part in eight more, for workspace

/// Inputs, both copies of each carry, two slices of each feed and outputs stay for the whole step; other stored values
/// from their kernel to that of their last reader, kernels running in the order of NodeIds.
UInt128 memory_bound(const graph::Graph& graph, const Fusion& fusion, const Usage& usage);

}  // namespace quarry::meter
