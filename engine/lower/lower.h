// Kernel -> loop nest. The spine is lower_kernel() in lower.cpp; each pass it calls has its own file.
#pragma once

#include "engine/lower/kernel.h"
#include "engine/lower/loop_nest.h"

namespace quarry::lower {

/// Deterministic: the same kernel gives the same nest on every host. A nest with no result elements has no value.
LoopNest lower_kernel(const Kernel& kernel);

// The passes.

/// The index tuple at which `id`'s operand is read when the movement node `id` is read at `index`; for PAD, before its
/// condition.
std::vector<ExprId> operand_index(Arena& arena, const graph::Graph& graph, graph::NodeId id,
                                  const std::vector<ExprId>& index);
/// True where that index of a PAD is inside its operand.
ExprId pad_condition(Arena& arena, const graph::Graph& graph, graph::NodeId id,
                     const std::vector<ExprId>& operand_index);
/// Row-major position of an index tuple.
ExprId flatten(Arena& arena, std::span<const int64_t> shape, const std::vector<ExprId>& index);

/// Builds value, store index and axes of the kernel from the graph, movement as index arithmetic, idioms as their
/// meaning.
void build_expressions(const Kernel& kernel, LoopNest& nest);
/// Joins neighbouring axes that every index walks as one, and splits axes that indices take apart, as long as Div and
/// Mod get fewer.
void reshape_axes(LoopNest& nest);

}  // namespace quarry::lower
