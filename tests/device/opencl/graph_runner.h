// Runs a graph once, kernel by kernel, on any device: what the tests compare devices with.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/graph/graph.h"

namespace quarry::test {

using Tensor = std::vector<std::byte>;
using Tensors = std::map<std::string, Tensor>;

/// Throws std::runtime_error with the problem's words. `carry` makes row updates in place.
Tensors run_graph(device::Device& device, std::shared_ptr<const graph::NormalGraph> graph, const Tensors& inputs,
                  device::LaunchScalars scalars = {},
                  const std::vector<std::pair<std::string, std::string>>& carry = {});

std::unique_ptr<device::Device> open(const std::string& selector, const std::string& cache_directory = "");
std::shared_ptr<const graph::NormalGraph> finish(graph::Builder& builder);

/// Elements of any dtype as doubles (i64 exactly as far as a double goes).
std::vector<double> as_doubles(const Tensor& tensor, graph::DType dtype);
/// Distance in units of the last place of the dtype; 0 when both are NaN or equal.
double distance_in_ulps(double a, double b, graph::DType dtype);

/// Random elements with the dtype's special values among them: zeros, ones, infinities, NaN, limits, subnormals.
Tensor random_tensor(graph::DType dtype, size_t elements, uint64_t seed);

}  // namespace quarry::test
