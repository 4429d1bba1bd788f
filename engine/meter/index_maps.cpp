#include "engine/meter/index_maps.h"

#include <algorithm>

#include "common/uint128.h"
#include "engine/graph/limits.h"

namespace quarry::meter {

using graph::NodeId;
using graph::Op;

namespace {

constexpr int kBitsPerAxis = 4;
static_assert(graph::kMaxRank <= 1 << kBitsPerAxis && graph::kMaxRank * kBitsPerAxis <= 64);

uint64_t packed_axis(uint64_t permutation, size_t axis) {
  return permutation >> (kBitsPerAxis * axis) & 15;
}

uint64_t identity_permutation(size_t rank) {
  uint64_t packed = 0;
  for (size_t axis = 0; axis < rank; ++axis) packed |= uint64_t{axis} << (kBitsPerAxis * axis);
  return packed;
}

// RESHAPE splits both shapes into the shortest runs of axes with equal products, from the last to the first: calls
// visit(first, end) of both.
template <class Visit>
void for_each_run(std::span<const int64_t> from, std::span<const int64_t> to, Visit visit) {
  size_t i = from.size();
  size_t j = to.size();
  while (i > 0 || j > 0) {
    const size_t from_end = i, to_end = j;
    int64_t from_product = 1;
    int64_t to_product = 1;
    do {
      if (i > 0 && (from_product <= to_product || j == 0)) {
        from_product *= from[--i];
      } else {
        to_product *= to[--j];
      }
    } while (from_product != to_product);
    visit(i, from_end, j, to_end);
  }
}

// A run keeps its count on a lone axis, is full where it was full, and is bounded axis by axis otherwise.
void regroup(std::span<const int64_t> from, std::span<const int64_t> from_box, std::span<const int64_t> to,
             std::span<int64_t> to_box) {
  for_each_run(from, to, [&](size_t from_first, size_t from_end, size_t to_first, size_t to_end) {
    int64_t product = 1;
    int64_t count = 1;
    for (size_t axis = from_first; axis < from_end; ++axis) {
      product *= from[axis];
      count *= from_box[axis];
    }
    for (size_t axis = to_first; axis < to_end; ++axis)
      to_box[axis] = count == product ? to[axis] : std::min(count, to[axis]);
  });
}

}  // namespace

bool IndexMaps::same_shape(NodeId a, NodeId b) const {
  return graph_[a].shape == graph_[b].shape && graph_[a].rank == graph_[b].rank;
}

bool IndexMaps::changes_nothing(NodeId id) const {
  if (graph_[id].op == Op::Cast) return true;
  if (!same_shape(id, graph_[id].operands[0])) return false;
  if (graph_[id].op == Op::Stride)
    return std::ranges::all_of(graph_.strides(id), [](int64_t step) { return step == 1; });
  return graph_[id].op != Op::Permute;
}

MapId IndexMaps::identity(NodeId node) {
  return keep(0, Op::Step, node, 0, node);
}

MapId IndexMaps::through(MapId map, NodeId id) {
  if (changes_nothing(id)) return map;
  const NodeId operand = graph_[id].operands[0];
  switch (graph_[id].op) {
    case Op::Permute:
      return permuted(map, id);
    case Op::Reshape:
      if (maps_[map].op == Op::Reshape) map = maps_[map].parent;
      return same_shape(maps_[map].at, operand) ? map : keep(map, Op::Reshape, operand, 0, id);
    case Op::Expand:
      return keep(map, Op::Expand, operand, 0, id);
    default:
      return keep(map, graph_[id].op, operand, graph_[id].attributes, id);
  }
}

// Result axis i shows operand axis packed_axis(p, i). Going further down composes: i -> first[i] -> second[first[i]].
MapId IndexMaps::permuted(MapId map, NodeId id) {
  const auto axes = graph_.axes(id);
  const bool follows_permute = maps_[map].op == Op::Permute;
  const uint64_t first = follows_permute ? maps_[map].attributes : identity_permutation(axes.size());
  const MapId parent = follows_permute ? maps_[map].parent : map;
  uint64_t packed = 0;
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    packed |= static_cast<uint64_t>(axes[packed_axis(first, axis)]) << (kBitsPerAxis * axis);
  }
  if (packed == identity_permutation(axes.size())) return parent;
  return keep(parent, Op::Permute, graph_[id].operands[0], packed, id);
}

MapId IndexMaps::keep(MapId parent, Op op, NodeId at, uint64_t attributes, NodeId id) {
  uint64_t hash = table_.mix(table_.start_hash(), uint64_t{parent} << 32 | static_cast<uint64_t>(op));
  hash = table_.mix(hash, uint64_t{graph_[at].shape} << 8 | graph_[at].rank);
  hash = table_.mix(hash, attributes);
  const auto candidate = static_cast<MapId>(maps_.size());
  const MapId kept = table_.find_or_keep(hash, candidate, [&](MapId other) {
    const Map& map = maps_[other];
    return map.parent == parent && map.op == op && map.attributes == attributes && same_shape(map.at, at);
  });
  if (kept != candidate) return kept;
  Map map{parent, op, at, attributes, id, counts_.size(), 0, 0};
  counts_.resize(counts_.size() + graph_[at].rank);
  if (op == Op::Step) {
    std::ranges::copy(graph_.shape(at), box(map).begin());
    map.points = map.reached = graph_.elements(at);
  } else {
    measure(maps_[parent], id, map);
  }
  maps_.push_back(map);
  return kept;
}

void IndexMaps::measure(const Map& parent, NodeId id, Map& map) {
  const auto from = graph_.shape(parent.at);
  const auto to = graph_.shape(map.at);
  const auto from_box = box(parent);
  const auto to_box = box(map);
  map.points = parent.points;
  if (map.op == Op::Reshape) {
    if (graph_.elements(map.at) > 0) regroup(from, from_box, to, to_box);
  } else if (map.op == Op::Permute) {
    for (size_t axis = 0; axis < from.size(); ++axis) to_box[packed_axis(map.attributes, axis)] = from_box[axis];
  } else {
    for (size_t axis = 0; axis < from.size(); ++axis) {
      to_box[axis] = std::min(from_box[axis], to[axis]);
      if (graph_[id].op != Op::Pad || from_box[axis] == to_box[axis]) continue;
      map.points = static_cast<int64_t>(static_cast<UInt128>(map.points) * static_cast<UInt128>(to_box[axis]) /
                                        static_cast<UInt128>(from_box[axis]));
    }
  }
  int64_t inside = 1;
  for (int64_t count : to_box) inside *= count;
  map.reached = std::min({parent.reached, map.points, inside});
}

std::span<const FormId> IndexMaps::coordinates(MapId map) {
  first_coordinate_.resize(maps_.size(), kNotFound);
  std::vector<MapId> missing;
  for (MapId at = map; first_coordinate_[at] == kNotFound; at = maps_[at].parent) {
    missing.push_back(at);
    if (maps_[at].op == Op::Step) break;
  }
  while (!missing.empty()) {
    find_coordinates(missing.back());
    missing.pop_back();
  }
  return {coordinates_.data() + first_coordinate_[map], graph_[maps_[map].at].rank};
}

// One step further down than its parent's.
void IndexMaps::find_coordinates(MapId id) {
  const Map& map = maps_[id];
  const auto to = graph_.shape(map.at);
  std::vector<FormId> at(to.size(), forms_.constant(0));
  if (map.op == Op::Step) {
    for (size_t axis = 0; axis < to.size(); ++axis) at[axis] = forms_.axis(static_cast<uint32_t>(axis), to[axis]);
  } else {
    const auto from = graph_.shape(maps_[map.parent].at);
    const std::vector<FormId> above(coordinates_.begin() + first_coordinate_[map.parent],
                                    coordinates_.begin() + first_coordinate_[map.parent] + from.size());
    const NodeId step = map.step;
    if (map.op == Op::Reshape) {
      if (graph_.elements(map.at) > 0) reshape_coordinates(from, above, to, at);
    } else {
      for (size_t axis = 0; axis < from.size(); ++axis) {
        switch (map.op) {
          case Op::Permute:
            at[packed_axis(map.attributes, axis)] = above[axis];
            break;
          case Op::Expand:
            if (to[axis] == from[axis]) at[axis] = above[axis];
            break;
          case Op::Pad:
            at[axis] = forms_.scaled(above[axis], 1, -graph_.pairs(step)[axis].before);
            break;
          case Op::Shrink:
            at[axis] = forms_.scaled(above[axis], 1, graph_.pairs(step)[axis].before);
            break;
          default: {
            const int64_t stride = graph_.strides(step)[axis];
            at[axis] = forms_.scaled(above[axis], stride, stride < 0 ? to[axis] - 1 : 0);
          }
        }
      }
    }
  }
  first_coordinate_[id] = static_cast<uint32_t>(coordinates_.size());
  coordinates_.insert(coordinates_.end(), at.begin(), at.end());
}

// Runs of axes with equal products are independent of each other.
void IndexMaps::reshape_coordinates(std::span<const int64_t> from, std::span<const FormId> above,
                                    std::span<const int64_t> to, std::span<FormId> at) {
  for_each_run(from, to, [&](size_t from_first, size_t from_end, size_t to_first, size_t to_end) {
    const size_t from_count = from_end - from_first, to_count = to_end - to_first;
    const FormId position =
        forms_.flattened(above.subspan(from_first, from_count), from.subspan(from_first, from_count));
    forms_.split(position, to.subspan(to_first, to_count), at.subspan(to_first, to_count));
  });
}

}  // namespace quarry::meter
