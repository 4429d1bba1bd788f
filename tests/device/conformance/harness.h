// Runs one step of a graph on a device, and compares elements.
#pragma once

#include <cstddef>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/graph/graph.h"

namespace quarry::device::conformance {

using Random = std::mt19937_64;
using Values = std::map<std::string, std::vector<std::byte>>;

/// Every device present, opened; the interpreter among them.
std::vector<std::string> devices_here();
Device& opened(const std::string& selector);

/// A new seed for each run of the tests, or QUARRY_TEST_SEED.
uint64_t seed_of_this_run();

/// Bytes of a value: any mix of small numbers and the whole range of the dtype. Floats are finite unless `any_bits`.
std::vector<std::byte> random_values(graph::DType dtype, int64_t elements, Random& random, bool any_bits = false);
Values random_inputs(const graph::Graph& graph, Random& random);

/// Ends a graph that must be valid.
graph::Graph finished(graph::Builder& builder);

/// The outputs after step `step` with the given seed.
Values run_step(Device& device, const graph::Graph& graph, const Values& inputs, int64_t step = 3, uint64_t seed = 17);

/// How far two elements are apart in units of the last place; 0 for equal values, zeros of either sign and NaNs among
/// each other.
uint64_t ulps_apart(graph::DType dtype, uint64_t a, uint64_t b);
uint64_t element(graph::DType dtype, const std::vector<std::byte>& bytes, size_t position);
/// The first position where outputs differ by more than `ulps`, as text; empty if none does.
std::string difference(graph::DType dtype, const std::vector<std::byte>& got, const std::vector<std::byte>& wanted,
                       uint64_t ulps);

}  // namespace quarry::device::conformance
