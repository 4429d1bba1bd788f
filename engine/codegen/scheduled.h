// A loop nest with a schedule applied: each axis cut into tiles, every index rewritten over the new ranges. What
// emit.cpp walks.
#pragma once

#include <vector>

#include "engine/codegen/codegen.h"

namespace quarry::codegen {

/// One axis as tiles: point = base + (copy * items + item) * unroll * lanes + u * lanes + lane. Where the tile does not
/// divide the extent the last base is moved back, so that tiles overlap instead of ending early: outputs are then
/// written twice with the same value, and a reduction's last tile masks what was seen.
struct TiledAxis {
  int axis = -1;
  int64_t extent = 1, lanes = 1, unroll = 1, items = 1, spread = 1;
  int64_t base_step = 1;  ///< the base is this many times its range, so that it is known to be a multiple
  int tile_range = -1, base_range = -1, spread_range = -1, item_range = -1, unroll_range = -1,
      lane_range = -1;                   ///< -1: there is none
  lower::ExprId place = lower::kNoExpr;  ///< the point less its tile's base

  int64_t tile() const { return lanes * unroll * items * spread; }
  int64_t tiles() const { return (extent + tile() - 1) / tile(); }
  bool divides() const { return extent % tile() == 0; }
};

/// The work-items of a group along one axis: item = (number / stride) mod amount.
struct ItemsAlong {
  int axis = -1;
  int64_t amount = 1, stride = 1;
  bool reduces = false;
};

/// A load that goes through shared memory: filled with neighbouring work-items along `across`, read with them along
/// `along`. Its element (a, b) lies at a * pitch + b.
struct Staged {
  lower::ExprId load = lower::kNoExpr;       ///< as it stands in the value
  lower::ExprId fill = lower::kNoExpr;       ///< the same load over the ranges of the fill
  int64_t rows = 1, columns = 1, pitch = 1;  ///< of the tile: points along `across` and along `along`
  lower::ExprId row = lower::kNoExpr, column = lower::kNoExpr;  ///< where the value's points lie in the tile
  int row_item_range = -1, row_copy_range = -1, column_item_range = -1, column_copy_range = -1;  ///< of the fill
  int64_t row_items = 1, row_copies = 1, column_items = 1, column_copies = 1;
};

struct Scheduled {
  lower::LoopNest nest;                       ///< over the new ranges; `axes` as before
  std::vector<TiledAxis> outputs;             ///< in the order in which tiles are walked, outermost first
  std::vector<TiledAxis> reduces;             ///< outermost first; only the last may have tiles of more than a point
  lower::ExprId tail_value = lower::kNoExpr;  ///< the value at the last, moved back tile of the last reduce axis
  int64_t chunk = 1, split = 1;
  size_t split_axis = 0;          ///< place in `reduces`
  uint32_t local = 1;             ///< work-items a group
  std::vector<ItemsAlong> items;  ///< if any, a group computes one tile, else a work-item does
  std::vector<Staged> staged;
  int lanes = 1;  ///< vector width
  int lane_range = -1;
  bool lanes_reduce = false;  ///< the lanes lie along a reduce axis

  int64_t output_tiles() const;
  /// Range -> copies, of every range whose points are written out one after the other.
  std::vector<std::pair<int, int64_t>> copied_ranges() const;
  const ItemsAlong* items_of(int axis) const;
};

Scheduled apply(const lower::LoopNest& nest, const Schedule& schedule);

/// The loads that Stage(axis) sends through shared memory, by their ids in nest.arena.
std::vector<lower::ExprId> staged_loads(const lower::LoopNest& nest, int axis);
/// The output axis along which results are neighbours; -1 if there is none.
int store_axis(const lower::LoopNest& nest);
/// Elements between neighbours along each axis; kIrregular where they are not evenly spaced.
inline constexpr int64_t kIrregular = INT64_MAX;
std::vector<int64_t> steps(const lower::LoopNest& nest, lower::ExprId index);

/// The second kernel of a split reduction: sums the parts that the first left in scratch.
lower::LoopNest joining_nest(const lower::LoopNest& nest, int64_t parts);

}  // namespace quarry::codegen
