// Loads a planned program onto a device and runs its steps. Everything is bound before the first step; in the loop only
// large feeds are copied in, recorded steps replayed and full rings of kept values fetched.
#include <algorithm>
#include <map>
#include <utility>

#include "common/text.h"
#include "engine/run/arena.h"
#include "engine/run/feeds.h"
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

Problem stopped() {
  return {"run_stopped", "the run was stopped or failed inside a step; its values are not of one step", "",
          "Reset it and set its inputs again."};
}

struct BoundKeep {
  std::string output;
  BufferRange value;
};

/// A step of one parity.
struct Step {
  std::shared_ptr<device::Recording> recording;
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
  Status record(const std::vector<lower::Kernel>& kernels, const Executables& executables);
  device::BoundStep bind(const std::vector<lower::Kernel>& kernels, const Executables& executables, int parity);
  Status check_advance(int64_t from, int64_t count) const;
  Status load_value(NodeId input, BufferRange to, ByteSource& source);
  Result<bool> run_step(int64_t step, Pacer& pacer, const Observer& observer);
  Status flush_kept();
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
  Feeds feeds_;
  Step steps_[2];  // by parity
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
  QUARRY_TRY(record(kernels, executables));
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
  QUARRY_ASSIGN(feeds_, Feeds::make(device_, graph_, program_, spare_bytes - kept_each_.ring_bytes()));
  timings_.arena_bytes = arena_.bytes() + kept_each_.ring_bytes() + feeds_.bytes();
  return {};
}

Status StepLoop::record(const std::vector<lower::Kernel>& kernels, const Executables& executables) {
  for (const int parity : {0, 1}) {
    Step& step = steps_[parity];
    for (const Keep& keep : program_.keep)
      if (keep.mode == KeepMode::Each)
        step.keeps.push_back({keep.output, range(graph_.find_output(keep.output), parity)});
    QUARRY_ASSIGN(step.recording, device_.record(bind(kernels, executables, parity)));
  }
  return {};
}

device::BoundStep StepLoop::bind(const std::vector<lower::Kernel>& kernels, const Executables& executables,
                                 int parity) {
  device::BoundStep bound;
  bound.scratch = arena_.scratch();
  for (const Feed& feed : program_.feed) {
    const NodeId input = graph_.find_input(feed.input);
    feeds_.bind(input, parity, range(input, parity), bound.before);
  }
  for (size_t i = 0; i < kernels.size(); ++i) {
    device::BoundLaunch launch{executables[i], range(kernels[i].result, parity), {}};
    if (launch.result.bytes == 0) continue;
    for (const NodeId read : kernels[i].reads) launch.reads.push_back(range(read, parity));
    bound.launches.push_back(std::move(launch));
  }
  for (const meter::MemoryLayout::Copy& copy : plan_.layout.copies()) {
    const BufferRange to = range(copy.input, 1 - parity);
    if (to.bytes > 0) bound.after.push_back({.to = to, .from = range(copy.from, parity)});
  }
  for (const BoundKeep& keep : steps_[parity].keeps)
    if (const auto copy = kept_each_.copy(keep.output, keep.value)) bound.after.push_back(*copy);
  return bound;
}

Status StepLoop::reset(uint64_t seed) {
  program_.seed = seed;
  parity_ = 0;
  next_step_ = -1;
  spent_ = false;
  for (const NodeId input : graph_.inputs()) input_is_set_[input] = false;
  timings_.load = timings_.steps = {};
  if (is_blank_) return {};
  QUARRY_TRY(kept_each_.clear());
  QUARRY_TRY(feeds_.clear());
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
  const bool fed = feeds_.feeds(input);
  const uint64_t slices = fed ? static_cast<uint64_t>(feeds_.count(input)) : 1;
  if (!source || (each == 0 ? source->size() != 0 : source->size() % each != 0 || source->size() / each != slices))
    return Problem{"shape_mismatch",
                   "input " + quote(name) + " needs " + std::to_string(slices) + " x " + std::to_string(each) +
                       " bytes but " + (source ? std::to_string(source->size()) : "none") + " were given",
                   json_pointer("/inputs", name), "Give a tensor of the input's shape and dtype."};
  QUARRY_TRY(fed ? feeds_.set_source(input, std::move(source)) : load_value(input, range(input, parity_), *source));
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
  QUARRY_TRY(device_.set_counters({static_cast<int32_t>(from), 0, program_.seed}));
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
  Step& bound = steps_[parity_];
  QUARRY_TRY(feeds_.copy_in(step, parity_));
  const std::vector<int64_t>& parts = bound.recording->parts();
  for (size_t part = 0; part < parts.size(); ++part) {
    QUARRY_TRY(device_.replay(*bound.recording, part));
    const bool is_last = steps_done_ + 1 == steps_total_ && part + 1 == parts.size();
    // What ends the last step is waited for once, by advance().
    if (pacer.launched(Pacer::Clock::now()) && !is_last) {
      QUARRY_ASSIGN(const bool goes_on, catch_up(pacer, observer, parts[part]));
      if (!goes_on) return false;
    }
  }
  for (const BoundKeep& keep : bound.keeps) QUARRY_TRY(kept_each_.fetch(keep.output, keep.value));
  parity_ = 1 - parity_;
  next_step_ = step + 1;
  ++steps_done_;
  if (kept_each_.step_ends()) QUARRY_TRY(flush_kept());
  return true;
}

Status StepLoop::flush_kept() {
  QUARRY_TRY(kept_each_.flush());
  return device_.set_counters({static_cast<int32_t>(next_step_), 0, program_.seed});
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
