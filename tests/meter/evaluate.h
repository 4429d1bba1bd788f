// The plainest evaluation of small integer graphs: what the recognisers of idioms are held to.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::testing {

using Values = std::vector<int64_t>;  ///< of a node, row-major

/// The values of every node; those in `given`, among them every INPUT, are not computed. Exact, without wrapping: keep
/// values small.
std::vector<Values> evaluate(const graph::Graph& graph, const std::map<graph::NodeId, Values>& given);

/// Calls `visit` with the coordinates of each element, in row-major order.
void for_each_position(std::span<const int64_t> shape, const std::function<void(const std::vector<int64_t>&)>& visit);

int64_t flat_position(std::span<const int64_t> shape, std::span<const int64_t> at);

}  // namespace quarry::testing
