// A loop nest with a schedule applied: each axis cut into tiles, every index rewritten over the new ranges. What
// emit.cpp walks.
#pragma once

#include <vector>

#include "engine/codegen/codegen.h"

namespace quarry::codegen {

/// One axis as tiles of unroll * lanes points: point = base + u * lanes + lane. Where the tile does not divide the
/// extent the last base is moved back, so that tiles overlap instead of ending early: outputs are then written twice
/// with the same value, and a reduction's last tile masks what was seen.
struct TiledAxis {
  int axis = -1;
  int64_t extent = 1, lanes = 1, unroll = 1;
  int tile_range = -1, base_range = -1, unroll_range = -1, lane_range = -1;  ///< -1: there is none

  int64_t tile() const { return lanes * unroll; }
  int64_t tiles() const { return (extent + tile() - 1) / tile(); }
  bool divides() const { return extent % tile() == 0; }
};

struct Scheduled {
  lower::LoopNest nest;                       ///< over the new ranges; `axes` as before
  std::vector<TiledAxis> outputs;             ///< in the order in which tiles are walked, outermost first
  std::vector<TiledAxis> reduces;             ///< outermost first; only the last may have tiles of more than a point
  lower::ExprId tail_value = lower::kNoExpr;  ///< the value at the last, moved back tile of the last reduce axis
  int64_t chunk = 1, group = 1, split = 1;
  size_t split_axis = 0, group_axis = 0;  ///< places in `reduces`
  uint32_t local = 1;
  int lanes = 1;  ///< vector width
  int lane_range = -1;
  bool lanes_reduce = false;  ///< the lanes lie along a reduce axis

  int64_t output_tiles() const;
};

Scheduled apply(const lower::LoopNest& nest, const Schedule& schedule);

/// The second kernel of a split reduction: sums the parts that the first left in scratch.
lower::LoopNest joining_nest(const lower::LoopNest& nest, int64_t parts);

}  // namespace quarry::codegen
