#include "tests/device/conformance/harness.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "engine/graph/number.h"
#include "engine/run/byte_source.h"
#include "engine/run/run.h"
#include "tests/support/devices.h"

namespace quarry::device::conformance {

using graph::DType;

std::vector<std::string> devices_here() {
  return test::device_selectors();
}

Device& opened(const std::string& selector) {
  static std::map<std::string, std::unique_ptr<Device>> devices;
  auto& device = devices[selector];
  if (!device) {
    auto result = open_device(selector, {});
    if (!result) throw std::runtime_error(result.problem().detail);
    device = std::move(result).value();
  }
  return *device;
}

uint64_t seed_of_this_run() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("QUARRY_TEST_SEED");
    return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  }();
  return seed;
}

std::vector<std::byte> random_values(DType dtype, int64_t elements, Random& random, bool any_bits) {
  const auto size = static_cast<size_t>(graph::byte_size(dtype));
  std::vector<std::byte> bytes(static_cast<size_t>(elements) * size);
  std::normal_distribution<double> normal(0, 2);
  for (size_t i = 0; i < bytes.size(); i += size) {
    const bool full_range = random() % 2 == 0 && (any_bits || !graph::is_float(dtype));
    const uint64_t bits = full_range ? random() & graph::bit_mask(dtype) : graph::from_double(dtype, normal(random));
    std::memcpy(bytes.data() + i, &bits, size);
  }
  return bytes;
}

Values random_inputs(const graph::Graph& graph, Random& random) {
  Values inputs;
  for (const graph::NodeId input : graph.inputs())
    inputs[std::string(graph.input_name(input))] = random_values(graph[input].dtype, graph.elements(input), random);
  return inputs;
}

graph::Graph finished(graph::Builder& builder) {
  auto graph = builder.finish();
  if (!graph) throw std::runtime_error(graph.problem().detail);
  return std::move(graph).value();
}

Values run_step(Device& device, const graph::Graph& graph, const Values& inputs, int64_t step, uint64_t seed) {
  const auto value = [](auto&& result) {
    if (!result) throw std::runtime_error(result.problem().code + ": " + result.problem().detail);
    return std::move(result).value();
  };
  run::Program program;
  program.graph = std::make_shared<const graph::NormalGraph>(graph::normalise(graph));
  program.seed = seed;
  program.first_step = step;
  for (const auto& output : graph.outputs()) program.keep.push_back({output.name, run::KeepMode::Last});
  const auto run = value(run::prepare(device, program, uint64_t{4} << 30));
  for (const graph::NodeId input : program.graph->graph.inputs()) {
    const std::string name(program.graph->graph.input_name(input));
    const Status set = run->set_input(name, run::memory_source(inputs.at(name)));
    if (!set.ok()) throw std::runtime_error(set.problem().detail);
  }
  value(run->advance(step, 1, {}));
  Values outputs;
  for (const auto& output : graph.outputs()) outputs[output.name] = value(run->kept(output.name));
  return outputs;
}

uint64_t ulps_apart(DType dtype, uint64_t a, uint64_t b) {
  if (a == b) return 0;
  if (!graph::is_float(dtype)) return UINT64_MAX;
  if (graph::is_nan(dtype, a) || graph::is_nan(dtype, b))
    return graph::is_nan(dtype, a) && graph::is_nan(dtype, b) ? 0 : UINT64_MAX;
  const uint64_t sign = uint64_t{1} << (8 * graph::byte_size(dtype) - 1);
  const uint64_t x = a & ~sign, y = b & ~sign;
  if ((a & sign) != (b & sign)) return x + y;
  return x < y ? y - x : x - y;
}

uint64_t element(DType dtype, const std::vector<std::byte>& bytes, size_t position) {
  const auto size = static_cast<size_t>(graph::byte_size(dtype));
  uint64_t bits = 0;
  std::memcpy(&bits, bytes.data() + position * size, size);
  return bits;
}

std::string difference(DType dtype, const std::vector<std::byte>& got, const std::vector<std::byte>& wanted,
                       uint64_t ulps) {
  if (got.size() != wanted.size())
    return "sizes " + std::to_string(got.size()) + " and " + std::to_string(wanted.size());
  for (size_t i = 0; i < got.size() / static_cast<size_t>(graph::byte_size(dtype)); ++i) {
    const uint64_t a = element(dtype, got, i), b = element(dtype, wanted, i);
    if (ulps_apart(dtype, a, b) > ulps)
      return "element " + std::to_string(i) + " of dtype " + std::string(graph::name(dtype)) + ": " +
             std::to_string(graph::to_double(dtype, a)) + " instead of " + std::to_string(graph::to_double(dtype, b));
  }
  return {};
}

}  // namespace quarry::device::conformance
