// Loop nest -> contraction: which ranges are batch, m, n and k, and how the operands lie in memory.
#pragma once

#include <optional>

#include "engine/lower/loop_nest.h"
#include "engine/templates/contraction.h"

namespace quarry::templates {

/// The nest as a contraction, if it is one that the template may take: a SUM of products of two loads of one dtype
/// (bf16, f16 or f32), through widening CASTs, whose indices are affine and without guards. m or n is 1 if the nest has
/// no such axis. Where several axes could be m (or n), the longest is, and the others are batch axes.
std::optional<ContractionProblem> classify(const lower::LoopNest& nest);

/// The same sums with left and right, m and n in each other's place.
ContractionProblem swapped(const ContractionProblem& problem);

}  // namespace quarry::templates
