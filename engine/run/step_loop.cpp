// Loads a planned program onto a device and runs its steps. Everything is bound before the first step; in the loop only
// feed slices are copied, kernels launched and kept values gathered.
#include <algorithm>
#include <map>
#include <utility>

#include "common/text.h"
#include "engine/run/arena.h"
#include "engine/run/kept_outputs.h"
#include "engine/run/memory_plan.h"
#include "engine/run/pacer.h"
#include "engine/run/run.h"

namespace quarry::run {
namespace {

using device::BufferRange;
using graph::NodeId;

// Inputs go to the device in pieces of this size: a bound on host memory, large enough to run at the copy's full speed.
constexpr uint64_t kLoadPieceBytes = 4 << 20;
static_assert(kLoadPieceBytes % device::kBufferAlignment == 0);

// A stranger's bool may be any byte; the engine's is 0 or 1.
void normalise(graph::DType dtype, std::span<std::byte> bytes) {
  if (dtype != graph::DType::Bool) return;
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(byte != std::byte{0});
}

Problem stopped() {
  return {"run_stopped", "the run was stopped or failed inside a step; its values are not of one step", "",
          "Reset it and set its inputs again."};
}

struct BoundLaunch {
  std::shared_ptr<device::Executable> executable;
  BufferRange result;
  std::vector<BufferRange> reads;
};
struct BoundCopy {
  BufferRange to, from;
};
struct BoundFeed {
  NodeId input;
  int64_t count;
  bool wrap;
  BufferRange slice;
  std::shared_ptr<ByteSource> source;
};
struct BoundKeep {
  std::string output;
  BufferRange value;
};

/// All of a step, for one parity.
struct BoundStep {
  std::vector<BoundLaunch> launches;
  std::vector<BoundCopy> copies;
  std::vector<BoundKeep> keeps;
};

class StepLoop final : public Run {
 public:
  StepLoop(device::Device& device, Program program, MemoryPlan plan)
      : device_(device), program_(std::move(program)), graph_(program_.graph->graph), plan_(std::move(plan)) {}

  Status load(const std::vector<lower::Kernel>& kernels, uint64_t memory_limit_bytes, const CompileObserver& observer);

  Status set_input(const std::string& name, std::shared_ptr<ByteSource> source) override;
  Result<bool> advance(int64_t from, int64_t count, const Observer& observer) override;
  Result<std::vector<std::byte>> carried(const std::string& input) override;
  Result<std::vector<std::byte>> kept(const std::string& output) override;
  Timings timings() const override { return timings_; }
  Status reset(uint64_t seed) override;

 private:
  using Executables = std::vector<std::shared_ptr<device::Executable>>;
  Result<Executables> compile(const std::vector<lower::Kernel>& kernels, uint64_t most_scratch_bytes,
                              const CompileObserver& observer);
  Status allocate(const Executables& executables, uint64_t memory_limit_bytes);
  void bind(const std::vector<lower::Kernel>& kernels, const Executables& executables);
  Status check_advance(int64_t from, int64_t count) const;
  Status load_value(NodeId input, BufferRange to, ByteSource& source);
  Status feed_slices(int64_t step);
  Result<bool> run_step(int64_t step, Pacer& pacer, const Observer& observer);
  Result<bool> catch_up(Pacer& pacer, const Observer& observer, int64_t launches_done);
  Status check_values() const;
  Result<std::vector<std::byte>> fetch(BufferRange range);
  BufferRange range(NodeId node, int parity) const { return arena_.range(plan_.layout.at(node, parity)); }

  device::Device& device_;
  Program program_;
  const graph::Graph& graph_;
  MemoryPlan plan_;
  Arena arena_;
  KeptOutputs kept_each_;
  BoundStep steps_[2];               // by parity
  std::vector<BoundFeed> feeds_[2];  // by parity, in the program's order
  std::map<NodeId, bool> input_is_set_;
  std::vector<std::byte> staging_;
  int parity_ = 0;                            // of the next step
  int64_t next_step_ = -1;                    // -1 before the first advance()
  int64_t steps_done_ = 0, steps_total_ = 0;  // of this advance()
  bool spent_ = false;                        // stopped or failed in the middle of a step
  bool is_blank_ = false;                     // zeroed, and nothing was written since
  Timings timings_;
};

// ---- before the first step

Status StepLoop::load(const std::vector<lower::Kernel>& kernels, uint64_t memory_limit_bytes,
                      const CompileObserver& observer) {
  // Launches may use half of the workspace: the rest is for the rings of kept outputs.
  const uint64_t spare_bytes = memory_limit_bytes - plan_.layout.bytes();
  const uint64_t half =
      std::min({plan_.layout.workspace_bytes() / 2, spare_bytes / 2, device_.properties().max_allocation_bytes});
  QUARRY_ASSIGN(const Executables executables, compile(kernels, half - half % device::kBufferAlignment, observer));
  QUARRY_TRY(allocate(executables, memory_limit_bytes));
  bind(kernels, executables);
  return reset(program_.seed);
}

Result<StepLoop::Executables> StepLoop::compile(const std::vector<lower::Kernel>& kernels, uint64_t most_scratch_bytes,
                                                const CompileObserver& observer) {
  const auto start = Pacer::Clock::now();
  Executables executables;
  const auto goes_on = [&] { return !observer || observer(executables.size(), kernels.size()); };
  for (const lower::Kernel& kernel : kernels) {
    if (!goes_on()) break;
    QUARRY_ASSIGN(auto executable, device_.compile(kernel, most_scratch_bytes));
    executables.push_back(std::move(executable));
  }
  if (executables.size() < kernels.size() || !goes_on())
    return Problem{"cancelled", "stopped while the kernels were compiled", "", ""};
  timings_.kernels = kernels.size();
  timings_.compile = Pacer::Clock::now() - start;
  return executables;
}

Status StepLoop::allocate(const Executables& executables, uint64_t memory_limit_bytes) {
  uint64_t scratch_bytes = 0;
  for (const auto& executable : executables) scratch_bytes = std::max(scratch_bytes, executable->scratch_bytes());
  QUARRY_ASSIGN(arena_, Arena::allocate(device_, plan_.layout, plan_.piece_bytes, scratch_bytes));
  std::map<std::string, uint64_t> kept_bytes;
  for (const Keep& keep : program_.keep)
    if (keep.mode == KeepMode::Each)
      kept_bytes[keep.output] = meter::value_bytes(graph_, graph_.find_output(keep.output));
  const uint64_t spare_bytes = memory_limit_bytes - std::min(arena_.bytes(), memory_limit_bytes);
  QUARRY_ASSIGN(kept_each_, KeptOutputs::make(device_, kept_bytes, spare_bytes));
  timings_.arena_bytes = arena_.bytes() + kept_each_.ring_bytes();
  return {};
}

void StepLoop::bind(const std::vector<lower::Kernel>& kernels, const Executables& executables) {
  for (const int parity : {0, 1}) {
    BoundStep& bound = steps_[parity];
    for (size_t i = 0; i < kernels.size(); ++i) {
      BoundLaunch launch{executables[i], range(kernels[i].result, parity), {}};
      if (launch.result.bytes == 0) continue;
      for (const NodeId read : kernels[i].reads) launch.reads.push_back(range(read, parity));
      bound.launches.push_back(std::move(launch));
    }
    for (const meter::MemoryLayout::Copy& copy : plan_.layout.copies()) {
      const BufferRange to = range(copy.input, 1 - parity);
      if (to.bytes > 0) bound.copies.push_back({to, range(copy.from, parity)});
    }
    for (const Feed& feed : program_.feed) {
      const NodeId input = graph_.find_input(feed.input);
      feeds_[parity].push_back({input, feed.count, feed.wrap, range(input, parity), nullptr});
    }
    for (const Keep& keep : program_.keep)
      if (keep.mode == KeepMode::Each)
        bound.keeps.push_back({keep.output, range(graph_.find_output(keep.output), parity)});
  }
}

Status StepLoop::reset(uint64_t seed) {
  program_.seed = seed;
  parity_ = 0;
  next_step_ = -1;
  spent_ = false;
  for (const NodeId input : graph_.inputs()) input_is_set_[input] = false;
  for (auto& feeds : feeds_)
    for (BoundFeed& feed : feeds) feed.source.reset();
  timings_.load = timings_.steps = {};
  if (is_blank_) return {};
  QUARRY_TRY(kept_each_.clear());
  QUARRY_TRY(arena_.zero(device_));
  is_blank_ = true;
  return {};
}

Status StepLoop::set_input(const std::string& name, std::shared_ptr<ByteSource> source) {
  is_blank_ = false;
  const NodeId input = graph_.find_input(name);
  if (input == graph::kNoNode)
    return Problem{"unknown_input", quote(name) + " is no input of the graph", json_pointer("/inputs", name), ""};
  const uint64_t each = meter::value_bytes(graph_, input);
  const auto fed = std::ranges::find(feeds_[0], input, &BoundFeed::input);
  const uint64_t slices = fed == feeds_[0].end() ? 1 : static_cast<uint64_t>(fed->count);
  if (!source || (each == 0 ? source->size() != 0 : source->size() % each != 0 || source->size() / each != slices))
    return Problem{"shape_mismatch",
                   "input " + quote(name) + " needs " + std::to_string(slices) + " x " + std::to_string(each) +
                       " bytes but " + (source ? std::to_string(source->size()) : "none") + " were given",
                   json_pointer("/inputs", name), "Give a tensor of the input's shape and dtype."};
  if (fed == feeds_[0].end()) {
    QUARRY_TRY(load_value(input, range(input, parity_), *source));
    input_is_set_[input] = true;
    return {};
  }
  const auto place = static_cast<size_t>(fed - feeds_[0].begin());
  for (auto& feeds : feeds_) feeds[place].source = source;
  staging_.resize(std::max<size_t>(staging_.size(), each));
  input_is_set_[input] = true;
  return {};
}

Status StepLoop::load_value(NodeId input, BufferRange to, ByteSource& source) {
  const auto start = Pacer::Clock::now();
  staging_.resize(std::max<size_t>(staging_.size(), std::min(to.bytes, kLoadPieceBytes)));
  for (uint64_t done = 0; done < to.bytes;) {
    const std::span<std::byte> piece = std::span(staging_).first(std::min(to.bytes - done, kLoadPieceBytes));
    QUARRY_TRY(source.read(done, piece));
    normalise(graph_[input].dtype, piece);
    QUARRY_TRY(device_.copy_in({to.buffer, to.offset + done, piece.size()}, piece));
    done += piece.size();
  }
  timings_.load += Pacer::Clock::now() - start;
  return {};
}

// ---- the steps

Status StepLoop::check_advance(int64_t from, int64_t count) const {
  if (spent_) return stopped();
  const int64_t end = program_.first_step + program_.steps;
  if (count < 0 || from < program_.first_step || from > end || count > end - from)
    return Problem{"invalid_steps",
                   "steps " + std::to_string(from) + " to " + std::to_string(from) + " + " + std::to_string(count) +
                       " are not within the program's " + std::to_string(program_.first_step) + " to " +
                       std::to_string(end),
                   "", ""};
  if (next_step_ >= 0 && from != next_step_)
    return Problem{"invalid_steps",
                   "the run stands before step " + std::to_string(next_step_) + ", not before " + std::to_string(from),
                   "", "Reset the run to start elsewhere."};
  for (const auto& [input, is_set] : input_is_set_)
    if (!is_set)
      return Problem{"missing_input", "input " + quote(graph_.input_name(input)) + " was not given",
                     json_pointer("/inputs", graph_.input_name(input)), "Give it a tensor."};
  return {};
}

Result<bool> StepLoop::advance(int64_t from, int64_t count, const Observer& observer) {
  QUARRY_TRY(check_advance(from, count));
  is_blank_ = false;
  QUARRY_TRY(kept_each_.reserve(count));
  const auto start = Pacer::Clock::now();
  Pacer pacer(start);
  next_step_ = from;
  steps_done_ = 0;
  steps_total_ = count;
  spent_ = true;  // until the last step has ended well
  for (int64_t step = from; step < from + count; ++step) {
    QUARRY_ASSIGN(const bool goes_on, run_step(step, pacer, observer));
    if (!goes_on) return false;
  }
  QUARRY_TRY(kept_each_.flush());
  QUARRY_ASSIGN(const bool goes_on, catch_up(pacer, observer, 0));
  timings_.steps += Pacer::Clock::now() - start;
  spent_ = !goes_on;
  return goes_on;
}

Result<bool> StepLoop::run_step(int64_t step, Pacer& pacer, const Observer& observer) {
  BoundStep& bound = steps_[parity_];
  const device::LaunchScalars scalars{static_cast<int32_t>(step), program_.seed};
  QUARRY_TRY(feed_slices(step));
  for (const BoundLaunch& launch : bound.launches) {
    QUARRY_TRY(device_.launch(*launch.executable, launch.result, launch.reads, arena_.scratch(), scalars));
    const bool is_last = steps_done_ + 1 == steps_total_ && &launch == &bound.launches.back();
    // What ends the last step is waited for once, by advance().
    if (pacer.launched(Pacer::Clock::now()) && !is_last) {
      QUARRY_ASSIGN(const bool goes_on, catch_up(pacer, observer, &launch - bound.launches.data() + 1));
      if (!goes_on) return false;
    }
  }
  for (const BoundCopy& copy : bound.copies) QUARRY_TRY(device_.copy(copy.to, copy.from));
  for (const BoundKeep& keep : bound.keeps) QUARRY_TRY(kept_each_.collect(keep.output, keep.value));
  parity_ = 1 - parity_;
  next_step_ = step + 1;
  ++steps_done_;
  return true;
}

Status StepLoop::feed_slices(int64_t step) {
  for (const BoundFeed& feed : feeds_[parity_]) {
    const std::span<std::byte> slice = std::span(staging_).first(feed.slice.bytes);
    if (slice.empty()) continue;
    const auto number = static_cast<uint64_t>(feed.wrap ? step % feed.count : step);
    QUARRY_TRY(feed.source->read(number * slice.size(), slice));
    normalise(graph_[feed.input].dtype, slice);
    QUARRY_TRY(device_.copy_in(feed.slice, slice));
  }
  return {};
}

Result<bool> StepLoop::catch_up(Pacer& pacer, const Observer& observer, int64_t launches_done) {
  QUARRY_TRY(device_.wait());
  pacer.waited(Pacer::Clock::now());
  return !observer || observer({next_step_ - 1, steps_done_, steps_total_, launches_done});
}

// ---- after the steps

Status StepLoop::check_values() const {
  if (spent_) return stopped();
  if (next_step_ < 0) return Problem{"no_steps_yet", "no step has run, so there is no value to fetch", "", ""};
  return {};
}

Result<std::vector<std::byte>> StepLoop::fetch(BufferRange from) {
  QUARRY_TRY(check_values());
  std::vector<std::byte> bytes(from.bytes);
  if (!bytes.empty()) QUARRY_TRY(device_.copy_out(bytes, from));
  return bytes;
}

Result<std::vector<std::byte>> StepLoop::carried(const std::string& input) {
  const bool is_carried = std::ranges::any_of(program_.carry, [&](const auto& carry) { return carry.first == input; });
  if (!is_carried) return Problem{"unknown_input", quote(input) + " is no carried input", "", ""};
  return fetch(range(graph_.find_input(input), parity_));
}

Result<std::vector<std::byte>> StepLoop::kept(const std::string& output) {
  const auto keep = std::ranges::find(program_.keep, output, &Keep::output);
  if (keep == program_.keep.end()) return Problem{"unknown_output", quote(output) + " is no kept output", "", ""};
  if (keep->mode == KeepMode::Last) return fetch(range(graph_.find_output(output), 1 - parity_));
  QUARRY_TRY(check_values());
  return *kept_each_.values(output);
}

}  // namespace

Result<std::unique_ptr<Run>> prepare(device::Device& device, Program program, uint64_t memory_limit_bytes,
                                     const CompileObserver& observer) {
  QUARRY_TRY(validate(program));
  std::vector<lower::Kernel> kernels = lower::partition(program.graph, program.carry);
  QUARRY_ASSIGN(auto plan, plan_memory(program, device.properties().max_allocation_bytes, memory_limit_bytes));
  auto fused =
      lower::fuse_casts(kernels, [&](const lower::Kernel& kernel) { return device.takes_rounded_sum(kernel); });
  if (fused.size() < kernels.size()) {
    if (auto smaller = plan_memory_of(program, fused, plan)) {
      plan = std::move(*smaller);
      kernels = std::move(fused);
    }
  }
  auto run = std::make_unique<StepLoop>(device, std::move(program), std::move(plan));
  QUARRY_TRY(run->load(kernels, memory_limit_bytes, observer));
  return std::unique_ptr<Run>(std::move(run));
}

}  // namespace quarry::run
