// Where a value is read: coordinates of a node's elements as functions of the coordinates of a node further up,
// followed downwards through movement. Exact or nothing: a movement that leaves no closed form ends the walk. The
// recognisers of idioms.h use it.
#pragma once

#include <optional>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::graph {

/// coefficient * ((p[axis] / divisor) mod size): one digit of a coordinate p of the starting shape.
struct Term {
  int axis;
  int64_t divisor;
  int64_t size;
  int64_t coefficient;
};

/// constant + sum of the terms; always inside its axis.
struct Coordinate {
  int64_t constant = 0;
  std::vector<Term> terms;

  bool depends_on(int axis) const;
};
using Coordinates = std::vector<Coordinate>;  ///< one per axis

/// Each axis is its own coordinate. nullopt for shapes without elements: nothing is read there.
std::optional<Coordinates> identity_coordinates(std::span<const int64_t> shape);

/// Turns the coordinates at which the movement node `id` is read into those at which its operand is read. False where
/// they have no closed form here: a PAD that pads, a RESHAPE that cuts across terms; the coordinates are lost then.
bool follow_movement(const Graph& graph, NodeId id, Coordinates& coordinates);

bool any_depends_on(const Coordinates& coordinates, int axis);

/// coordinate = p[axis] + offset.
struct AxisPosition {
  int axis;
  int64_t offset;
};
/// nullopt when the coordinate is anything else, also when it is constant.
std::optional<AxisPosition> as_axis_position(const Coordinate& coordinate, std::span<const int64_t> starting_shape);

}  // namespace quarry::graph
