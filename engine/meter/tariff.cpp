#include "engine/meter/tariff.h"

#include <algorithm>

#include "engine/graph/idioms.h"
#include "engine/meter/meter.h"

namespace quarry::meter {

using graph::Op;

namespace {

constexpr int kDivision = 4;
constexpr int kExponential = 8;
constexpr int kPower = 16;
constexpr int kRandom = 16;

// x^2 is a product; x^-1 a division; x^0.5 and x^-0.5 are square roots.
int weight_of_power(const graph::Graph& graph, graph::NodeId exponent) {
  const auto halves = graph::constant_in_halves(graph, exponent);
  if (!halves) return kPower;
  switch (*halves) {
    case 4:
      return 1;
    case -2:
    case -1:
    case 1:
      return kDivision;
    default:
      return kPower;
  }
}

}  // namespace

int weight(const graph::Graph& graph, graph::NodeId id) {
  const Op op = graph[id].op;
  switch (op) {
    case Op::Exp:
    case Op::Log:
      return kExponential;
    case Op::Div:
      return kDivision;
    case Op::Pow:
      return weight_of_power(graph, graph[id].operands[1]);
    case Op::Rand:
      return kRandom;
    default:
      return graph::is_movement(op) || graph::is_source(op) ? 0 : 1;
  }
}

bool is_cheap_power(const graph::Graph& graph, graph::NodeId id) {
  return graph[id].op == Op::Pow && weight(graph, id) < kPower;
}

int width_class(const graph::Graph& graph, graph::NodeId id) {
  const graph::Node& node = graph[id];
  int64_t bytes = graph::byte_size(node.dtype);
  if (node.op == Op::Cast) bytes = std::max(bytes, graph::byte_size(graph[node.operands[0]].dtype));
  return bytes <= 2 ? 0 : bytes <= 4 ? 1 : 2;
}

Problem overflow(const std::string& what) {
  return {"count_overflow", what + " does not fit in the counters of tariff " + std::to_string(kTariffVersion), "",
          "make the graph, its shapes or the number of steps smaller"};
}

}  // namespace quarry::meter
