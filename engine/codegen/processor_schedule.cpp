// The heuristic for processors: which axis the vector lanes run along, what is tiled in registers, how work is shared
// out. The choice is the least of a small cost model; its constants are cycles of an AVX-512 core, found by the
// measurements in docs/performance.md.
#include <algorithm>
#include <cmath>

#include "engine/codegen/analysis.h"

namespace quarry::codegen {

using lower::AxisKind;
using lower::LoopNest;

namespace {

constexpr double kTaskCycles = 45'000;  // about 15 us: far above the 0.2 us that PoCL needs to start a work-item
constexpr int64_t kTasksPerUnit = 8;
constexpr double kLongTaskCycles = 5e7;  // about 20 ms: a long launch is cut between work-items
constexpr int64_t kLongestSum = 32'768;  // additions one after the other in one f32: more are split, for accuracy
// Each row of a sum down columns lies on a page of its own: wide strips pay that less often.
constexpr double kFarRow = 4;
constexpr double kSpreadLoad = 2.5;  // a lane of a load whose lanes are not neighbours
constexpr double kShuffle = 3;       // another load, and putting both together
constexpr double kFarLoad = 4;       // the same where each lane lies on a page of its own
constexpr int64_t kFarStep = 1024;   // elements: a page of f32
constexpr double kLongCode = 4'000;  // operations in a tile that double its cost: compiling takes longer than they save
constexpr double kAddLatency = 4;    // cycles until a sum can be added to again

// One candidate: lanes along `lane_axis`, registers tiled along up to two output axes.
struct Tiling {
  int lane_axis = -1;
  int64_t lanes = 1;
  std::vector<std::pair<int, int64_t>> unroll;  // axis, copies
  double cost = INFINITY;                       // cycles a point

  int64_t copies_along(int axis) const {
    for (const auto& [unrolled, copies] : unroll) {
      if (unrolled == axis) return copies;
    }
    return 1;
  }
};

class ProcessorHeuristic {
 public:
  ProcessorHeuristic(const LoopNest& nest, const Target& target)
      : nest_(nest), target_(target), analysis_(analyse(nest)) {}

  Schedule run() {
    Tiling best = cheapest();
    unroll_plainly(best);
    Schedule schedule;
    if (best.lanes > 1) schedule.push_back({ActionKind::Vector, best.lane_axis, best.lanes});
    for (const auto& [axis, copies] : best.unroll) {
      if (copies > 1) schedule.push_back({ActionKind::Unroll, axis, copies});
    }
    const bool tiled_both_ways =
        best.unroll.size() == 2 && nest_.axes[static_cast<size_t>(best.lane_axis)].kind == AxisKind::Output;
    if (nest_.reduce && tiled_both_ways) schedule.push_back({ActionKind::Outer, best.lane_axis, 0});
    share_out(schedule, best);
    return schedule;
  }

 private:
  int axes() const { return static_cast<int>(nest_.axes.size()); }
  const lower::Axis& axis(int i) const { return nest_.axes[static_cast<size_t>(i)]; }

  int64_t lanes_for(int i) const {
    const int64_t most = target_.native_lanes * 4 / std::max(4, analysis_.widest_bytes);
    return std::min<int64_t>(std::max<int64_t>(most, 2), power_of_two_below(axis(i).extent));
  }

  // Operands that do not depend on an output axis are worth keeping in registers along it.
  bool is_reused_along(int i) const {
    if (axis(i).kind != AxisKind::Output || !nest_.reduce) return false;
    return std::any_of(analysis_.items.begin(), analysis_.items.end(),
                       [&](const Item& item) { return item.is_load && !(item.ranges >> i & 1); });
  }

  Tiling cheapest() const {
    Tiling best;
    evaluate(best, Tiling{});
    for (int lane = 0; lane < axes(); ++lane) {
      if (axis(lane).extent < 2) continue;
      const Tiling candidate{.lane_axis = lane, .lanes = lanes_for(lane), .unroll = {}};
      const std::vector<int> reused = worth_tiling(candidate);
      evaluate_tiles(best, candidate, reused.empty() ? -1 : reused[0], -1);
      for (size_t i = 0; i < reused.size(); ++i) {
        for (size_t j = i + 1; j < reused.size(); ++j) evaluate_tiles(best, candidate, reused[i], reused[j]);
      }
    }
    return best;
  }

  // The axes along which a register tile may lie: those of the lanes, then those that save most loads.
  std::vector<int> worth_tiling(const Tiling& candidate) const {
    constexpr size_t kMostTried = 3;
    const int lane = candidate.lane_axis;
    std::vector<int> reused;
    for (int i = 0; i < axes(); ++i) {
      if (is_reused_along(i) && most_copies(candidate, i) > 1) reused.push_back(i);
    }
    std::stable_sort(reused.begin(), reused.end(), [&](int a, int b) {
      if ((a == lane) != (b == lane)) return a == lane;
      return axis(a).extent > axis(b).extent;
    });
    if (reused.empty() && axis(lane).kind == AxisKind::Output && nest_.reduce) reused.push_back(lane);
    if (reused.size() > kMostTried) reused.resize(kMostTried);
    return reused;
  }

  // All tiles of up to most_sums() sums along one axis or two.
  void evaluate_tiles(Tiling& best, Tiling candidate, int first, int second) const {
    for (int64_t u = 1; u <= most_copies(candidate, first); ++u) {
      for (int64_t v = 1; v <= most_copies(candidate, second) && u * v <= most_sums(); ++v) {
        candidate.unroll.clear();
        if (first >= 0) candidate.unroll.push_back({first, u});
        if (second >= 0) candidate.unroll.push_back({second, v});
        evaluate(best, candidate);
      }
    }
  }

  int64_t most_sums() const { return target_.native_lanes >= 16 ? 26 : 12; }
  int64_t most_copies(const Tiling& tiling, int i) const {
    if (i < 0) return 1;
    const int64_t lanes = i == tiling.lane_axis ? tiling.lanes : 1;
    return std::min<int64_t>(i == tiling.lane_axis ? 8 : 14, std::max<int64_t>(1, axis(i).extent / lanes));
  }

  double item_cost(const Item& item, const Tiling& tiling) const {
    double cost = item.cost;
    const size_t lane = static_cast<size_t>(std::max(tiling.lane_axis, 0));
    if (item.is_load && tiling.lanes > 1 && (item.ranges >> lane & 1) && item.step[lane] != 1) {
      const int64_t step = item.step[lane];
      const bool far = step >= kFarStep || step <= -kFarStep;
      const bool shuffled = step == 2 || step == -1;  // Values::load_run
      cost = shuffled ? cost + kShuffle : static_cast<double>(tiling.lanes) * (far ? kFarLoad : kSpreadLoad);
    }
    // A value that does not vary along the lanes is one scalar for all of them; a load must then be spread.
    for (const auto& [unrolled, copies] : tiling.unroll) {
      if (!(item.ranges >> unrolled & 1)) cost /= static_cast<double>(copies);
    }
    return cost;
  }

  void evaluate(Tiling& best, Tiling candidate) const {
    double cost = nest_.reduce ? 1 : 0, efficiency = 1;
    for (const Item& item : analysis_.items) cost += item_cost(item, candidate);
    int64_t sums = 1;
    for (const auto& [unrolled, copies] : candidate.unroll) sums *= copies;
    const bool lanes_reduce = candidate.lane_axis >= 0 && axis(candidate.lane_axis).kind == AxisKind::Reduce;
    const bool columns = candidate.unroll.size() == 1 && candidate.unroll[0].first == candidate.lane_axis;
    if (nest_.reduce && columns && !lanes_reduce) cost += kFarRow / static_cast<double>(sums);
    if (nest_.reduce) {
      const int64_t more = lanes_reduce ? reduce_copies(candidate, sums) : 1;
      cost = std::max(cost, kAddLatency / static_cast<double>(sums * more));
    }
    for (int i = 0; i < axes(); ++i) {
      const int64_t tile = candidate.copies_along(i) * (i == candidate.lane_axis ? candidate.lanes : 1);
      efficiency *= static_cast<double>(axis(i).extent) / static_cast<double>(ceil_div(axis(i).extent, tile) * tile);
    }
    const double reduced = static_cast<double>(std::max<int64_t>(1, nest_.points(AxisKind::Reduce)));
    double store = 1;
    if (lanes_reduce) {
      store = fold_cost(candidate.lanes, sums) * static_cast<double>(candidate.lanes);
    } else if (candidate.lane_axis >= 0 && analysis_.store_step[static_cast<size_t>(candidate.lane_axis)] != 1) {
      store = static_cast<double>(candidate.lanes);
    }
    candidate.cost = (cost + store / reduced) / (static_cast<double>(candidate.lanes) * efficiency);
    candidate.cost *= 1 + operations(candidate) / kLongCode;
    if (candidate.cost < best.cost * 0.999) best = candidate;
  }

  // What is written down for one tile.
  double operations(const Tiling& tiling) const {
    double total = 0;
    for (const Item& item : analysis_.items) {
      double copies = 1;
      for (const auto& [unrolled, along] : tiling.unroll) {
        if (item.ranges >> unrolled & 1) copies *= static_cast<double>(along);
      }
      total += copies;
    }
    return total;
  }

  // Adding up the lanes of one sum, its share of what a group of them needs (Emitter::fold), and storing it alone.
  static double fold_cost(int64_t lanes, int64_t sums) {
    const double together = static_cast<double>(power_of_two_below(std::min(lanes, sums)));
    const double folds = std::log2(static_cast<double>(lanes) / together);
    return 3 * (together - 1 + folds) / together + 2;
  }

  // Copies along the lanes' reduce axis, so that enough sums are under way.
  int64_t reduce_copies(const Tiling& tiling, int64_t sums) const {
    const int64_t vectors = axis(tiling.lane_axis).extent / tiling.lanes;
    int64_t copies = 1;
    while (copies * sums < 4 && copies * 4 <= vectors) copies *= 2;
    return copies;
  }

  void unroll_plainly(Tiling& tiling) const {
    if (tiling.lane_axis < 0) return;
    int64_t copies = 1;
    if (!nest_.reduce) {
      const int64_t vectors = axis(tiling.lane_axis).extent / tiling.lanes;
      copies = std::min<int64_t>(analysis_.items.size() > 40 ? 1 : 2, vectors);
      // Loads that the lanes gather from afar are neighbours along another axis: a tile of both uses whole cache lines.
      if (const int other = gathered_along(tiling.lane_axis); other >= 0) {
        tiling.unroll.push_back({other, std::min<int64_t>(8, axis(other).extent)});
        copies = 1;
      }
    } else if (axis(tiling.lane_axis).kind == AxisKind::Reduce) {
      int64_t sums = 1;
      for (const auto& [unrolled, along] : tiling.unroll) sums *= along;
      copies = reduce_copies(tiling, sums);
    }
    if (copies > 1) tiling.unroll.push_back({tiling.lane_axis, copies});
  }

  // The axis along which a load steps by one although it does not along the lanes; -1 if there is none.
  int gathered_along(int lane_axis) const {
    for (const Item& item : analysis_.items) {
      if (!item.is_load) continue;
      const int64_t step = item.step[static_cast<size_t>(lane_axis)];
      if (step == 0 || step == 1 || step == kIrregular) continue;
      for (int i = 0; i < axes(); ++i) {
        if (axis(i).kind == AxisKind::Output && item.step[static_cast<size_t>(i)] == 1) return i;
      }
    }
    return -1;
  }

  int64_t tile_of(const Tiling& tiling, int i) const {
    return tiling.copies_along(i) * (i == tiling.lane_axis ? tiling.lanes : 1);
  }

  void share_out(Schedule& schedule, const Tiling& tiling) const {
    int64_t tiles = 1, longest = -1, longest_tiles = 1, serial = 1;
    for (int i = 0; i < axes(); ++i) {
      const int64_t along = ceil_div(axis(i).extent, tile_of(tiling, i));
      if (axis(i).kind == AxisKind::Output) {
        tiles *= along;
        continue;
      }
      serial *= along;
      if (axis(i).extent / tile_of(tiling, i) > longest_tiles) {
        longest = i;
        longest_tiles = axis(i).extent / tile_of(tiling, i);
      }
    }
    const double points = static_cast<double>(nest_.points(AxisKind::Output)) *
                          static_cast<double>(std::max<int64_t>(1, nest_.points(AxisKind::Reduce)));
    const double cycles = points * tiling.cost;
    const int64_t wanted =
        std::max(target_.compute_units * kTasksPerUnit, static_cast<int64_t>(std::min(cycles / kLongTaskCycles, 1e6)));
    const int64_t tasks = std::clamp<int64_t>(static_cast<int64_t>(std::min(cycles / kTaskCycles, 1e9)), 1, wanted);
    if (longest >= 0) {
      const int64_t for_speed = tiles < tasks ? ceil_div(tasks, tiles) : 1;
      const int64_t for_accuracy = graph::is_float(nest_.result) ? ceil_div(serial, kLongestSum) : 1;
      const int64_t parts = std::min({std::max(for_speed, for_accuracy), longest_tiles, most_parts(nest_, target_)});
      if (parts > 1) {
        schedule.push_back({ActionKind::Split, static_cast<int>(longest), parts});
        tiles *= parts;
      }
    }
    schedule.push_back({ActionKind::Chunk, -1, ceil_div(tiles, std::max<int64_t>(1, std::min(tasks, tiles)))});
    schedule.push_back({ActionKind::Local, -1, 1});
  }

  const LoopNest& nest_;
  const Target& target_;
  Analysis analysis_;
};

}  // namespace

Schedule processor_schedule(const LoopNest& nest, const Target& target) {
  return ProcessorHeuristic(nest, target).run();
}

}  // namespace quarry::codegen
