#include "worker/calibration.h"

#include <spdlog/spdlog.h>

#include <array>

#include "engine/graph/graph.h"
#include "engine/run/run.h"

namespace quarry::worker {
namespace {

using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;

constexpr int64_t kMeasuredSteps = 3;

/// C = A B of n x n: SUM over k of A[i, k] * B[k, j].
Result<graph::Graph> product_graph(int64_t n) {
  Builder b;
  const std::array<int64_t, 3> left{n, n, 1}, right{1, n, n}, both{n, n, n};
  const std::array<int64_t, 2> square{n, n};
  const std::array<int64_t, 1> middle{1};
  const NodeId x = b.input("x", DType::F32, square), y = b.input("y", DType::F32, square);
  const NodeId product = b.binary(Op::Mul, b.expand(b.reshape(x, left), both), b.expand(b.reshape(y, right), both));
  b.output("z", b.reshape(b.reduce(Op::ReduceSum, product, middle), square));
  return b.finish();
}

Result<graph::Graph> sum_graph(int64_t n) {
  Builder b;
  const std::array<int64_t, 1> shape{n};
  b.output("z", b.binary(Op::Add, b.input("x", DType::F32, shape), b.input("y", DType::F32, shape)));
  return b.finish();
}

/// Ordinary numbers: zeros are faster than real data on some devices.
class Numbers final : public run::ByteSource {
 public:
  explicit Numbers(uint64_t bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_; }
  Status read(uint64_t offset, std::span<std::byte> out) override {
    constexpr std::array<float, 4> kPattern{0.7F, -1.3F, 0.25F, 1.9F};
    const auto pattern = std::as_bytes(std::span(kPattern));
    for (size_t i = 0; i < out.size(); ++i) out[i] = pattern[(offset + i) % pattern.size()];
    return {};
  }

 private:
  uint64_t bytes_;
};

/// Seconds of one step of a graph over inputs x and y.
Result<double> time_step(device::Device& device, Result<graph::Graph> graph, uint64_t input_bytes,
                         uint64_t memory_bytes, const Clock& clock) {
  if (!graph.ok()) return graph.problem();
  run::Program program;
  program.graph = std::make_shared<const graph::NormalGraph>(graph::normalise(*graph));
  program.steps = 1 + kMeasuredSteps;
  program.keep = {{"z", run::KeepMode::Last}};
  QUARRY_ASSIGN(auto run, run::prepare(device, program, memory_bytes));
  for (const char* name : {"x", "y"}) QUARRY_TRY(run->set_input(name, std::make_shared<Numbers>(input_bytes)));
  const run::Observer go_on = [](const run::StepReport&) { return true; };
  QUARRY_TRY(run->advance(0, 1, go_on));  // warms caches, compiles what is compiled at the first launch
  QUARRY_TRY(device.wait());
  const Instant start = clock.now();
  QUARRY_TRY(run->advance(1, kMeasuredSteps, go_on));
  QUARRY_TRY(device.wait());
  return std::chrono::duration<double>(clock.now() - start).count() / kMeasuredSteps;
}

/// Sizes whose step takes milliseconds, which drowns launches and timers: on the interpreter, a processor, a graphics
/// card. One size is compiled, as a compilation takes a second on a busy box.
constexpr std::array<int64_t, 3> kProductSizes{64, 1024, 4096};
constexpr std::array<int64_t, 3> kSumSizes{int64_t{1} << 14, int64_t{1} << 22, int64_t{1} << 26};

size_t speed_class(const device::Properties& properties) {
  if (properties.backend == "interpreter") return 0;
  return properties.is_gpu ? 2 : 1;
}

/// `work` of a step over its time, at the size of the device's class or the largest below it that fits.
double measure(device::Device& device, Result<graph::Graph> (*make)(int64_t), const std::array<int64_t, 3>& sizes,
               int64_t (*elements)(int64_t), double (*work)(int64_t), uint64_t memory_bytes, const Clock& clock) {
  size_t at = speed_class(device.properties());
  const auto input_bytes = [&] { return sizeof(float) * static_cast<uint64_t>(elements(sizes[at])); };
  while (at > 0 && 4 * input_bytes() > memory_bytes) --at;
  const auto seconds = time_step(device, make(sizes[at]), input_bytes(), memory_bytes, clock);
  if (!seconds.ok()) spdlog::warn("the device could not be measured: {}", seconds.problem().detail);
  return seconds.ok() && *seconds > 0 ? work(sizes[at]) / *seconds : 0;
}

}  // namespace

Calibrated measure_rate_card(device::Device& device, uint64_t memory_bytes, const Clock& clock) {
  const auto square = [](int64_t n) { return n * n; };
  const auto product_flops = [](int64_t n) {
    return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
  };
  const auto same = [](int64_t n) { return n; };
  const auto sum_bytes = [](int64_t n) { return 3.0 * sizeof(float) * static_cast<double>(n); };
  return {measure(device, product_graph, kProductSizes, square, product_flops, memory_bytes, clock),
          measure(device, sum_graph, kSumSizes, same, sum_bytes, memory_bytes, clock)};
}

}  // namespace quarry::worker
