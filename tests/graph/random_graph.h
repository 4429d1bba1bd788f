// Random valid graphs, and other spellings of the same program: for property tests.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::graph::testing {

using Random = std::mt19937_64;

inline int64_t pick(Random& random, int64_t least, int64_t greatest) {
  return std::uniform_int_distribution<int64_t>(least, greatest)(random);
}

/// Adds node `id` of `from` once more, over the given operands. Labels are left out.
inline NodeId copy_node(Builder& b, const Graph& from, NodeId id, NodeId x, NodeId y) {
  const Node& node = from[id];
  switch (node.op) {
    case Op::Exp:
    case Op::Log:
      return b.unary(node.op, x);
    case Op::Cast:
      return b.cast(x, node.dtype);
    case Op::ReduceSum:
    case Op::ReduceMax:
      return b.reduce(node.op, x, from.axes(id));
    case Op::Reshape:
      return b.reshape(x, from.shape(id));
    case Op::Permute:
      return b.permute(x, from.axes(id));
    case Op::Expand:
      return b.expand(x, from.shape(id));
    case Op::Pad:
      return b.pad(x, from.pairs(id));
    case Op::Shrink:
      return b.shrink(x, from.pairs(id));
    case Op::Stride:
      return b.stride(x, from.strides(id));
    case Op::Input:
      return b.input(from.input_name(id), node.dtype, from.shape(id));
    case Op::Const:
      return b.constant(node.dtype, from.shape(id), from.const_bits(id));
    case Op::Iota:
      return b.iota(node.dtype, from.shape(id), from.iota_axis(id));
    case Op::Rand:
      return b.rand(node.dtype, from.shape(id), from.rand_stream(id));
    case Op::Step:
      return b.step();
    default:
      return b.binary(node.op, x, y);
  }
}

/// Grows a graph node by node; what an op would refuse is not tried.
class RandomGraph {
 public:
  explicit RandomGraph(uint64_t seed) : random_(seed) {}

  Graph make(size_t nodes) {
    source();
    while (b_.size() < nodes) {
      if (pick(random_, 0, 5) == 0)
        source();
      else
        grow(static_cast<NodeId>(pick(random_, 0, static_cast<int64_t>(b_.size()) - 1)));
    }
    const auto outputs = pick(random_, 1, 4);
    for (int64_t i = 0; i < outputs; ++i)
      b_.output("out" + std::to_string(i), static_cast<NodeId>(pick(random_, 0, static_cast<int64_t>(b_.size()) - 1)));
    return std::move(b_.finish()).value();
  }

 private:
  DType any_dtype() { return static_cast<DType>(pick(random_, 0, kDTypes - 1)); }
  std::vector<int64_t> any_shape(size_t least_rank) {
    std::vector<int64_t> shape(static_cast<size_t>(pick(random_, static_cast<int64_t>(least_rank), 4)));
    for (int64_t& size : shape) size = pick(random_, 0, 20) == 0 ? 0 : pick(random_, 1, 4);
    return shape;
  }

  void source() {
    switch (pick(random_, 0, 4)) {
      case 0:
        b_.input("in" + std::to_string(b_.size()), any_dtype(), any_shape(0));
        return;
      case 1:
        b_.constant_f64(any_dtype(), any_shape(0), static_cast<double>(pick(random_, -3, 3)) / 2);
        return;
      case 2: {
        const auto shape = any_shape(1);
        const auto axis = pick(random_, 0, static_cast<int64_t>(shape.size()) - 1);
        b_.iota(pick(random_, 0, 1) ? DType::I32 : DType::I64, shape, static_cast<int>(axis));
        return;
      }
      case 3:
        b_.rand(pick(random_, 0, 1) ? DType::F32 : DType::I32, any_shape(0), 7);
        return;
      default:
        b_.step();
        return;
    }
  }

  void grow(NodeId x) {
    const std::vector<int64_t> shape(b_.shape(x).begin(), b_.shape(x).end());
    const size_t rank = shape.size();
    const DType dtype = b_.dtype(x);
    switch (const auto choice = pick(random_, 0, 9)) {
      case 0:
        b_.cast(x, any_dtype());
        return;
      case 1:
        if (is_float(dtype)) b_.unary(pick(random_, 0, 1) ? Op::Exp : Op::Log, x);
        return;
      case 2:
        return grow_reduce(x, rank);
      case 3: {
        std::vector<int64_t> axes(rank);
        for (size_t i = 0; i < rank; ++i) axes[i] = static_cast<int64_t>(i);
        std::shuffle(axes.begin(), axes.end(), random_);
        b_.permute(x, axes);
        return;
      }
      case 4: {
        std::vector<int64_t> to(shape.rbegin(), shape.rend());
        if (rank < 5) to.insert(to.begin(), 1);
        b_.reshape(x, to);
        return;
      }
      case 5:
        return grow_expand(x, shape);
      case 6:
      case 7:
        return grow_pairs(x, shape, choice == 6);
      case 8: {
        std::vector<int64_t> steps(rank);
        for (int64_t& step : steps) step = pick(random_, 0, 1) ? pick(random_, 1, 3) : -pick(random_, 1, 3);
        b_.stride(x, steps);
        return;
      }
      default:
        return grow_binary(x);
    }
  }

  void grow_reduce(NodeId x, size_t rank) {
    if (rank == 0) return;
    std::vector<int64_t> axes;
    for (size_t i = 0; i < rank; ++i)
      if (pick(random_, 0, 1)) axes.push_back(static_cast<int64_t>(i));
    if (axes.empty()) axes.push_back(0);
    b_.reduce(pick(random_, 0, 1) ? Op::ReduceSum : Op::ReduceMax, x, axes);
  }

  void grow_expand(NodeId x, std::vector<int64_t> shape) {
    for (int64_t& size : shape)
      if (size == 1) size = pick(random_, 1, 3);
    b_.expand(x, shape);
  }

  void grow_pairs(NodeId x, const std::vector<int64_t>& shape, bool pad) {
    std::vector<Pair> pairs;
    for (int64_t size : shape) {
      const auto begin = pick(random_, 0, size);
      if (pad)
        pairs.push_back({pick(random_, 0, 2), pick(random_, 0, 1)});
      else
        pairs.push_back({begin, pick(random_, begin, size)});
    }
    if (pad)
      b_.pad(x, pairs);
    else
      b_.shrink(x, pairs);
  }

  void grow_binary(NodeId x) {
    std::vector<NodeId> alike;
    for (NodeId y = 0; y < b_.size(); ++y)
      if (b_.dtype(y) == b_.dtype(x) && std::ranges::equal(b_.shape(y), b_.shape(x))) alike.push_back(y);
    const NodeId y = alike[static_cast<size_t>(pick(random_, 0, static_cast<int64_t>(alike.size()) - 1))];
    const auto op = static_cast<Op>(pick(random_, static_cast<int64_t>(Op::Add), static_cast<int64_t>(Op::Max)));
    if (op == Op::Div && b_.dtype(x) == DType::Bool) return;
    b_.binary(op, x, y);
  }

  Random random_;
  Builder b_;
};

inline Graph random_graph(uint64_t seed, size_t nodes) {
  return RandomGraph(seed).make(nodes);
}

/// The same program spelt otherwise: another order of nodes, some nodes twice, labels, and nodes that no output needs.
inline Graph respell(const Graph& graph, uint64_t seed) {
  Random random(seed);
  Builder b;
  std::vector<std::vector<NodeId>> copies(graph.size());  // INPUTs stand once, others up to three times
  const auto any_copy = [&](NodeId id) {
    return copies[id][static_cast<size_t>(pick(random, 0, static_cast<int64_t>(copies[id].size()) - 1))];
  };
  std::vector<NodeId> waiting(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) waiting[id] = id;
  while (!waiting.empty()) {
    const auto at = static_cast<size_t>(pick(random, 0, static_cast<int64_t>(waiting.size()) - 1));
    const NodeId id = waiting[at];
    const int operands = graph.operand_count(id);
    const bool ready = (operands < 1 || !copies[graph[id].operands[0]].empty()) &&
                       (operands < 2 || !copies[graph[id].operands[1]].empty());
    if (!ready) continue;
    const bool once = graph[id].op == Op::Input || pick(random, 0, 2) > 0;
    for (int64_t i = 0; i < (once ? 1 : 3); ++i) {
      const NodeId x = operands > 0 ? any_copy(graph[id].operands[0]) : kNoNode;
      const NodeId y = operands > 1 ? any_copy(graph[id].operands[1]) : kNoNode;
      copies[id].push_back(copy_node(b, graph, id, x, y));
      if (pick(random, 0, 3) == 0) b.label(copies[id].back(), "spelling " + std::to_string(seed));
    }
    if (pick(random, 0, 5) == 0) b.cast(any_copy(id), DType::F64);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(at));
  }
  b.input("dead", DType::F32, {});
  for (auto output = graph.outputs().rbegin(); output != graph.outputs().rend(); ++output)
    b.output(output->name, any_copy(output->node));
  return std::move(b.finish()).value();
}

}  // namespace quarry::graph::testing
