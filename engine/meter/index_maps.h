// Index maps: how the elements of a value are reached from the points at which a kernel works, through a row of
// movement ops. Each map is kept once, so two are the same exactly when their ids are equal.
//
// Maps are compared by their steps: steps that change nothing are dropped, a RESHAPE of a RESHAPE and a PERMUTE of a
// PERMUTE count as one. How many elements a map reaches is exact for each step on its own and an upper bound where
// steps lose what an earlier one left out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/interner.h"
#include "engine/meter/index_forms.h"

namespace quarry::meter {

using MapId = uint32_t;

class IndexMaps {
 public:
  IndexMaps(const graph::Graph& graph, IndexForms& forms) : graph_(graph), forms_(forms) {}

  /// Every point of the node's shape reads the element of the same coordinates.
  MapId identity(graph::NodeId node);
  /// `map` reaches the movement node `id`: the map that reaches its operand.
  MapId through(MapId map, graph::NodeId id);

  /// The points at which something is read: those that fall into a PAD's zeros are left out.
  int64_t points(MapId map) const { return maps_[map].points; }
  /// The elements that are read, each counted once.
  int64_t reached(MapId map) const { return maps_[map].reached; }
  /// The coordinates of the element that is read, as forms of the point; for the points that no PAD's zeros hide.
  std::span<const FormId> coordinates(MapId map);
  std::span<const int64_t> shape(MapId map) const { return graph_.shape(maps_[map].at); }  ///< of what is read

 private:
  struct Map {
    MapId parent;
    graph::Op op;         ///< of the last step; Op::Step for an identity
    graph::NodeId at;     ///< a node of the shape that is read
    uint64_t attributes;  ///< a pool offset, or a packed permutation: only ever compared
    graph::NodeId step;   ///< a movement node of that op and these attributes
    size_t box;           ///< offset into counts_: the positions reached on each axis
    int64_t points, reached;
  };

  std::span<int64_t> box(const Map& map) { return {counts_.data() + map.box, graph_[map.at].rank}; }
  bool same_shape(graph::NodeId a, graph::NodeId b) const;
  bool changes_nothing(graph::NodeId id) const;
  MapId permuted(MapId map, graph::NodeId id);
  /// The map of `parent` and one more step to a value of the shape of `at`; `id` is the movement node, for its amounts.
  MapId keep(MapId parent, graph::Op op, graph::NodeId at, uint64_t attributes, graph::NodeId id);
  void measure(const Map& parent, graph::NodeId id, Map& map);
  void find_coordinates(MapId map);
  void reshape_coordinates(std::span<const int64_t> from, std::span<const FormId> above, std::span<const int64_t> to,
                           std::span<FormId> at);

  const graph::Graph& graph_;
  IndexForms& forms_;
  std::vector<Map> maps_;
  std::vector<int64_t> counts_;
  graph::IdTable table_;
  static constexpr uint32_t kNotFound = UINT32_MAX;
  std::vector<uint32_t> first_coordinate_;  // by map: an offset into coordinates_, once somebody asked
  std::vector<FormId> coordinates_;
};

}  // namespace quarry::meter
