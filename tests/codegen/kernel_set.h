// The kernels that the tests of this folder print: every op on every dtype, every cast, sums, contractions, random
// graphs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/lower/loop_nest.h"

namespace quarry::test {

struct NamedNest {
  std::string name;
  lower::LoopNest nest;
};

/// Deterministic. Kernels of no elements are left out.
std::vector<NamedNest> kernel_set();

/// The nests of one graph's kernels.
std::vector<lower::LoopNest> nests_of(const graph::Graph& graph);

/// What a test finishes must be valid.
graph::Graph finished(graph::Builder& builder);

// Graphs of one kernel each.
graph::Graph one_op(graph::Op op, graph::DType dtype, int64_t elements);
graph::Graph one_cast(graph::DType to, graph::DType from, int64_t elements);
/// left [m, k] (or [k, m]) times right [k, n] (or [n, k]).
graph::Graph contraction(graph::DType dtype, int64_t m, int64_t n, int64_t k, bool left_transposed,
                         bool right_transposed);
graph::Graph reduction(graph::Op op, graph::DType dtype, std::vector<int64_t> shape, int64_t axis, bool exp_first);
graph::Graph transpose(graph::DType dtype, int64_t rows, int64_t columns);

/// Small whole numbers, so that sums are exact in any order.
std::vector<std::byte> whole_numbers(graph::DType dtype, int64_t elements);
/// The inputs in the order in which the graph's one kernel reads them.
std::vector<std::vector<std::byte>> reads_of(const graph::Graph& graph,
                                             const std::map<std::string, std::vector<std::byte>>& inputs);

}  // namespace quarry::test
