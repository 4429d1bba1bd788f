// Movement ops as index arithmetic: from the index of a node's element to the index of the operand's element that it
// shows.
#include <algorithm>
#include <cstdlib>

#include "engine/lower/lower.h"

namespace quarry::lower {

using graph::Graph;
using graph::NodeId;
using graph::Op;

namespace {

constexpr int64_t kFarthestAstray = int64_t{1} << 57;  // one for each of 16 axes, and 2^62 inside: no sum of them wraps

// Below a PAD an index may lie outside its axis, by up to 2^62, where the PAD's condition hides what it shows. Times a
// stride it would wrap, and a sum that wraps anywhere simplifies to one that is wrong inside the axis too. So an index
// that may stray too far for `factor` is brought back into the axis: inside, that changes nothing.
ExprId kept_near(Arena& arena, ExprId index, int64_t size, int64_t factor) {
  const Expr& expr = arena[index];
  if (expr.low >= 0 && expr.high < size) return index;
  const int64_t most = kFarthestAstray / std::max<int64_t>(1, std::abs(factor));
  if (expr.low >= -most && expr.high <= most) return index;
  return size > 0 ? arena.mod(index, size) : arena.integer(0);
}

}  // namespace

ExprId flatten(Arena& arena, std::span<const int64_t> shape, const std::vector<ExprId>& index) {
  ExprId flat = arena.integer(0);
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    flat = arena.add(flat, arena.multiply(kept_near(arena, index[i], shape[i], stride), stride));
    stride *= shape[i];
  }
  return flat;
}

namespace {

// Flattens and splits group by group: axes whose products agree on both sides are independent of the others.
std::vector<ExprId> through_reshape(Arena& arena, std::span<const int64_t> from, std::span<const int64_t> to,
                                    const std::vector<ExprId>& index) {
  std::vector<ExprId> result(to.size(), arena.integer(0));
  size_t f = 0, t = 0;
  while (f < from.size() || t < to.size()) {
    const size_t f_first = f, t_first = t;
    int64_t f_product = f < from.size() ? from[f++] : 1;
    int64_t t_product = t < to.size() ? to[t++] : 1;
    while (f_product != t_product) {
      if (f_product < t_product) {
        f_product *= from[f++];
      } else {
        t_product *= to[t++];
      }
    }
    const std::vector<ExprId> part(index.begin() + static_cast<ptrdiff_t>(f_first),
                                   index.begin() + static_cast<ptrdiff_t>(f));
    ExprId flat = flatten(arena, from.subspan(f_first, f - f_first), part);
    int64_t stride = 1;
    for (size_t axis = t; axis-- > t_first;) {
      const ExprId digit = axis == t_first ? flat : arena.mod(flat, stride * to[axis]);
      result[axis] = arena.div(digit, stride);
      stride *= to[axis];
    }
  }
  return result;
}

}  // namespace

std::vector<ExprId> operand_index(Arena& arena, const Graph& graph, NodeId id, const std::vector<ExprId>& index) {
  const std::span<const int64_t> shape = graph.shape(id);
  const std::span<const int64_t> operand_shape = graph.shape(graph[id].operands[0]);
  std::vector<ExprId> result(operand_shape.size(), arena.integer(0));
  switch (graph[id].op) {
    case Op::Reshape:
      return through_reshape(arena, shape, operand_shape, index);
    case Op::Permute:
      for (size_t i = 0; i < index.size(); ++i) result[static_cast<size_t>(graph.axes(id)[i])] = index[i];
      break;
    case Op::Expand:
      for (size_t i = 0; i < index.size(); ++i) {
        if (operand_shape[i] == shape[i]) result[i] = index[i];
      }
      break;
    case Op::Pad:
      for (size_t i = 0; i < index.size(); ++i)
        result[i] = arena.shift(kept_near(arena, index[i], shape[i], 1), -graph.pairs(id)[i].before);
      break;
    case Op::Shrink:
      for (size_t i = 0; i < index.size(); ++i)
        result[i] = arena.shift(kept_near(arena, index[i], shape[i], 1), graph.pairs(id)[i].before);
      break;
    case Op::Stride:
      for (size_t i = 0; i < index.size(); ++i) {
        const int64_t step = graph.strides(id)[i];
        const ExprId place = arena.multiply(kept_near(arena, index[i], shape[i], step), step);
        result[i] = arena.shift(place, step < 0 ? operand_shape[i] - 1 : 0);
      }
      break;
    default:
      return index;  // element by element
  }
  return result;
}

ExprId pad_condition(Arena& arena, const Graph& graph, NodeId id, const std::vector<ExprId>& operand_index) {
  const std::span<const int64_t> operand_shape = graph.shape(graph[id].operands[0]);
  ExprId condition = arena.always();
  for (size_t i = 0; i < operand_index.size(); ++i) {
    condition = arena.both(condition, arena.between(operand_index[i], 0, operand_shape[i]));
  }
  return condition;
}

}  // namespace quarry::lower
