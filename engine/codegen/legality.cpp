// The only door: what a schedule must not ask for. Each rule is one function that returns what is wrong, or nothing.
#include <algorithm>
#include <bit>
#include <set>

#include "engine/codegen/kernel_text.h"

namespace quarry::codegen {

using lower::AxisKind;
using lower::LoopNest;

namespace {

constexpr int64_t kMostCopies = 4'096;   // points that one work-item writes out: beyond, compilers take minutes
constexpr int64_t kMostRegisters = 256;  // values that one work-item of a GPU keeps at once
constexpr int64_t kMostItems = 1'024;    // work-items of a group on any GPU
constexpr int kRangesOfAnAxis = 5;       // tile, base, spread or item, unroll, lane
constexpr int64_t kMostParts = 1 << 20;

bool needs_axis(ActionKind kind) {
  return kind != ActionKind::Chunk && kind != ActionKind::Local;
}
bool has_amount(ActionKind kind) {
  return kind != ActionKind::Outer && kind != ActionKind::Stage;
}
// One of its kind in a schedule; the others one for each axis.
bool is_single(ActionKind kind) {
  return kind != ActionKind::Unroll && kind != ActionKind::Items && kind != ActionKind::Spread;
}

class Check {
 public:
  Check(const LoopNest& nest, const Schedule& schedule, const Target& target)
      : nest_(nest), schedule_(schedule), target_(target) {}

  std::string run() const {
    for (const Action& action : schedule_) {
      if (std::string why = well_formed(action); !why.empty()) return why;
    }
    for (auto rule : {&Check::repeated, &Check::tiles, &Check::vectors, &Check::groups, &Check::parts, &Check::stages,
                      &Check::sizes}) {
      if (std::string why = (this->*rule)(); !why.empty()) return why;
    }
    return "";
  }

 private:
  bool is_reduce(int axis) const { return nest_.axes[static_cast<size_t>(axis)].kind == AxisKind::Reduce; }
  int64_t extent(int axis) const { return nest_.axes[static_cast<size_t>(axis)].extent; }
  const Action* find(ActionKind kind, int axis = -1) const {
    for (const Action& action : schedule_) {
      if (action.kind == kind && (axis < 0 || action.axis == axis)) return &action;
    }
    return nullptr;
  }
  int64_t amount(ActionKind kind, int axis = -1) const {
    const Action* action = find(kind, axis);
    return action == nullptr ? 1 : action->amount;
  }

  std::string well_formed(const Action& action) const {
    const bool axis_exists = action.axis >= 0 && action.axis < static_cast<int>(nest_.axes.size());
    if (needs_axis(action.kind) && !axis_exists) return "an action names no axis of the nest";
    if (has_amount(action.kind) && action.amount < 1) return "an amount is below 1";
    if (!needs_axis(action.kind)) return "";
    const bool reduce = is_reduce(action.axis);
    if (action.kind == ActionKind::Split && !reduce) return "only a reduce axis can be split";
    const bool on_output =
        action.kind == ActionKind::Outer || action.kind == ActionKind::Spread || action.kind == ActionKind::Stage;
    if (on_output && reduce) return "outer, spread and stage name an output axis";
    return "";
  }

  std::string repeated() const {
    std::set<std::pair<ActionKind, int>> seen;
    for (const Action& action : schedule_) {
      if (!seen.insert({action.kind, is_single(action.kind) ? -1 : action.axis}).second)
        return "two actions of one kind on one axis";
    }
    return "";
  }

  int64_t tile(int axis) const {
    const int64_t vector = amount(ActionKind::Unroll, axis) * amount(ActionKind::Vector, axis);
    if (is_reduce(axis)) return vector;
    return vector * amount(ActionKind::Items, axis) * amount(ActionKind::Spread, axis);
  }

  std::string tiles() const {
    int tiled_reduces = 0;
    int64_t copies = 1;
    for (int axis = 0; axis < static_cast<int>(nest_.axes.size()); ++axis) {
      for (const ActionKind kind : {ActionKind::Unroll, ActionKind::Vector, ActionKind::Items, ActionKind::Spread}) {
        if (amount(kind, axis) > extent(axis) && extent(axis) > 0) return "a tile is longer than its axis";
      }
      if (tile(axis) > std::max<int64_t>(1, extent(axis))) return "a tile is longer than its axis";
      if (is_reduce(axis) && tile(axis) > 1) ++tiled_reduces;
      copies *= amount(ActionKind::Unroll, axis) * amount(ActionKind::Spread, axis);
      if (copies > (find(ActionKind::Items) == nullptr ? kMostCopies : kMostRegisters))
        return "a work-item has too many copies";
    }
    if (tiled_reduces > 1) return "more than one reduce axis is tiled";
    if (find(ActionKind::Items) == nullptr && find(ActionKind::Spread) != nullptr) return "spread needs items";
    return "";
  }

  std::string vectors() const {
    const Action* vector = find(ActionKind::Vector);
    if (vector == nullptr || vector->amount == 1) return "";
    if (target_.dialect != Dialect::OpenCl) return "only OpenCL C has vectors";
    if (vector->amount > 16 || !std::has_single_bit(static_cast<uint64_t>(vector->amount)))
      return "a vector has 2, 4, 8 or 16 lanes";
    if (find(ActionKind::Items) != nullptr) return "the items of a group compute no vectors";
    return "";
  }

  std::string groups() const {
    if (find(ActionKind::Items) == nullptr) {
      return amount(ActionKind::Local) > kMostItems ? "a group has too many items" : "";
    }
    if (!target_.is_gpu) return "only a GPU shares a tile out to a group";
    if (find(ActionKind::Local) != nullptr) return "items and local both say how many items a group has";
    if (find(ActionKind::Chunk) != nullptr) return "a group computes one tile, not a chunk of them";
    int64_t local = 1, reduces = 0;
    for (const Action& action : schedule_) {
      if (action.kind != ActionKind::Items) continue;
      if (!std::has_single_bit(static_cast<uint64_t>(action.amount))) return "items along an axis are a power of two";
      if (is_reduce(action.axis)) ++reduces;
      local *= action.amount;
      if (local > std::min<int64_t>(kMostItems, target_.group_size)) return "a group has too many items";
    }
    if (reduces > 1) return "items share more than one reduce axis";
    return "";
  }

  std::string parts() const {
    const Action* split = find(ActionKind::Split);
    if (split == nullptr || split->amount == 1) return "";
    if (split->amount > std::max<int64_t>(1, extent(split->axis) / tile(split->axis)))
      return "a reduction has more parts than tiles";
    const auto bytes = static_cast<uint64_t>(graph::byte_size(nest_.accumulator));
    const auto results = static_cast<uint64_t>(std::max<int64_t>(1, nest_.result_elements));
    if (split->amount > kMostParts ||
        target_.most_scratch_bytes / bytes / results < static_cast<uint64_t>(split->amount))
      return "the parts of the reduction do not fit the scratch memory";
    return "";
  }

  std::string stages() const {
    const Action* stage = find(ActionKind::Stage);
    if (stage == nullptr) return "";
    const int along = store_axis(nest_);
    if (find(ActionKind::Items) == nullptr || nest_.reduce || along < 0 || along == stage->axis)
      return "only a group that computes elements next to each other stages loads";
    for (int axis = 0; axis < static_cast<int>(nest_.axes.size()); ++axis) {
      if (axis != along && axis != stage->axis && tile(axis) > 1) return "a staged tile lies along two axes";
    }
    const int64_t rows = tile(stage->axis), columns = tile(along);
    const int64_t local = amount(ActionKind::Items, along) * amount(ActionKind::Items, stage->axis);
    for (const lower::ExprId load : staged_loads(nest_, stage->axis)) {
      const int64_t wide = std::max<int64_t>(1, 4 / static_cast<int64_t>(graph::byte_size(nest_.arena[load].dtype)));
      const bool whole = rows % wide == 0 && local % (rows / wide) == 0 && columns % (local / (rows / wide)) == 0;
      if (!whole || local < rows / wide) return "the items do not fill the staged tile evenly";
    }
    return "";
  }

  std::string sizes() const {
    if (static_cast<int>(nest_.axes.size()) + 4 + kRangesOfAnAxis * actions_on_axes() + tile_ranges() >
        lower::kMaxRanges)
      return "the kernel has too many ranges";
    const Scheduled scheduled = apply(nest_, schedule_);
    if (shared_bytes(scheduled, target_) > static_cast<int64_t>(target_.shared_bytes))
      return "the group needs more shared memory than there is";
    return "";
  }
  int tile_ranges() const { return 2 * static_cast<int>(nest_.axes.size()); }
  int actions_on_axes() const {
    std::set<int> axes;
    for (const Action& action : schedule_) {
      if (needs_axis(action.kind)) axes.insert(action.axis);
    }
    return static_cast<int>(axes.size());
  }

  const LoopNest& nest_;
  const Schedule& schedule_;
  const Target& target_;
};

}  // namespace

std::string check(const LoopNest& nest, const Schedule& schedule, const Target& target) {
  return Check(nest, schedule, target).run();
}

}  // namespace quarry::codegen
