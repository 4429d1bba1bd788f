#include "tests/device/opencl/graph_runner.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>

namespace quarry::test {

using graph::DType;

namespace {

template <class T>
T require(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.problem().code + ": " + result.problem().detail);
  return std::move(result).value();
}
void require(Status status) {
  if (!status.ok()) throw std::runtime_error(status.problem().code + ": " + status.problem().detail);
}

double from_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  if (exponent == 31) magnitude = fraction == 0 ? INFINITY : NAN;
  return bits & 0x8000 ? -magnitude : magnitude;
}

template <class T>
T element(const Tensor& tensor, size_t i) {
  T value;
  std::memcpy(&value, tensor.data() + i * sizeof value, sizeof value);
  return value;
}

int fraction_bits(DType dtype) {
  switch (dtype) {
    case DType::F16:
      return 10;
    case DType::BF16:
      return 7;
    case DType::F32:
      return 23;
    default:
      return 52;
  }
}

uint64_t special_bits(DType dtype, uint64_t which) {
  static constexpr uint64_t kF16[] = {0,      0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00,
                                      0x7e00, 0x0001, 0x7bff, 0x4000, 0x3800, 0xb800};
  static constexpr uint64_t kBF16[] = {0,      0x8000, 0x3f80, 0xbf80, 0x7f80, 0xff80,
                                       0x7fc0, 0x0001, 0x7f7f, 0x4000, 0x3f00, 0xbf00};
  static constexpr float kFloat[] = {0, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, 1e-42f, 3.4e38f, 2, 0.5f, -0.5f};
  which %= 12;
  switch (dtype) {
    case DType::F16:
      return kF16[which];
    case DType::BF16:
      return kBF16[which];
    case DType::F32:
      return std::bit_cast<uint32_t>(kFloat[which]);
    case DType::F64:
      return std::bit_cast<uint64_t>(double{kFloat[which]});
    default:
      break;
  }
  static constexpr int64_t kInteger[] = {0, 1, -1, 2, 3, -2, INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, -128, 127};
  const int bits = 8 * static_cast<int>(graph::byte_size(dtype));
  if (which == 6) return uint64_t{1} << (bits - 1);
  return static_cast<uint64_t>(kInteger[which]);
}

uint64_t random_bits(DType dtype, std::mt19937_64& random) {
  const uint64_t word = random();
  const double small = std::ldexp(static_cast<double>(word >> 11), -53) * 8 - 4;
  switch (dtype) {
    case DType::Bool:
      return word & 1;
    case DType::F16:
      return (word & 0x83ff) | ((word >> 20) % 10 + 10) << 10;
    case DType::BF16:
      return std::bit_cast<uint32_t>(static_cast<float>(small)) >> 16;
    case DType::F32:
      return std::bit_cast<uint32_t>(static_cast<float>(small));
    case DType::F64:
      return std::bit_cast<uint64_t>(small);
    default:
      return (word & 1) != 0 ? word >> 20 : static_cast<uint64_t>(static_cast<int64_t>(word >> 58) - 32);
  }
}

}  // namespace

std::unique_ptr<device::Device> open(const std::string& selector, const std::string& cache_directory) {
  return require(device::open_device(selector, {.cache_directory = cache_directory}));
}

std::shared_ptr<const graph::NormalGraph> finish(graph::Builder& builder) {
  return std::make_shared<graph::NormalGraph>(graph::normalise(require(builder.finish())));
}

Tensors run_graph(device::Device& device, std::shared_ptr<const graph::NormalGraph> graph, const Tensors& inputs,
                  device::LaunchScalars scalars, const std::vector<std::pair<std::string, std::string>>& carry) {
  const graph::Graph& nodes = graph->graph;
  std::map<graph::NodeId, std::shared_ptr<device::Buffer>> buffers;
  const auto range = [&](graph::NodeId id) {
    return device::BufferRange{buffers.at(id).get(), 0, buffers.at(id)->bytes()};
  };
  for (graph::NodeId id : nodes.inputs()) {
    const Tensor& bytes = inputs.at(std::string(nodes.input_name(id)));
    buffers[id] = require(device.allocate(bytes.size()));
    require(device.copy_in(range(id), bytes));
  }
  for (const lower::Kernel& kernel : lower::partition(graph, carry)) {
    const uint64_t bytes =
        static_cast<uint64_t>(nodes.elements(kernel.result) * graph::byte_size(nodes[kernel.result].dtype));
    buffers[kernel.result] =
        kernel.row_update ? buffers.at(kernel.row_update->old_value) : require(device.allocate(bytes));
    std::vector<device::BufferRange> reads;
    for (graph::NodeId id : kernel.reads) reads.push_back(range(id));
    auto executable = require(device.compile(kernel, uint64_t{8} << 20));
    auto scratch = require(device.allocate(executable->scratch_bytes()));
    require(device.launch(*executable, range(kernel.result), reads, {scratch.get(), 0, scratch->bytes()}, scalars));
  }
  Tensors results;
  for (const graph::Output& output : nodes.outputs()) {
    Tensor& bytes = results[output.name];
    bytes.resize(static_cast<size_t>(nodes.elements(output.node) * graph::byte_size(nodes[output.node].dtype)));
    require(device.copy_out(bytes, range(output.node)));
  }
  require(device.wait());
  return results;
}

std::vector<double> as_doubles(const Tensor& tensor, DType dtype) {
  std::vector<double> values(tensor.size() / static_cast<size_t>(graph::byte_size(dtype)));
  for (size_t i = 0; i < values.size(); ++i) {
    switch (dtype) {
      case DType::Bool:
      case DType::U8:
        values[i] = element<uint8_t>(tensor, i);
        break;
      case DType::I8:
        values[i] = element<int8_t>(tensor, i);
        break;
      case DType::I32:
        values[i] = element<int32_t>(tensor, i);
        break;
      case DType::I64:
        values[i] = static_cast<double>(element<int64_t>(tensor, i));
        break;
      case DType::F16:
        values[i] = from_f16(element<uint16_t>(tensor, i));
        break;
      case DType::BF16:
        values[i] = std::bit_cast<float>(uint32_t{element<uint16_t>(tensor, i)} << 16);
        break;
      case DType::F32:
        values[i] = element<float>(tensor, i);
        break;
      case DType::F64:
        values[i] = element<double>(tensor, i);
        break;
    }
  }
  return values;
}

double distance_in_ulps(double a, double b, DType dtype) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (a == b) return 0;
  if (!std::isfinite(a) || !std::isfinite(b) || !graph::is_float(dtype)) return INFINITY;
  const int least = dtype == DType::F16 ? -14 : dtype == DType::F64 ? -1022 : -126;
  const int exponent = std::max(least, std::ilogb(std::max(std::fabs(a), std::fabs(b))));
  return std::fabs(a - b) / std::ldexp(1.0, exponent - fraction_bits(dtype));
}

Tensor random_tensor(DType dtype, size_t elements, uint64_t seed) {
  std::mt19937_64 random(seed);
  const size_t bytes = static_cast<size_t>(graph::byte_size(dtype));
  Tensor tensor(elements * bytes);
  for (size_t i = 0; i < elements; ++i) {
    uint64_t bits = random() % 4 == 0 ? special_bits(dtype, random()) : random_bits(dtype, random);
    if (dtype == DType::Bool) bits &= 1;
    std::memcpy(tensor.data() + i * bytes, &bits, bytes);
  }
  return tensor;
}

}  // namespace quarry::test
