#include "engine/graph/coordinates.h"

#include <algorithm>

namespace quarry::graph {

namespace {

int64_t operand_size(const Graph& graph, NodeId id, size_t axis) {
  return graph.shape(graph[id].operands[0])[axis];
}

bool pads_nothing(std::span<const Pair> pairs) {
  return std::ranges::all_of(pairs, [](const Pair& pair) { return pair.before == 0 && pair.after == 0; });
}

std::vector<size_t> axes_longer_than_one(std::span<const int64_t> shape) {
  std::vector<size_t> axes;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != 1) axes.push_back(axis);
  }
  return axes;
}

// A RESHAPE that only adds and drops axes of size 1 keeps every coordinate, also those that count downwards.
std::optional<Coordinates> regroup_ones(std::span<const int64_t> from, std::span<const int64_t> to,
                                        const Coordinates& coordinates) {
  const auto from_axes = axes_longer_than_one(from);
  const auto to_axes = axes_longer_than_one(to);
  if (from_axes.size() != to_axes.size()) return std::nullopt;
  Coordinates out(to.size());
  for (size_t i = 0; i < from_axes.size(); ++i) {
    if (from[from_axes[i]] != to[to_axes[i]]) return std::nullopt;
    out[to_axes[i]] = coordinates[from_axes[i]];
  }
  return out;
}

// The position in row-major order. Sums stay below the number of elements, which fits.
std::optional<Coordinate> flatten(std::span<const int64_t> shape, const Coordinates& coordinates) {
  Coordinate flat;
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0; stride *= shape[axis]) {
    flat.constant += coordinates[axis].constant * stride;
    for (Term term : coordinates[axis].terms) {
      if (term.coefficient < 0) return std::nullopt;
      term.coefficient *= stride;
      flat.terms.push_back(term);
    }
  }
  std::ranges::sort(flat.terms, {}, &Term::coefficient);
  return flat;
}

// Takes from the front of `terms` (sorted by coefficient) what lies in the axis [stride, stride * size); a term that
// reaches beyond is split in two digits. nullopt where a term or a carry crosses the axis' border.
std::optional<Coordinate> take_axis(std::vector<Term>& terms, int64_t constant, int64_t stride, int64_t size) {
  Coordinate coordinate;
  coordinate.constant = constant / stride % size;
  int64_t greatest = coordinate.constant;
  while (!terms.empty() && terms.front().coefficient / stride < size) {
    Term term = terms.front();
    if (term.coefficient % stride != 0) return std::nullopt;
    term.coefficient /= stride;
    const int64_t room = size / term.coefficient;  // values of the digit before it leaves the axis
    if (term.size > room) {
      if (size % term.coefficient != 0 || term.size % room != 0) return std::nullopt;
      terms.front() = {term.axis, term.divisor * room, term.size / room, stride * size};
      term.size = room;
      std::ranges::sort(terms, {}, &Term::coefficient);
    } else {
      terms.erase(terms.begin());
    }
    greatest += term.coefficient * (term.size - 1);
    coordinate.terms.push_back(term);
  }
  if (greatest >= size) return std::nullopt;
  return coordinate;
}

std::optional<Coordinates> reshape(std::span<const int64_t> from, std::span<const int64_t> to,
                                   const Coordinates& coordinates) {
  if (auto same = regroup_ones(from, to, coordinates)) return same;
  auto flat = flatten(from, coordinates);
  if (!flat) return std::nullopt;
  Coordinates out(to.size());
  int64_t stride = 1;
  for (size_t axis = to.size(); axis-- > 0;) {
    if (to[axis] == 1) continue;
    auto coordinate = take_axis(flat->terms, flat->constant, stride, to[axis]);
    if (!coordinate) return std::nullopt;
    out[axis] = std::move(*coordinate);
    stride *= to[axis];
  }
  if (!flat->terms.empty()) return std::nullopt;
  return out;
}

}  // namespace

bool Coordinate::depends_on(int axis) const {
  return std::ranges::any_of(terms, [axis](const Term& term) { return term.axis == axis; });
}

bool any_depends_on(const Coordinates& coordinates, int axis) {
  return std::ranges::any_of(coordinates, [axis](const Coordinate& c) { return c.depends_on(axis); });
}

std::optional<Coordinates> identity_coordinates(std::span<const int64_t> shape) {
  Coordinates coordinates(shape.size());
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 0) return std::nullopt;
    if (shape[axis] > 1) coordinates[axis].terms.push_back({static_cast<int>(axis), 1, shape[axis], 1});
  }
  return coordinates;
}

bool follow_movement(const Graph& graph, NodeId id, Coordinates& at) {
  switch (graph[id].op) {
    case Op::Reshape: {
      auto reshaped = reshape(graph.shape(id), graph.shape(graph[id].operands[0]), at);
      if (reshaped) at = std::move(*reshaped);
      return reshaped.has_value();
    }
    case Op::Permute: {
      Coordinates permuted(at.size());
      for (size_t axis = 0; axis < at.size(); ++axis) {
        permuted[static_cast<size_t>(graph.axes(id)[axis])] = std::move(at[axis]);
      }
      at = std::move(permuted);
      return true;
    }
    case Op::Expand:
      for (size_t axis = 0; axis < at.size(); ++axis) {
        if (operand_size(graph, id, axis) == 1) at[axis] = {};
      }
      return true;
    case Op::Pad:
      return pads_nothing(graph.pairs(id));
    case Op::Shrink:
      for (size_t axis = 0; axis < at.size(); ++axis) at[axis].constant += graph.pairs(id)[axis].before;
      return true;
    case Op::Stride:
      for (size_t axis = 0; axis < at.size(); ++axis) {
        const int64_t step = graph.strides(id)[axis];
        for (Term& term : at[axis].terms) term.coefficient *= step;
        at[axis].constant = at[axis].constant * step + (step < 0 ? operand_size(graph, id, axis) - 1 : 0);
      }
      return true;
    default:
      return false;
  }
}

std::optional<AxisPosition> as_axis_position(const Coordinate& coordinate, std::span<const int64_t> starting_shape) {
  if (coordinate.terms.empty()) return std::nullopt;
  std::vector<Term> terms = coordinate.terms;
  std::ranges::sort(terms, {}, &Term::divisor);
  const int axis = terms.front().axis;
  int64_t covered = 1;
  for (const Term& term : terms) {
    if (term.axis != axis || term.divisor != covered || term.coefficient != covered) return std::nullopt;
    covered *= term.size;
  }
  if (covered != starting_shape[static_cast<size_t>(axis)]) return std::nullopt;
  return AxisPosition{axis, coordinate.constant};
}

}  // namespace quarry::graph
