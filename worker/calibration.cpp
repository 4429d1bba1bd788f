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
/// A step at least this long drowns launch and timer overhead. The smallest size is for the interpreter, the middle one
/// for processors, the largest for graphics cards: each further one costs a compilation, up to a second on a busy box.
constexpr double kLongEnoughSeconds = 0.005;

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

struct Size {
  int64_t n;
  double work;           ///< FLOPs or bytes of a step
  uint64_t input_bytes;  ///< of each of the two
};

/// The rate at the first size whose step is long enough, else at the largest that fits.
double measure(device::Device& device, Result<graph::Graph> (*make)(int64_t), std::span<const Size> sizes,
               uint64_t memory_bytes, const Clock& clock) {
  double rate = 0;
  for (const Size& size : sizes) {
    if (4 * size.input_bytes > memory_bytes) break;
    const auto seconds = time_step(device, make(size.n), size.input_bytes, memory_bytes, clock);
    if (!seconds.ok()) {
      spdlog::warn("calibration stopped at size {}: {}", size.n, seconds.problem().detail);
      break;
    }
    if (*seconds <= 0) continue;
    rate = size.work / *seconds;
    if (*seconds >= kLongEnoughSeconds) break;
  }
  return rate;
}

}  // namespace

Calibrated measure_rate_card(device::Device& device, uint64_t memory_bytes, const Clock& clock) {
  constexpr uint64_t kF32 = 4;
  std::vector<Size> products, sums;
  for (int64_t n : {64, 1024, 4096}) {
    const auto side = static_cast<double>(n);
    products.push_back({n, 2 * side * side * side, kF32 * static_cast<uint64_t>(n * n)});
  }
  for (int64_t n : {int64_t{1} << 14, int64_t{1} << 22, int64_t{1} << 26})
    sums.push_back({n, 3.0 * static_cast<double>(kF32) * static_cast<double>(n), kF32 * static_cast<uint64_t>(n)});
  return {measure(device, product_graph, products, memory_bytes, clock),
          measure(device, sum_graph, sums, memory_bytes, clock)};
}

}  // namespace quarry::worker
