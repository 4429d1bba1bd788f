// Chooses the axes to loop over. Lowering starts with one axis per graph axis; the fewest Div and Mod are left when
// axes that every index walks as one are joined, and axes that indices take apart are split.
#include <array>
#include <optional>

#include "engine/lower/lower.h"

namespace quarry::lower {

namespace {

std::array<ExprId*, 3> roots(LoopNest& nest) {
  return {&nest.value, &nest.store_index, &nest.store_condition};
}

constexpr size_t kMostAxes = 24;  // a schedule adds a range or two to each: all fit in kMaxRanges
// Each try rebuilds the nest's expressions. A kernel that was written to be slow has half a million of them, and its
// tries would take over a minute and gigabytes: no more are made once the arena holds this many.
constexpr size_t kMostExpressions = size_t{1} << 20;

struct Cost {
  size_t divisions = 0;  // Div, Mod and bounds: what an index must compute
  size_t axes = 0;
  auto operator<=>(const Cost&) const = default;
};

Cost cost_of(const LoopNest& nest, size_t axes) {
  Cost cost{.divisions = 0, .axes = axes};
  for (ExprId id : reachable(nest.arena, std::vector<ExprId>{nest.value, nest.store_index, nest.store_condition})) {
    const Kind kind = nest.arena[id].kind;
    cost.divisions += kind == Kind::Div || kind == Kind::Mod;
  }
  return cost;
}

// Replaces axes [first, first + count) by `extents`; each old axis is given as an expression of the new ranges. Kept
// when that costs less.
struct Rewrite {
  size_t first, count;
  std::vector<int64_t> extents;
};

// The same roots over renumbered axes. Returns false, and leaves the nest alone, when nothing is gained.
bool try_rewrite(LoopNest& nest, const Rewrite& rewrite) {
  const size_t axes = nest.axes.size() - rewrite.count + rewrite.extents.size();
  Arena& arena = nest.arena;
  if (axes > kMostAxes || arena.size() > kMostExpressions) return false;
  std::vector<ExprId> replacement(nest.axes.size());
  ExprId flat = arena.integer(0);
  for (size_t i = 0; i < rewrite.extents.size(); ++i) {
    flat = arena.add(arena.multiply(flat, rewrite.extents[i]),
                     arena.range(static_cast<int>(rewrite.first + i), rewrite.extents[i]));
  }
  int64_t stride = 1;
  for (size_t i = nest.axes.size(); i-- > 0;) {
    if (i < rewrite.first) {
      replacement[i] = arena.range(static_cast<int>(i), nest.axes[i].extent);
    } else if (i >= rewrite.first + rewrite.count) {
      const size_t moved = i - rewrite.count + rewrite.extents.size();
      replacement[i] = arena.range(static_cast<int>(moved), nest.axes[i].extent);
    } else {
      const ExprId digit = i == rewrite.first ? flat : arena.mod(flat, stride * nest.axes[i].extent);
      replacement[i] = arena.div(digit, stride);
      stride *= nest.axes[i].extent;
    }
  }
  const Cost before = cost_of(nest, nest.axes.size());
  const ExprId saved[] = {nest.value, nest.store_index, nest.store_condition};
  auto changed = roots(nest);
  substitute(arena, changed, replacement);
  if (cost_of(nest, axes) < before) {
    const AxisKind kind = nest.axes[rewrite.first].kind;
    const auto at = nest.axes.erase(nest.axes.begin() + static_cast<ptrdiff_t>(rewrite.first),
                                    nest.axes.begin() + static_cast<ptrdiff_t>(rewrite.first + rewrite.count));
    std::vector<Axis> added;
    for (int64_t extent : rewrite.extents) added.push_back({extent, kind});
    nest.axes.insert(at, added.begin(), added.end());
    return true;
  }
  nest.value = saved[0];
  nest.store_index = saved[1];
  nest.store_condition = saved[2];
  return false;
}

bool join_one_pair(LoopNest& nest) {
  for (size_t i = 0; i + 1 < nest.axes.size(); ++i) {
    if (nest.axes[i].kind != nest.axes[i + 1].kind) continue;
    if (try_rewrite(nest, {i, 2, {nest.axes[i].extent * nest.axes[i + 1].extent}})) return true;
  }
  return false;
}

// An axis r of which some index takes r / c or r % c, c dividing its extent.
std::optional<Rewrite> next_split(const LoopNest& nest, size_t after) {
  size_t seen = 0;
  for (ExprId id : reachable(nest.arena, std::vector<ExprId>{nest.value, nest.store_index, nest.store_condition})) {
    const Expr& expr = nest.arena[id];
    if ((expr.kind != Kind::Div && expr.kind != Kind::Mod) || nest.arena[expr.a].kind != Kind::Range) continue;
    const size_t axis = static_cast<size_t>(nest.arena[expr.a].x);
    const int64_t extent = nest.axes[axis].extent;
    if (extent % expr.x != 0 || extent == expr.x || seen++ < after) continue;
    return Rewrite{axis, 1, {extent / expr.x, expr.x}};
  }
  return std::nullopt;
}

}  // namespace

void reshape_axes(LoopNest& nest) {
  if (nest.points(AxisKind::Reduce) == 0) return;
  while (join_one_pair(nest)) {
  }
  for (size_t skipped = 0;;) {
    const auto split = next_split(nest, skipped);
    if (!split || nest.arena.size() > kMostExpressions) break;
    skipped = try_rewrite(nest, *split) ? 0 : skipped + 1;
  }
  while (join_one_pair(nest)) {
  }
}

}  // namespace quarry::lower
