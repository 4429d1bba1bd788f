#include "engine/meter/tariff.h"

#include <algorithm>

#include "engine/graph/idioms.h"
#include "engine/meter/meter.h"

namespace quarry::meter {

using graph::Op;

namespace {

struct Weights {
  int division, exponential, power, random;
  int wide_exponential;                 // EXP of f64
  int integer_division, integer_power;  // no vector instruction; a loop over the exponent's bits
  int half_rounding;                    // more for an op on f16 or bf16 outside of a contraction: f32, then rounded
  int half_cast;                        // between f16 or bf16 and an integer
};
// Of tariff 2: what ops take of a processor, measured by ops/bench metering.
constexpr Weights kWeights[] = {{4, 8, 16, 16, 8, 4, 16, 0, 1}, {4, 12, 64, 64, 20, 32, 64, 2, 6}};

const Weights& weights(Tariff tariff) {
  return kWeights[static_cast<int>(tariff) - 1];
}

bool is_half(graph::DType dtype) {
  return dtype == graph::DType::F16 || dtype == graph::DType::BF16;
}

// x^2 is a product; x^-1 a division; x^0.5 and x^-0.5 are square roots.
int weight_of_power(const graph::Graph& graph, graph::NodeId id, const Weights& weights) {
  const bool is_float = graph::is_float(graph[id].dtype);
  const auto halves = graph::constant_in_halves(graph, graph[id].operands[1]);
  switch (halves.value_or(0)) {
    case 4:
      return 1;
    case -2:
    case -1:
    case 1:
      return weights.division;
    default:
      return is_float ? weights.power : weights.integer_power;
  }
}

int weight_of_cast(const graph::Graph& graph, graph::NodeId id, const Weights& weights) {
  const graph::DType to = graph[id].dtype, from = graph[graph[id].operands[0]].dtype;
  const bool is_far = (is_half(to) && graph::is_integer(from)) || (is_half(from) && graph::is_integer(to));
  return is_far ? weights.half_cast : 1 + (is_half(to) ? weights.half_rounding : 0);
}

}  // namespace

int weight(const graph::Graph& graph, graph::NodeId id, Tariff tariff) {
  const Weights& of = weights(tariff);
  const graph::Node& node = graph[id];
  const bool is_float = graph::is_float(node.dtype);
  const int rounding = is_half(node.dtype) ? of.half_rounding : 0;
  switch (node.op) {
    case Op::Exp:
      return (node.dtype == graph::DType::F64 ? of.wide_exponential : of.exponential) + rounding;
    case Op::Log:
      return of.exponential + rounding;
    case Op::Div:
      return (is_float ? of.division : of.integer_division) + rounding;
    case Op::Pow:
      return weight_of_power(graph, id, of) + rounding;
    case Op::Cast:
      return weight_of_cast(graph, id, of);
    case Op::Rand:
      return of.random + rounding;
    default:
      if (graph::is_binary(node.op)) return 1 + rounding;
      return graph::is_reduce(node.op) ? 1 : 0;
  }
}

bool is_cheap_power(const graph::Graph& graph, graph::NodeId id) {
  return graph[id].op == Op::Pow && weight(graph, id, Tariff::One) < weights(Tariff::One).power;
}

int width_class(const graph::Graph& graph, graph::NodeId id, Tariff tariff) {
  const graph::Node& node = graph[id];
  int64_t bytes = graph::byte_size(node.dtype);
  if (node.op == Op::Cast) bytes = std::max(bytes, graph::byte_size(graph[node.operands[0]].dtype));
  if (tariff >= Tariff::Two && is_half(node.dtype)) bytes = std::max<int64_t>(bytes, 4);
  return bytes <= 2 ? 0 : bytes <= 4 ? 1 : 2;
}

Problem overflow(const std::string& what, Tariff tariff) {
  return {"count_overflow",
          what + " does not fit in the counters of tariff " + std::to_string(static_cast<int>(tariff)), "",
          "make the graph, its shapes or the number of steps smaller"};
}

}  // namespace quarry::meter
