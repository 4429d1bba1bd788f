#include "engine/codegen/scheduled.h"

#include <algorithm>
#include <array>
#include <numeric>

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

// Adds factor * (a new range of `count`) to `place`; the range stays -1 where there is but one point.
void extend(Arena& arena, ExprId& place, int& range, int& next_range, int64_t count, int64_t factor) {
  if (count <= 1) return;
  range = next_range++;
  place = arena.add(place, arena.multiply(arena.range(range, count), factor));
}

// Gives the axis its ranges; returns its tile's base, and sets the place within the tile.
ExprId cut(Arena& arena, TiledAxis& tiled, int& next_range) {
  tiled.tile_range = next_range++;
  ExprId base = kNoExpr;
  if (tiled.divides()) {
    base = arena.multiply(arena.range(tiled.tile_range, tiled.tiles()), tiled.tile());
  } else {
    if (tiled.items > 1) tiled.base_step = std::gcd(tiled.extent, tiled.tile());
    tiled.base_range = next_range++;
    const int64_t bases = (tiled.extent - tiled.tile()) / tiled.base_step + 1;
    base = arena.multiply(arena.range(tiled.base_range, bases), tiled.base_step);
  }
  const int64_t vector = tiled.unroll * tiled.lanes;
  tiled.place = arena.integer(0);
  extend(arena, tiled.place, tiled.spread_range, next_range, tiled.spread, tiled.items * vector);
  extend(arena, tiled.place, tiled.item_range, next_range, tiled.items, vector);
  extend(arena, tiled.place, tiled.unroll_range, next_range, tiled.unroll, tiled.lanes);
  extend(arena, tiled.place, tiled.lane_range, next_range, tiled.lanes, 1);
  return base;
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

std::vector<ItemsAlong> items_of_schedule(const LoopNest& nest, const Schedule& schedule) {
  std::vector<ItemsAlong> items;
  int64_t stride = 1;
  for (const Action& action : schedule) {
    if (action.kind != ActionKind::Items) continue;
    const bool reduces = nest.axes[static_cast<size_t>(action.axis)].kind == AxisKind::Reduce;
    items.push_back({action.axis, action.amount, stride, reduces});
    stride *= action.amount;
  }
  return items;
}

// The value at the end of the last reduce axis, whose last tile is moved back.
ExprId tail_of(Scheduled& result, const LoopNest& nest, std::vector<ExprId> points, int ranges) {
  Arena& arena = result.nest.arena;
  const TiledAxis& last = result.reduces.back();
  ExprId& point = points[static_cast<size_t>(last.axis)];
  std::vector<ExprId> at_end(static_cast<size_t>(ranges), kNoExpr);
  at_end[static_cast<size_t>(last.base_range)] = arena.integer((last.extent - last.tile()) / last.base_step);
  std::array<ExprId*, 1> moved{&point};
  lower::substitute(arena, moved, at_end);
  ExprId tail = nest.value;
  std::array<ExprId*, 1> value{&tail};
  lower::substitute(arena, value, points);
  return tail;
}

// The fill of a tile through shared memory: neighbouring work-items along the rows' axis, words of at least 4 bytes.
void stage(Scheduled& result, ExprId load, const TiledAxis& across, const TiledAxis& along,
           const std::vector<ExprId>& bases, const std::vector<ExprId>& points, int& next_range) {
  Arena& arena = result.nest.arena;
  Staged staged{.rows = across.tile(), .columns = along.tile(), .pitch = along.tile() + 1};
  const auto bytes = static_cast<int64_t>(graph::byte_size(arena[load].dtype));
  staged.row_copies = std::max<int64_t>(1, 4 / bytes);
  staged.row_items = staged.rows / staged.row_copies;
  staged.column_items = result.local / staged.row_items;
  staged.column_copies = staged.columns / staged.column_items;
  staged.row = across.place;
  staged.column = along.place;
  ExprId row = arena.integer(0), column = arena.integer(0);
  extend(arena, row, staged.row_item_range, next_range, staged.row_items, staged.row_copies);
  extend(arena, row, staged.row_copy_range, next_range, staged.row_copies, 1);
  extend(arena, column, staged.column_item_range, next_range, staged.column_items, 1);
  extend(arena, column, staged.column_copy_range, next_range, staged.column_copies, staged.column_items);
  std::vector<ExprId> fill_points = points;
  fill_points[static_cast<size_t>(across.axis)] = arena.add(bases[static_cast<size_t>(across.axis)], row);
  fill_points[static_cast<size_t>(along.axis)] = arena.add(bases[static_cast<size_t>(along.axis)], column);
  staged.load = staged.fill = load;
  std::array<ExprId*, 1> value{&staged.load}, fill{&staged.fill};
  lower::substitute(arena, value, points);
  lower::substitute(arena, fill, fill_points);
  result.staged.push_back(staged);
}

}  // namespace

int64_t Scheduled::output_tiles() const {
  int64_t tiles = 1;
  for (const TiledAxis& axis : outputs) tiles *= axis.tiles();
  return tiles;
}

std::vector<std::pair<int, int64_t>> Scheduled::copied_ranges() const {
  std::vector<std::pair<int, int64_t>> ranges;
  const auto add = [&](int range, int64_t copies) {
    if (range >= 0) ranges.emplace_back(range, copies);
  };
  for (const auto* axes : {&outputs, &reduces}) {
    for (const TiledAxis& axis : *axes) {
      add(axis.spread_range, axis.spread);
      add(axis.unroll_range, axis.unroll);
    }
  }
  for (const Staged& stage : staged) {
    add(stage.row_copy_range, stage.row_copies);
    add(stage.column_copy_range, stage.column_copies);
  }
  return ranges;
}

const ItemsAlong* Scheduled::items_of(int axis) const {
  const auto found = std::find_if(items.begin(), items.end(), [&](const ItemsAlong& i) { return i.axis == axis; });
  return found == items.end() ? nullptr : &*found;
}

std::vector<int64_t> steps(const LoopNest& nest, ExprId index) {
  std::vector<int64_t> result(nest.axes.size(), 0);
  for (const lower::Term& term : nest.arena.linear(index).terms) {
    const lower::Expr& atom = nest.arena[term.atom];
    for (size_t axis = 0; axis < result.size(); ++axis) {
      if (!(atom.ranges >> axis & 1)) continue;
      const bool plain = atom.kind == lower::Kind::Range && result[axis] == 0;
      result[axis] = plain ? term.coefficient : kIrregular;
    }
  }
  return result;
}

int store_axis(const LoopNest& nest) {
  const std::vector<int64_t> store = steps(nest, nest.store_index);
  for (size_t axis = 0; axis < store.size(); ++axis) {
    if (store[axis] == 1 && nest.axes[axis].kind == AxisKind::Output) return static_cast<int>(axis);
  }
  return -1;
}

std::vector<ExprId> staged_loads(const LoopNest& nest, int axis) {
  std::vector<ExprId> loads;
  const int along = store_axis(nest);
  if (along < 0 || along == axis) return loads;
  for (const ExprId id : lower::reachable(nest.arena, std::vector<ExprId>{nest.value})) {
    const lower::Expr& expr = nest.arena[id];
    if (expr.kind != lower::Kind::Load || expr.b != kNoExpr) continue;
    const std::vector<int64_t> step = steps(nest, expr.a);
    const int64_t far = step[static_cast<size_t>(along)];
    if (step[static_cast<size_t>(axis)] == 1 && far != 0 && far != 1 && far != kIrregular) loads.push_back(id);
  }
  return loads;
}

Scheduled apply(const LoopNest& nest, const Schedule& schedule) {
  Scheduled result{.nest = nest};
  Arena& arena = result.nest.arena;
  result.items = items_of_schedule(nest, schedule);
  int next_range = static_cast<int>(nest.axes.size());
  std::vector<ExprId> bases, points;
  for (int i = 0; i < static_cast<int>(nest.axes.size()); ++i) {
    const lower::Axis& axis = nest.axes[static_cast<size_t>(i)];
    TiledAxis tiled{.axis = i, .extent = axis.extent};
    tiled.lanes = amount_of(schedule, ActionKind::Vector, i, 1);
    tiled.unroll = amount_of(schedule, ActionKind::Unroll, i, 1);
    if (axis.kind == AxisKind::Output) {
      tiled.items = amount_of(schedule, ActionKind::Items, i, 1);
      tiled.spread = amount_of(schedule, ActionKind::Spread, i, 1);
    }
    bases.push_back(cut(arena, tiled, next_range));
    points.push_back(arena.add(bases.back(), tiled.place));
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
  result.chunk = amount_of(schedule, ActionKind::Chunk, -1, 1);
  result.local = static_cast<uint32_t>(amount_of(schedule, ActionKind::Local, -1, 1));
  for (const ItemsAlong& along : result.items) result.local *= static_cast<uint32_t>(along.amount);
  result.split = amount_of(schedule, ActionKind::Split, -1, 1);
  result.split_axis = place(result.reduces, axis_of(schedule, ActionKind::Split));
  if (!result.reduces.empty() && !result.reduces.back().divides())
    result.tail_value = tail_of(result, nest, points, next_range);
  if (const int across = axis_of(schedule, ActionKind::Stage); across >= 0) {
    const TiledAxis rows = result.outputs[place(result.outputs, across)];
    const TiledAxis columns = result.outputs[place(result.outputs, store_axis(nest))];
    for (const ExprId load : staged_loads(nest, across)) stage(result, load, rows, columns, bases, points, next_range);
  }
  std::array<ExprId*, 3> roots{&result.nest.value, &result.nest.store_index, &result.nest.store_condition};
  lower::substitute(arena, roots, points);
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
