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

// RESHAPE splits both shapes into the shortest runs of axes with equal products. A run keeps its count on a lone axis,
// is full where it was full, and is bounded axis by axis otherwise.
void regroup(std::span<const int64_t> from, std::span<const int64_t> from_box, std::span<const int64_t> to,
             std::span<int64_t> to_box) {
  size_t i = from.size();
  size_t j = to.size();
  while (i > 0 || j > 0) {
    const size_t to_end = j;
    int64_t from_product = 1;
    int64_t to_product = 1;
    int64_t count = 1;
    do {
      if (i > 0 && (from_product <= to_product || j == 0)) {
        --i;
        from_product *= from[i];
        count *= from_box[i];
      } else {
        --j;
        to_product *= to[j];
      }
    } while (from_product != to_product);
    const bool is_full = count == from_product;
    for (size_t axis = j; axis < to_end; ++axis) to_box[axis] = is_full ? to[axis] : std::min(count, to[axis]);
  }
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
  Map map{parent, op, at, attributes, counts_.size(), 0, 0};
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

}  // namespace quarry::meter
