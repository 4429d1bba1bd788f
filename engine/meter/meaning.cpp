#include "engine/meter/meaning.h"

#include "engine/meter/tariff.h"

namespace quarry::meter {

using graph::NodeId;
using graph::Op;

Meaning::Meaning(const graph::Graph& source)
    : graph(source), zero_or_one(graph::zero_or_one_values(source)), operands(source.size()), is_select(source.size()) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    operands[id] = {graph[id].operands[0], graph[id].operands[1], graph::kNoNode};
    if (is_cheap_power(graph, id)) {
      operands[id][1] = graph::kNoNode;
    } else if (graph[id].op == Op::Mul) {
      if (const auto select = graph::match_select(graph, zero_or_one, id)) {
        operands[id] = {select->condition, select->if_one, select->if_zero};
        is_select[id] = true;
      }
    } else if (graph[id].op == Op::ReduceSum) {
      if (const auto gather = graph::match_gather(graph, id)) {
        operands[id] = {gather->table, gather->index, graph::kNoNode};
        gathers.emplace(id, *gather);
      }
    }
  }
}

}  // namespace quarry::meter
