// The heuristic for GPUs. It looks at which axes loads and stores are neighbours along: neighbouring work-items take
// neighbouring addresses, and each of them up to 16 bytes at once.
#include <algorithm>
#include <numeric>

#include "engine/codegen/analysis.h"

namespace quarry::codegen {

using lower::AxisKind;
using lower::LoopNest;

namespace {

constexpr int64_t kWordBytes = 16;  // of one load or store
// Groups of a split reduction that a compute unit gets: few parts of columns, since each writes a whole row of sums;
// many of rows, so that the last wave is a small part of all.
constexpr int64_t kColumnGroupsAUnit = 8, kRowGroupsAUnit = 32;
constexpr int64_t kVectorsAnItem = 4;  // of a row: with fewer, adding up across the items costs more than reading
constexpr int64_t kContractionOutputs = 16'384;  // from which a tile of registers for each item fills the GPU
constexpr int64_t kContractionDepth = 4;         // products of an item's tile for each turn of the loop
constexpr int64_t kStagedTile = 64;

class GpuHeuristic {
 public:
  GpuHeuristic(const LoopNest& nest, const Target& target) : nest_(nest), target_(target), analysis_(analyse(nest)) {}

  Schedule run() {
    for (auto shape : {&GpuHeuristic::contraction, &GpuHeuristic::rows, &GpuHeuristic::columns,
                       &GpuHeuristic::transposition, &GpuHeuristic::elements}) {
      schedule_.clear();
      if ((this->*shape)() && check(nest_, schedule_, target_).empty()) return schedule_;
    }
    return {{ActionKind::Local, -1, target_.group_size}};
  }

 private:
  int axes() const { return static_cast<int>(nest_.axes.size()); }
  int64_t extent(int axis) const { return nest_.axes[static_cast<size_t>(axis)].extent; }
  bool is_output(int axis) const { return nest_.axes[static_cast<size_t>(axis)].kind == AxisKind::Output; }
  void add(ActionKind kind, int axis, int64_t amount) {
    if (amount > 1 || kind == ActionKind::Stage) schedule_.push_back({kind, axis, amount});
  }

  int64_t step(const Item& item, int axis) const { return item.step[static_cast<size_t>(axis)]; }

  // Bytes that the loads bring which are neighbours along the axis.
  int64_t neighbouring_bytes(int axis) const {
    int64_t bytes = 0;
    for (const Item& item : analysis_.items) {
      if (item.is_load && step(item, axis) == 1) bytes += item.bytes;
    }
    return bytes;
  }
  int64_t bytes_loaded() const {
    int64_t bytes = 0;
    for (const Item& item : analysis_.items) {
      if (item.is_load) bytes += item.bytes;
    }
    return bytes;
  }

  // How many neighbours along the axis make 16 bytes of the widest load or store; 1 where the axis' extent or another
  // stride would leave them unaligned.
  int64_t vector_along(int axis) const {
    int64_t bytes = 1, divisor = extent(axis);
    const auto see = [&](const std::vector<int64_t>& steps, int64_t element_bytes) {
      if (steps[static_cast<size_t>(axis)] != 1) return;
      bytes = std::max(bytes, element_bytes);
      for (int other = 0; other < axes(); ++other) {
        const int64_t distance = steps[static_cast<size_t>(other)];
        if (other != axis && distance != kIrregular) divisor = std::gcd(divisor, distance);
      }
    };
    for (const Item& item : analysis_.items) {
      if (item.is_load) see(item.step, item.bytes);
    }
    if (is_output(axis)) see(analysis_.store_step, static_cast<int64_t>(graph::byte_size(nest_.result)));
    int64_t vector = std::max<int64_t>(1, kWordBytes / bytes);
    while (vector > 1 && divisor % vector != 0) vector /= 2;
    return vector;
  }

  // The most of 1, 2, 4 .. `most` such that tiles of `unit` times that cover the axis with little overlap.
  static int64_t fitting(int64_t extent, int64_t unit, int64_t most) {
    int64_t best = 1;
    for (int64_t amount = 1; amount <= most && amount * unit <= extent; amount *= 2) {
      if (ceil_div(extent, amount * unit) * amount * unit * 4 <= extent * 5) best = amount;
    }
    return best;
  }

  // Gives the work-items that are left to output axes, the fastest in memory first.
  void share_items(int64_t left, int taken) {
    std::vector<int> outputs;
    for (int axis = 0; axis < axes(); ++axis) {
      if (is_output(axis) && axis != taken) outputs.push_back(axis);
    }
    std::stable_sort(outputs.begin(), outputs.end(), [&](int a, int b) {
      return analysis_.store_step[static_cast<size_t>(a)] < analysis_.store_step[static_cast<size_t>(b)];
    });
    for (const int axis : outputs) {
      const int64_t items = fitting(extent(axis), 1, left);
      add(ActionKind::Items, axis, items);
      left /= items;
    }
  }

  int longest_reduce() const {
    int longest = -1;
    for (int axis = 0; axis < axes(); ++axis) {
      if (!is_output(axis) && (longest < 0 || extent(axis) > extent(longest))) longest = axis;
    }
    return longest;
  }

  int64_t groups() const {
    int64_t count = 1;
    for (int axis = 0; axis < axes(); ++axis) {
      if (!is_output(axis)) continue;
      int64_t tile = 1;
      for (const Action& action : schedule_) {
        if (action.axis == axis && action.kind != ActionKind::Stage) tile *= action.amount;
      }
      count *= ceil_div(extent(axis), tile);
    }
    return count;
  }

  // Splits the reduction until every unit has groups enough; each item keeps a few tiles.
  void split(int axis, int64_t vector, int64_t items, int64_t groups_a_unit) {
    const int64_t wanted = ceil_div(int64_t{target_.compute_units} * groups_a_unit, groups());
    const int64_t parts = std::min({wanted, extent(axis) / (vector * items * 4), most_parts(nest_, target_)});
    if (parts > 1) add(ActionKind::Split, axis, parts);
  }

  // Operands that are used again along two output axes: a tile of registers for each item.
  bool contraction() {
    const int longest = longest_reduce();
    if (longest < 0 || nest_.points(AxisKind::Output) < kContractionOutputs) return false;
    std::vector<int> reused;
    for (int axis = 0; axis < axes(); ++axis) {
      if (!is_output(axis) || extent(axis) < 16) continue;
      const bool is_reused = std::any_of(analysis_.items.begin(), analysis_.items.end(),
                                         [&](const Item& item) { return item.is_load && !(item.ranges >> axis & 1); });
      if (is_reused) reused.push_back(axis);
    }
    if (reused.size() < 2) return false;
    const int across = reused.back(), down = reused[reused.size() - 2];
    const bool large = extent(across) >= 128 && extent(down) >= 128 &&
                       nest_.points(AxisKind::Output) >= int64_t{target_.compute_units} * 128 * 128;
    const int64_t tile = large && analysis_.widest_bytes <= 4 ? 8 : 4;
    add(ActionKind::Unroll, across, tile);
    add(ActionKind::Unroll, down, tile);
    const int64_t items_across = fitting(extent(across), tile, 16);
    add(ActionKind::Items, across, items_across);
    add(ActionKind::Items, down, fitting(extent(down), tile, target_.group_size / items_across));
    add(ActionKind::Unroll, longest, std::min<int64_t>(extent(longest), kContractionDepth));
    return true;
  }

  // Loads that are neighbours along the reduction: neighbouring work-items share it.
  bool rows() {
    const int longest = longest_reduce();
    if (longest < 0 || extent(longest) < 32 || 2 * neighbouring_bytes(longest) < bytes_loaded()) return false;
    if (neighbouring_bytes(longest) == 0) return false;
    const int64_t vector = vector_along(longest), vectors = extent(longest) / vector;
    const int64_t fewest = std::min<int64_t>(target_.subgroup, power_of_two_below(vectors));
    const int64_t items = std::clamp<int64_t>(power_of_two_below(std::max<int64_t>(1, vectors / kVectorsAnItem)),
                                              fewest, std::max<int64_t>(fewest, target_.group_size));
    add(ActionKind::Unroll, longest, vector);
    add(ActionKind::Items, longest, items);
    share_items(target_.group_size / items, -1);
    split(longest, vector, items, kRowGroupsAUnit);
    return items > 1;
  }

  // Loads that are neighbours along an output axis: strips of columns, whose rows are shared.
  bool columns() {
    const int longest = longest_reduce();
    if (longest < 0) return false;
    int along = -1;
    for (int axis = 0; axis < axes(); ++axis) {
      if (!is_output(axis) || neighbouring_bytes(axis) == 0) continue;
      if (along < 0 || neighbouring_bytes(axis) > neighbouring_bytes(along)) along = axis;
    }
    if (along < 0 || extent(along) < 8) return false;
    // Each copy keeps an accumulator, in shared memory too.
    const int64_t vector = std::min<int64_t>(vector_along(along), 8);
    const int64_t across = fitting(extent(along), vector, target_.subgroup);
    const int64_t down =
        std::min<int64_t>(target_.group_size / across, power_of_two_below(std::max<int64_t>(1, extent(longest) / 4)));
    add(ActionKind::Unroll, along, vector);
    add(ActionKind::Items, along, across);
    const bool shared = extent(longest) >= 32 && down > 1;
    if (shared) add(ActionKind::Items, longest, down);
    share_items(target_.group_size / across / (shared ? down : 1), along);
    split(longest, 1, shared ? down : 1, kColumnGroupsAUnit);
    return std::any_of(schedule_.begin(), schedule_.end(), [](const Action& a) { return a.kind == ActionKind::Items; });
  }

  // Loads that are neighbours along another axis than the store's go through a tile of shared memory.
  bool transposition() {
    const int along = store_axis(nest_);
    if (nest_.reduce || along < 0) return false;
    int across = -1;
    for (int axis = 0; axis < axes(); ++axis) {
      if (is_output(axis) && !staged_loads(nest_, axis).empty() && (across < 0 || extent(axis) > extent(across)))
        across = axis;
    }
    if (across < 0) return false;
    int64_t bytes = static_cast<int64_t>(graph::byte_size(nest_.result));
    for (const lower::ExprId load : staged_loads(nest_, across))
      bytes = std::max(bytes, static_cast<int64_t>(graph::byte_size(nest_.arena[load].dtype)));
    const int64_t tile = bytes > 4 ? kStagedTile / 2 : kStagedTile;
    if (extent(along) < tile || extent(across) < tile) return false;
    const int64_t vector = std::max<int64_t>(1, 4 / static_cast<int64_t>(graph::byte_size(nest_.result)));
    const int64_t items = std::min<int64_t>(32, tile / vector), down = target_.group_size / items;
    add(ActionKind::Unroll, along, vector);
    add(ActionKind::Items, along, items);
    add(ActionKind::Spread, along, tile / vector / items);
    add(ActionKind::Items, across, down);
    add(ActionKind::Spread, across, tile / down);
    add(ActionKind::Stage, across, 0);
    return true;
  }

  bool elements() {
    const int along = store_axis(nest_);
    if (nest_.reduce || along < 0) return false;
    const bool has_far_loads = std::any_of(analysis_.items.begin(), analysis_.items.end(), [&](const Item& item) {
      return item.is_load && step(item, along) != 0 && step(item, along) != 1;
    });
    const int64_t vector = has_far_loads ? 1 : vector_along(along);
    const int64_t items = fitting(extent(along), vector, target_.group_size);
    add(ActionKind::Unroll, along, vector);
    add(ActionKind::Items, along, items);
    share_items(target_.group_size / items, along);
    return std::any_of(schedule_.begin(), schedule_.end(), [](const Action& a) { return a.kind == ActionKind::Items; });
  }

  const LoopNest& nest_;
  const Target& target_;
  Analysis analysis_;
  Schedule schedule_;
};

}  // namespace

Schedule gpu_schedule(const LoopNest& nest, const Target& target) {
  return GpuHeuristic(nest, target).run();
}

}  // namespace quarry::codegen
