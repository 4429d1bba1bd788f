// Where an element comes from. Every movement op but RESHAPE reads its operand at an affine function of the result's
// coordinates, within bounds for PAD; a reduce walks its operand the same way. RESHAPE keeps the position.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::device::interpreter {

/// Row-major positions of elements in a value.
using Positions = std::vector<int64_t>;

struct ViewAxis {
  int64_t size;       ///< of the viewing shape
  int64_t stride;     ///< elements of the viewed value per step along it
  int64_t first = 0;  ///< coordinates in [first, last) show the viewed value, the others show 0
  int64_t last;
};

class View {
 public:
  View(int64_t base, std::vector<ViewAxis> axes, bool bounded);

  /// The positions shown at `positions`, leaving out those that show 0. `inside`, when this view is bounded, gets one
  /// flag per position: whether it is among them.
  Positions map(std::span<const int64_t> positions, std::vector<bool>& inside) const;
  bool bounded() const { return bounded_; }

 private:
  int64_t base_;
  std::vector<ViewAxis> axes_;
  bool bounded_;
};

std::vector<int64_t> row_major_strides(std::span<const int64_t> shape);

/// The view of a movement node, not RESHAPE, into its operand.
View movement_view(const graph::Graph& graph, graph::NodeId node);
/// The operand of a reduce, seen as [...result shape, ...reduced sizes]: each result's elements follow one another.
View reduction_view(const graph::Graph& graph, graph::NodeId reduce);

}  // namespace quarry::device::interpreter
