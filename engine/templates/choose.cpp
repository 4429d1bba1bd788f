#include "engine/templates/choose.h"

#include <algorithm>
#include <array>

#include "engine/templates/classify.h"

namespace quarry::templates {

namespace {

// Rates in units of one multiprocessor and one microsecond.
constexpr double kFlops = 6.2e6;        ///< of 16-bit products: 820 TFLOP/s over 132 units, what a cool card gives
constexpr double kSplitFlops = 0.95e6;  ///< of f32 products by six of their parts: 125 TFLOP/s
constexpr double kL2Bytes = 100e3;      ///< into shared memory
constexpr double kDeviceBytes = 4.2e6;  ///< of the whole card's memory
constexpr double kLaunchUs = 3;         ///< launch, first fill of the stages, last store
constexpr double kJoinUs = 2;           ///< fences and the counter of a split sum
constexpr double kOverlapLost = 0.4;  ///< of the shorter of arithmetic and memory traffic, which hides behind the other
constexpr double kTileUs = 0.3;       ///< barriers of an epilogue
constexpr int64_t kRowBytes = 128;    ///< of a row of a stage
constexpr int64_t kFewestOutputs = 256;  ///< of one batch
constexpr int64_t kFewestSplitProducts = int64_t{1} << 24,
                  kFewestSplitDepth = 64;  ///< of f32 sums: smaller ones go by loops
constexpr int64_t kSharedBytes = 227 * 1024 - 16, kSharedOfUnit = 228 * 1024, kSharedOfBlock = 1024;
constexpr int64_t kFewestSteps = 4;  ///< of a part: the pipeline must fill
constexpr int64_t kMostParts = 16;
constexpr int kMostStages = 12, kFewestStages = 3;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t stage_bytes(const ContractionSchedule& schedule) {
  return (schedule.block_m + schedule.block_n) * kRowBytes;
}

int64_t shared_bytes(const ContractionProblem& problem, const ContractionSchedule& schedule) {
  const int64_t staging = problem.n_stride == 1 ? schedule.block_m / 64 * 2 * 8192 : 0;
  return schedule.stages * stage_bytes(schedule) + staging + 2048;
}

// Blocks that one unit holds at once. With two consumer warpgroups, registers allow one.
int64_t resident(const ContractionProblem& problem, const ContractionSchedule& schedule) {
  if (schedule.block_m == 128) return 1;
  return schedule.block_n <= 128 && 2 * (shared_bytes(problem, schedule) + kSharedOfBlock) <= kSharedOfUnit ? 2 : 1;
}

int64_t depth_of(const ContractionProblem& problem) {
  return kRowBytes / graph::byte_size(problem.operand);
}

double batches_of(const ContractionProblem& problem) {
  double product = 1;
  for (int64_t extent : problem.batches) product *= static_cast<double>(extent);
  return product;
}

// As many stages as fit, for one block a unit and then, if it is a small block, for two.
std::array<int, 2> stage_counts(const ContractionProblem& problem, ContractionSchedule schedule) {
  std::array<int, 2> counts{};
  for (int stages = kFewestStages; stages <= kMostStages; ++stages) {
    schedule.stages = stages;
    if (shared_bytes(problem, schedule) <= kSharedBytes) counts[0] = stages;
    if (resident(problem, schedule) == 2) counts[1] = stages;
  }
  return counts;
}

// The schedules that differ in more than their parts.
std::vector<ContractionSchedule> shapes_of(const ContractionProblem& problem) {
  if (problem.operand == graph::DType::F32) return {{.block_m = 128, .block_n = 128, .stages = 4}};
  std::vector<ContractionSchedule> shapes;
  for (int64_t block_m : {128, 64}) {
    for (int64_t block_n : {256, 128, 64, 32, 16, 8}) {
      ContractionSchedule schedule{.block_m = block_m, .block_n = block_n};
      for (int stages : stage_counts(problem, schedule)) {
        schedule.stages = stages;
        if (stages > 0) shapes.push_back(schedule);
      }
    }
  }
  return shapes;
}

bool worth_it(const ContractionProblem& problem) {
  // A tile for each batch would be nearly empty, and hardly a number is read twice: the loops are better at that.
  if (problem.m * problem.n < kFewestOutputs) return false;
  if (problem.operand != graph::DType::F32) return true;
  const double products = batches_of(problem) * static_cast<double>(problem.m) * static_cast<double>(problem.n) *
                          static_cast<double>(problem.k);
  return problem.k >= kFewestSplitDepth && products >= static_cast<double>(kFewestSplitProducts);
}

}  // namespace

double predicted_us(const ContractionProblem& problem, const ContractionSchedule& schedule, const DeviceClass& device) {
  const double m = static_cast<double>(schedule.block_m), n = static_cast<double>(schedule.block_n);
  const double blocks = static_cast<double>(resident(problem, schedule));
  const double size = static_cast<double>(graph::byte_size(problem.result));
  const double flops = problem.operand == graph::DType::F32 ? kSplitFlops : kFlops;
  const double loaded = static_cast<double>(stage_bytes(schedule));
  const double step = blocks * std::max(2 * m * n * static_cast<double>(depth_of(problem)) / flops, loaded / kL2Bytes);
  const auto steps = static_cast<double>(ceil_div(ceil_div(problem.k, depth_of(problem)), schedule.parts));
  const bool staged = problem.n_stride == 1;
  double tile = steps * step + kTileUs + (staged ? 1 : 2) * m * n * size / kL2Bytes;
  if (schedule.parts > 1) tile += kJoinUs + (1 + static_cast<double>(schedule.parts)) * m * n * 4 / kL2Bytes;
  const int64_t items = work_items(problem, schedule);
  const auto waves = static_cast<double>(ceil_div(items, device.units * static_cast<int64_t>(blocks)));
  const auto operands = static_cast<double>(graph::byte_size(problem.operand) * problem.k * (problem.m + problem.n));
  const double bytes = batches_of(problem) * (operands + static_cast<double>(problem.m * problem.n) * size);
  const double computing = waves * tile, moving = bytes / kDeviceBytes;
  return kLaunchUs + std::max(computing, moving) + kOverlapLost * std::min(computing, moving);
}

std::optional<Choice> choose(const ContractionProblem& problem, const DeviceClass& device) {
  if (!worth_it(problem)) return std::nullopt;
  // What the template refuses whatever the schedule: operands that the TMA engine cannot read.
  if (!contraction(problem, shapes_of(problem).back())) return std::nullopt;
  std::vector<Choice> choices;
  for (bool swap : {false, true}) {
    const ContractionProblem turned = swap ? swapped(problem) : problem;
    const int64_t stages = ceil_div(turned.k, depth_of(turned));
    for (ContractionSchedule schedule : shapes_of(turned)) {
      schedule.parts = 1;
      const int64_t tiles = work_items(turned, schedule);
      for (int64_t parts = 1; parts <= kMostParts && (parts == 1 || stages >= parts * kFewestSteps); ++parts) {
        schedule.parts = parts;
        const int64_t workspace = tiles * parts * schedule.block_m * schedule.block_n * int64_t{sizeof(float)};
        if (parts > 1 && workspace > device.most_workspace) break;
        const int64_t blocks = std::min(tiles * parts, device.units * resident(turned, schedule));
        choices.push_back({swap, schedule, blocks, predicted_us(turned, schedule, device)});
      }
    }
  }
  std::ranges::stable_sort(choices, {}, &Choice::microseconds);
  for (const Choice& choice : choices) {
    if (contraction(choice.swap ? swapped(problem) : problem, choice.schedule)) return choice;
  }
  return std::nullopt;
}

}  // namespace quarry::templates
