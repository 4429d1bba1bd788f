#include "engine/codegen/scheduled.h"

#include <algorithm>
#include <array>

namespace quarry::codegen {

using lower::Arena;
using lower::AxisKind;
using lower::ExprId;
using lower::kNoExpr;
using lower::LoopNest;

namespace {

int64_t amount_of(const Schedule& schedule, ActionKind kind, int axis, int64_t otherwise) {
  for (const Action& action : schedule) {
    if (action.kind == kind && (axis < 0 || action.axis == axis)) return action.amount;
  }
  return otherwise;
}

int axis_of(const Schedule& schedule, ActionKind kind) {
  for (const Action& action : schedule) {
    if (action.kind == kind) return action.axis;
  }
  return -1;
}

// Gives the axis its ranges; returns its point as an expression of them.
ExprId cut(Arena& arena, TiledAxis& tiled, int& next_range) {
  tiled.tile_range = next_range++;
  ExprId point = kNoExpr;
  if (tiled.divides()) {
    point = arena.multiply(arena.range(tiled.tile_range, tiled.tiles()), tiled.tile());
  } else {
    tiled.base_range = next_range++;
    point = arena.range(tiled.base_range, tiled.extent - tiled.tile() + 1);
  }
  if (tiled.unroll > 1) {
    tiled.unroll_range = next_range++;
    point = arena.add(point, arena.multiply(arena.range(tiled.unroll_range, tiled.unroll), tiled.lanes));
  }
  if (tiled.lanes > 1) {
    tiled.lane_range = next_range++;
    point = arena.add(point, arena.range(tiled.lane_range, tiled.lanes));
  }
  return point;
}

size_t place(const std::vector<TiledAxis>& axes, int axis) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].axis == axis) return i;
  }
  return 0;
}

// The tiled reduce axis runs innermost.
void order_reduces(std::vector<TiledAxis>& reduces) {
  std::stable_partition(reduces.begin(), reduces.end(), [](const TiledAxis& axis) { return axis.tile() == 1; });
}

}  // namespace

int64_t Scheduled::output_tiles() const {
  int64_t tiles = 1;
  for (const TiledAxis& axis : outputs) tiles *= axis.tiles();
  return tiles;
}

Scheduled apply(const LoopNest& nest, const Schedule& schedule) {
  Scheduled result{.nest = nest};
  Arena& arena = result.nest.arena;
  int next_range = static_cast<int>(nest.axes.size());
  std::vector<ExprId> points;
  for (int i = 0; i < static_cast<int>(nest.axes.size()); ++i) {
    const lower::Axis& axis = nest.axes[static_cast<size_t>(i)];
    TiledAxis tiled{.axis = i, .extent = axis.extent};
    tiled.lanes = amount_of(schedule, ActionKind::Vector, i, 1);
    tiled.unroll = amount_of(schedule, ActionKind::Unroll, i, 1);
    points.push_back(cut(arena, tiled, next_range));
    if (tiled.lanes > 1) {
      result.lanes = static_cast<int>(tiled.lanes);
      result.lane_range = tiled.lane_range;
      result.lanes_reduce = axis.kind == AxisKind::Reduce;
    }
    (axis.kind == AxisKind::Output ? result.outputs : result.reduces).push_back(tiled);
  }
  order_reduces(result.reduces);
  if (const int outer = axis_of(schedule, ActionKind::Outer); outer >= 0) {
    const auto found = result.outputs.begin() + static_cast<ptrdiff_t>(place(result.outputs, outer));
    std::rotate(result.outputs.begin(), found, found + 1);
  }
  if (!result.reduces.empty() && !result.reduces.back().divides()) {
    const TiledAxis& last = result.reduces.back();
    std::vector<ExprId> tail = points;
    ExprId& point = tail[static_cast<size_t>(last.axis)];
    std::vector<ExprId> at_end(static_cast<size_t>(next_range), kNoExpr);
    at_end[static_cast<size_t>(last.base_range)] = arena.integer(last.extent - last.tile());
    std::array<ExprId*, 1> moved{&point};
    lower::substitute(arena, moved, at_end);
    result.tail_value = nest.value;
    std::array<ExprId*, 1> value{&result.tail_value};
    lower::substitute(arena, value, tail);
  }
  std::array<ExprId*, 3> roots{&result.nest.value, &result.nest.store_index, &result.nest.store_condition};
  lower::substitute(arena, roots, points);
  result.chunk = amount_of(schedule, ActionKind::Chunk, -1, 1);
  result.local = static_cast<uint32_t>(amount_of(schedule, ActionKind::Local, -1, 1));
  result.group = amount_of(schedule, ActionKind::Group, -1, 1);
  result.group_axis = place(result.reduces, axis_of(schedule, ActionKind::Group));
  result.split = amount_of(schedule, ActionKind::Split, -1, 1);
  result.split_axis = place(result.reduces, axis_of(schedule, ActionKind::Split));
  return result;
}

LoopNest joining_nest(const LoopNest& nest, int64_t parts) {
  LoopNest join;
  join.axes = {{nest.result_elements, AxisKind::Output}, {parts, AxisKind::Reduce}};
  join.reads = {{nest.accumulator, nest.result_elements * parts}};
  join.result = nest.result;
  join.accumulator = nest.accumulator;
  join.result_elements = nest.result_elements;
  join.reduce = nest.reduce;
  Arena& arena = join.arena;
  if (nest.result_elements == 1) join.axes.erase(join.axes.begin());
  const ExprId output = nest.result_elements == 1 ? arena.integer(0) : arena.range(0, nest.result_elements);
  const ExprId part = arena.range(nest.result_elements == 1 ? 0 : 1, parts);
  join.store_index = output;
  join.store_condition = arena.always();
  join.value = arena.load(nest.accumulator, 0, arena.add(arena.multiply(part, nest.result_elements), output), kNoExpr);
  return join;
}

}  // namespace quarry::codegen
