#include "worker/calibration.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <limits>

#include "engine/graph/graph.h"
#include "engine/run/run.h"

namespace quarry::worker {
namespace {

using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;

/// The fastest of these counts: what else runs on the machine slows a step down and never speeds it up.
constexpr int64_t kMeasuredSteps = 4;
constexpr int64_t kMeasuredLaunches = 500;

/// C = A B of n x n: SUM over k of A[i, k] * B[k, j].
template <DType dtype>
Result<graph::Graph> product_graph(int64_t n) {
  Builder b;
  const std::array<int64_t, 3> left{n, n, 1}, right{1, n, n}, both{n, n, n};
  const std::array<int64_t, 2> square{n, n};
  const std::array<int64_t, 1> middle{1};
  const NodeId x = b.input("x", dtype, square), y = b.input("y", dtype, square);
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

/// Ordinary numbers: zeros are faster than real data on some devices. Any two bytes of these are an ordinary f16, any
/// four an f32, any eight an f64.
class Numbers final : public run::ByteSource {
 public:
  explicit Numbers(uint64_t bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_; }
  Status read(uint64_t offset, std::span<std::byte> out) override {
    constexpr std::array<uint8_t, 8> kPattern{0x33, 0x3f, 0x66, 0xbf, 0x9a, 0x3e, 0xf3, 0x3f};
    for (size_t i = 0; i < out.size(); ++i) out[i] = std::byte{kPattern[(offset + i) % kPattern.size()]};
    return {};
  }

 private:
  uint64_t bytes_;
};

struct Timed {
  Result<graph::Graph> graph;  ///< over inputs x and y
  uint64_t input_bytes = 0;    ///< of each
  int64_t steps = 1;           ///< that are timed together
};

/// Seconds of a step: the best of several tries.
Result<double> time_step(device::Device& device, Timed timed, uint64_t memory_bytes, const Clock& clock) {
  if (!timed.graph.ok()) return timed.graph.problem();
  run::Program program;
  program.graph = std::make_shared<const graph::NormalGraph>(graph::normalise(*timed.graph));
  program.steps = 1 + kMeasuredSteps * timed.steps;
  program.keep = {{"z", run::KeepMode::Last}};
  QUARRY_ASSIGN(auto run, run::prepare(device, program, memory_bytes));
  for (const char* name : {"x", "y"}) QUARRY_TRY(run->set_input(name, std::make_shared<Numbers>(timed.input_bytes)));
  QUARRY_TRY(run->advance(0, 1, {}));  // warms caches, compiles what is compiled at the first launch
  QUARRY_TRY(device.wait());
  double best = std::numeric_limits<double>::infinity();
  for (int64_t from = 1; from < program.steps; from += timed.steps) {
    const Instant start = clock.now();
    QUARRY_TRY(run->advance(from, timed.steps, {}));
    QUARRY_TRY(device.wait());
    best = std::min(best, std::chrono::duration<double>(clock.now() - start).count());
  }
  return best / static_cast<double>(timed.steps);
}

/// Sizes whose step takes milliseconds, which drowns launches and timers: on the interpreter, a processor, a graphics
/// card. One size is compiled, as a compilation takes a second on a busy box.
constexpr std::array<int64_t, 3> kProductSizes{64, 1024, 4096};
constexpr std::array<int64_t, 3> kSumSizes{int64_t{1} << 14, int64_t{1} << 22, int64_t{1} << 26};
constexpr uint64_t kLargestElement = 8;

size_t speed_class(const device::Properties& properties) {
  if (properties.backend == "interpreter") return 0;
  return properties.is_gpu ? 2 : 1;
}

class Measurer {
 public:
  Measurer(device::Device& device, uint64_t memory_bytes, const Clock& clock)
      : device_(device), memory_bytes_(memory_bytes), clock_(clock) {}

  template <DType dtype>
  double flops_per_s() {
    const int64_t n = fitting(kProductSizes, [](int64_t size) { return size * size; });
    const auto elements = static_cast<uint64_t>(n * n);
    const double flops = 2.0 * static_cast<double>(n) * static_cast<double>(elements);
    return rate(flops, {product_graph<dtype>(n), elements * static_cast<uint64_t>(graph::byte_size(dtype)), 1});
  }
  double bytes_per_s() {
    const int64_t n = fitting(kSumSizes, [](int64_t size) { return size; });
    const uint64_t bytes = sizeof(float) * static_cast<uint64_t>(n);
    return rate(3.0 * static_cast<double>(bytes), {sum_graph(n), bytes, 1});
  }
  double launches_per_s() { return rate(1, {sum_graph(1), sizeof(float), kMeasuredLaunches}); }

 private:
  /// The size of the device's class, or the largest below it that fits.
  int64_t fitting(const std::array<int64_t, 3>& sizes, int64_t (*elements)(int64_t)) const {
    size_t at = speed_class(device_.properties());
    while (at > 0 && 4 * kLargestElement * static_cast<uint64_t>(elements(sizes[at])) > memory_bytes_) --at;
    return sizes[at];
  }
  /// `work` of a step over its time; 0 if it cannot be measured.
  double rate(double work, Timed timed) {
    const auto seconds = time_step(device_, std::move(timed), memory_bytes_, clock_);
    if (!seconds.ok()) spdlog::warn("a rate of the device could not be measured: {}", seconds.problem().detail);
    return seconds.ok() && *seconds > 0 ? work / *seconds : 0;
  }

  device::Device& device_;
  uint64_t memory_bytes_;
  const Clock& clock_;
};

}  // namespace

Calibrated measure_rate_card(device::Device& device, uint64_t memory_bytes, const Clock& clock,
                             const std::function<bool()>& goes_on) {
  Measurer measure(device, memory_bytes, clock);
  Calibrated rates;
  rates.f32_flops_per_s = measure.flops_per_s<DType::F32>();
  rates.bytes_per_s = measure.bytes_per_s();
  if (goes_on()) rates.launches_per_s = measure.launches_per_s();
  if (goes_on()) rates.f16_flops_per_s = measure.flops_per_s<DType::F16>();
  if (goes_on()) rates.f64_flops_per_s = measure.flops_per_s<DType::F64>();
  return rates;
}

}  // namespace quarry::worker
