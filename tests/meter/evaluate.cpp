#include "tests/meter/evaluate.h"

#include <algorithm>
#include <stdexcept>

namespace quarry::testing {

using graph::Graph;
using graph::NodeId;
using graph::Op;

namespace {

int64_t power(int64_t base, int64_t exponent) {
  int64_t out = 1;
  for (int64_t i = 0; i < exponent; ++i) out *= base;
  return out;
}

int64_t combine(Op op, int64_t x, int64_t y) {
  switch (op) {
    case Op::Add:
      return x + y;
    case Op::Sub:
      return x - y;
    case Op::Mul:
      return x * y;
    case Op::Pow:
      return power(x, y);
    case Op::CmpEq:
      return x == y;
    case Op::Max:
      return std::max(x, y);
    default:
      throw std::logic_error("the evaluator does not know this op");
  }
}

/// The operand's element that a movement node shows at `at`; -1 for a PAD's zero.
int64_t shown(const Graph& graph, NodeId id, std::vector<int64_t> at) {
  const auto from = graph.shape(graph[id].operands[0]);
  std::vector<int64_t> source(from.size());
  for (size_t axis = 0; axis < at.size() && graph[id].op != Op::Reshape; ++axis) {
    switch (graph[id].op) {
      case Op::Permute:
        source[static_cast<size_t>(graph.axes(id)[axis])] = at[axis];
        break;
      case Op::Expand:
        source[axis] = from[axis] == 1 ? 0 : at[axis];
        break;
      case Op::Shrink:
        source[axis] = at[axis] + graph.pairs(id)[axis].before;
        break;
      case Op::Stride: {
        const int64_t step = graph.strides(id)[axis];
        source[axis] = at[axis] * step + (step < 0 ? from[axis] - 1 : 0);
        break;
      }
      default:
        source[axis] = at[axis] - graph.pairs(id)[axis].before;
        break;
    }
    if (source[axis] >= from[axis] || source[axis] < 0) {
      if (graph[id].op != Op::Permute) return -1;
    }
  }
  return graph[id].op == Op::Reshape ? flat_position(graph.shape(id), at) : flat_position(from, source);
}

Values computed(const Graph& graph, NodeId id, const std::vector<Values>& values) {
  const auto& node = graph[id];
  Values out;
  if (graph::is_reduce(node.op)) {
    out.assign(static_cast<size_t>(graph.elements(id)), 0);
    size_t next = 0;
    for_each_position(graph.shape(node.operands[0]), [&](std::vector<int64_t> at) {
      for (int64_t axis : graph.axes(id)) at[static_cast<size_t>(axis)] = 0;
      out[static_cast<size_t>(flat_position(graph.shape(id), at))] += values[node.operands[0]][next++];
    });
    return out;
  }
  for_each_position(graph.shape(id), [&](const std::vector<int64_t>& at) {
    const size_t here = out.size();
    if (node.op == Op::Const) {
      out.push_back(static_cast<int64_t>(graph.const_bits(id)));
    } else if (node.op == Op::Iota) {
      out.push_back(at[static_cast<size_t>(graph.iota_axis(id))]);
    } else if (graph::is_movement(node.op)) {
      const int64_t source = shown(graph, id, at);
      out.push_back(source < 0 ? 0 : values[node.operands[0]][static_cast<size_t>(source)]);
    } else if (node.op == Op::Cast) {
      out.push_back(values[node.operands[0]][here]);
    } else {
      out.push_back(combine(node.op, values[node.operands[0]][here], values[node.operands[1]][here]));
    }
  });
  return out;
}

}  // namespace

void for_each_position(std::span<const int64_t> shape, const std::function<void(const std::vector<int64_t>&)>& visit) {
  if (std::ranges::count(shape, 0) > 0) return;
  std::vector<int64_t> at(shape.size(), 0);
  for (;;) {
    visit(at);
    size_t axis = shape.size();
    while (axis > 0 && ++at[axis - 1] == shape[axis - 1]) at[--axis] = 0;
    if (axis == 0) return;
  }
}

int64_t flat_position(std::span<const int64_t> shape, std::span<const int64_t> at) {
  int64_t position = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) position = position * shape[axis] + at[axis];
  return position;
}

std::vector<Values> evaluate(const Graph& graph, const std::map<NodeId, Values>& given) {
  std::vector<Values> values(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const auto known = given.find(id);
    values[id] = known != given.end() ? known->second : computed(graph, id, values);
  }
  return values;
}

}  // namespace quarry::testing
