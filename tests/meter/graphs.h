// Small graphs that the tests of the meter and of the idioms are written in.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/meter/meter.h"

namespace quarry::testing {

using graph::DType;
using graph::NodeId;
using graph::Op;
using graph::Pair;
using Shape = std::vector<int64_t>;

/// A Builder with the spellings that front ends use.
class Pen : public graph::Builder {
 public:
  NodeId in(const std::string& name, const Shape& shape, DType dtype = DType::F32) { return input(name, dtype, shape); }
  NodeId full(const Shape& shape, double value, DType dtype = DType::F32) { return constant_f64(dtype, shape, value); }
  NodeId like(NodeId node, double value) { return constant_f64(dtype(node), size_of(node), value); }
  NodeId to(NodeId node, const Shape& shape) { return expand(node, shape); }
  NodeId as(NodeId node, const Shape& shape) { return reshape(node, shape); }
  NodeId turned(NodeId node, const Shape& axes) { return permute(node, axes); }
  NodeId cut(NodeId node, const std::vector<Pair>& ranges) { return shrink(node, ranges); }
  NodeId padded(NodeId node, const std::vector<Pair>& amounts) { return pad(node, amounts); }
  NodeId strided(NodeId node, const Shape& steps) { return stride(node, steps); }
  NodeId counting(const Shape& shape, int axis, DType dtype = DType::I32) { return iota(dtype, shape, axis); }
  NodeId add(NodeId x, NodeId y) { return binary(Op::Add, x, y); }
  NodeId sub(NodeId x, NodeId y) { return binary(Op::Sub, x, y); }
  NodeId mul(NodeId x, NodeId y) { return binary(Op::Mul, x, y); }
  NodeId div(NodeId x, NodeId y) { return binary(Op::Div, x, y); }
  NodeId pow(NodeId x, NodeId y) { return binary(Op::Pow, x, y); }
  NodeId equal(NodeId x, NodeId y) { return binary(Op::CmpEq, x, y); }
  NodeId max(NodeId x, NodeId y) { return binary(Op::Max, x, y); }
  NodeId exp(NodeId x) { return unary(Op::Exp, x); }
  NodeId log(NodeId x) { return unary(Op::Log, x); }
  NodeId sum(NodeId x, const Shape& axes) { return reduce(Op::ReduceSum, x, axes); }
  NodeId greatest(NodeId x, const Shape& axes) { return reduce(Op::ReduceMax, x, axes); }
  Shape size_of(NodeId node) const { return {shape(node).begin(), shape(node).end()}; }

  NodeId inverse(NodeId mask) { return sub(like(mask, 1), mask); }
  NodeId select(NodeId condition, NodeId x, NodeId y) { return mul(pow(x, condition), pow(y, inverse(condition))); }

  /// [m, k] times [k, n] as SUM of MUL; the operands may be widened on the way.
  NodeId matmul(NodeId a, NodeId b) {
    const int64_t m = shape(a)[0], k = shape(a)[1], n = shape(b)[1];
    const NodeId left = to(as(a, {m, 1, k}), {m, n, k});
    const NodeId right = to(as(turned(b, {1, 0}), {1, n, k}), {m, n, k});
    return as(sum(mul(left, right), {2}), {m, n});
  }

  graph::Graph done();
  graph::Graph done(NodeId node) {
    output("y", node);
    return done();
  }
};

/// The count of a graph that is known to be good; throws on a Problem.
meter::StepCount counted(const graph::Graph& graph, const meter::Usage& usage = {},
                         meter::Tariff tariff = meter::kNewestTariff);

}  // namespace quarry::testing
