// The weights of each tariff version: what one element of each op counts. A published version never changes.
#pragma once

#include <string>

#include "common/result.h"
#include "engine/graph/graph.h"
#include "engine/meter/meter.h"

namespace quarry::meter {

/// The weighted count of one element, before the width factor: per output element, for a reduce per input element.
/// Movement and sources other than RAND count 0. Idioms are not seen here.
int weight(const graph::Graph& graph, graph::NodeId id, Tariff tariff);

/// Whether the node is a POW whose constant exponent makes it a product, a division or a square root: the exponent
/// itself is not needed.
bool is_cheap_power(const graph::Graph& graph, graph::NodeId id);

/// 0 for operands of 16 bits or less, 1 for 32, 2 for 64. A CAST counts at the wider of its source and target.
int width_class(const graph::Graph& graph, graph::NodeId id, Tariff tariff);

constexpr int width_factor(int width_class) {
  return 1 << width_class;
}

/// What a count is refused with that does not fit in the tariff's counters: "count_overflow".
Problem overflow(const std::string& what, Tariff tariff = kNewestTariff);

}  // namespace quarry::meter
