// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC11), the generator behind
// RAND.
#pragma once

#include <array>
#include <cstdint>

#include "engine/graph/dtype.h"

namespace quarry::device::interpreter {

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Element `element` of RAND {stream, dtype} in a step of a job: f32 in [0, 1) or i32, as bits.
uint64_t random_element(graph::DType dtype, int64_t element, uint32_t stream, int32_t step, uint64_t seed);

}  // namespace quarry::device::interpreter
