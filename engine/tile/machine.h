// The parts of the interpreter's machine: steps, warps, barriers, copies of the TMA engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/tile/race.h"
#include "engine/tile/tile.h"

namespace quarry::tile {

inline constexpr int kLanes = 32;  ///< of a warp

struct Step {
  enum class What : uint8_t { Do, Open, Close, Arrive } what;  ///< Arrive: the first half of a JoinParts
  const Statement* statement;
  size_t jump = 0;  ///< of Open: behind its Close; of Close: its Open
};

/// The statements that a warp of a role runs, in order; those with a body are opened and closed. A Thread is its
/// warp's.
void lay_out(const Body& body, int warp, std::vector<Step>& steps);

/// An mbarrier, or a barrier of a warpgroup (bytes stay 0).
struct Barrier {
  int arrivals;  ///< that complete a phase
  int pending;
  int64_t bytes = 0;
  uint32_t phase = 0;  ///< the current one
  Clock gathering, published;

  void complete_if_done() {
    if (pending != 0 || bytes != 0) return;
    published = gathering;
    pending = arrivals;
    ++phase;
  }
};

/// The parts of all tiles: global memory between blocks.
struct Joined {
  std::vector<float> values;
  std::vector<uint32_t> counters;
};

struct FragmentState {
  std::vector<float> values;  ///< register * 32 + lane
  uint32_t busy = 0;          ///< the group of products that last wrote it
  bool settled = true;        ///< nothing but products wrote it since the last MmaFence
};

struct Warp {
  const Role* role;
  std::vector<Step> steps;
  size_t at = 0;
  int group = 0;
  std::vector<int64_t> ranges;
  std::vector<int64_t> tiles;  ///< of each open Tiles: the current number
  std::vector<int> stage;      ///< by ring
  std::vector<uint32_t> turn;  ///< by ring: how often it went round
  std::vector<FragmentState> fragments;
  std::vector<Factor> left;  ///< of SplitLeft: part, row, k
  bool left_infinite = false;
  Clock clock;
  uint32_t accesses = 0, groups = 0, bulk = 0;
  uint32_t sync_phase = 0;
  bool arrived = false;  ///< at the barrier at which it stands
  bool done() const { return at == steps.size(); }
};

/// A TMA copy that was issued and has not been carried out.
struct Pending {
  bool store;
  int map;
  std::vector<int64_t> at;
  int64_t address;
  int barrier;  ///< of a fill
  int warp;     ///< of a store, with its number
  uint32_t number;
};

/// Carries the copy out: what lies outside of the map's extents is filled with 0 and not stored. `array` is the map's
/// argument.
void copy_box(const TensorMap& map, const Pending& copy, std::byte* array, uint8_t* shared);

}  // namespace quarry::tile
