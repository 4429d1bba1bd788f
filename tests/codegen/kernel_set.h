// The kernels that the tests of this folder print: every op on every dtype, every cast, sums, contractions, random
// graphs.
#pragma once

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

}  // namespace quarry::test
