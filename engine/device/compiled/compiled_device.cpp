#include "engine/device/compiled/compiled_device.h"

#include <algorithm>
#include <cassert>

#include "engine/device/compiled/pieces.h"
#include "engine/lower/lower.h"

namespace quarry::device {

namespace {

constexpr size_t kMostCompiled = 4096;

// "REDUCE_SUM f32[128,64] `loss` (node 17)"
std::string name_of(const lower::Kernel& kernel) {
  const graph::Graph& graph = kernel.graph->graph;
  const graph::Node& node = graph[kernel.result];
  std::string text = std::string(graph::name(node.op)) + " " + std::string(graph::name(node.dtype)) + "[";
  for (size_t i = 0; i < graph.shape(kernel.result).size(); ++i)
    text += (i == 0 ? "" : ",") + std::to_string(graph.shape(kernel.result)[i]);
  const std::string label(graph.label(kernel.result));
  return text + "]" + (label.empty() ? "" : " `" + label + "`") + " (node " + std::to_string(kernel.result) + ")";
}

// A defect of the device or its compiler, with the kernel that met it. Other problems stay as they are.
Problem naming(Problem problem, const std::string& kernel) {
  if (problem.code == "device_error" || problem.code == "compile_failed")
    problem.detail = "the kernel of " + kernel + ": " + problem.detail;
  return problem;
}

}  // namespace

std::vector<Argument> CompiledExecutable::arguments(const codegen::Entry& shape, const BufferRange& result,
                                                    std::span<const BufferRange> reads,
                                                    const BufferRange& scratch_range, Buffer* counters) const {
  std::vector<Argument> arguments;
  const auto add = [&](const BufferRange& range, int64_t element_bytes) {
    arguments.push_back(Argument::address(range.buffer));
    arguments.push_back(Argument::number(static_cast<int64_t>(range.offset / static_cast<uint64_t>(element_bytes))));
  };
  if (shape.writes_scratch) {
    add(scratch_range, scratch_element_bytes);
  } else {
    add(result, result_element_bytes);
  }
  if (shape.reads_scratch) {
    add(scratch_range, scratch_element_bytes);
  } else {
    for (size_t i = 0; i < reads.size(); ++i) add(reads[i], read_element_bytes[i]);
  }
  if (reads_counters(shape)) arguments.push_back(Argument::address(counters));
  return arguments;
}

CompiledDevice::CompiledDevice(std::unique_ptr<Driver> driver, std::string cache_directory)
    : driver_(std::move(driver)), modules_(*driver_, std::move(cache_directory)) {}

Result<std::shared_ptr<Buffer>> CompiledDevice::allocate(uint64_t bytes) {
  const uint64_t most = properties().max_allocation_bytes;
  if (bytes <= most) return driver_->allocate(bytes);
  return Problem{
      "out_of_memory",
      "an allocation of " + std::to_string(bytes) + " bytes is over this device's limit of " + std::to_string(most), "",
      ""};
}

Status CompiledDevice::copy_in(BufferRange to, std::span<const std::byte> from) {
  return from.empty() ? Status() : driver_->copy_in(to, from);
}

Status CompiledDevice::copy_out(std::span<std::byte> to, BufferRange from) {
  return to.empty() ? Status() : driver_->copy_out(to, from);
}

Status CompiledDevice::copy(BufferRange to, BufferRange from) {
  return to.bytes == 0 ? Status() : driver_->copy(to, from);
}

Status CompiledDevice::zero(BufferRange range) {
  return range.bytes == 0 ? Status() : driver_->zero(range);
}

bool CompiledDevice::takes_rounded_sum(const lower::Kernel& kernel) const {
  const Capabilities& capabilities = driver_->capabilities();
  return capabilities.runs_tile_programs &&
         TileLaunch::choose(lower::lower_kernel(kernel), capabilities, 0).has_value();
}

Result<std::shared_ptr<Executable>> CompiledDevice::compile(const lower::Kernel& kernel, uint64_t most_scratch_bytes) {
  const CompiledKey key{kernel.graph->id, kernel.result, kernel.row_update.has_value(), kernel.rounded_sum.has_value(),
                        most_scratch_bytes};
  if (auto found = compiled_.find(key); found != compiled_.end()) return std::shared_ptr<Executable>(found->second);
  const lower::LoopNest nest = lower::lower_kernel(kernel);
  auto executable = std::make_shared<CompiledExecutable>();
  executable->name = name_of(kernel);
  executable->result_element_bytes = graph::byte_size(nest.result);
  for (const lower::Read& read : nest.reads) executable->read_element_bytes.push_back(graph::byte_size(read.dtype));
  executable->tile = TileLaunch::choose(nest, driver_->capabilities(), most_scratch_bytes);
  if (Status made = executable->tile ? by_template(*executable) : by_loops(nest, most_scratch_bytes, *executable);
      !made.ok())
    return naming(made.problem(), executable->name);
  if (compiled_.size() >= kMostCompiled) compiled_.clear();
  compiled_.emplace(key, executable);
  return std::shared_ptr<Executable>(std::move(executable));
}

Status CompiledDevice::by_template(CompiledExecutable& executable) {
  TileLaunch& tile = *executable.tile;
  executable.scratch = tile.scratch_bytes();
  QUARRY_ASSIGN(const std::shared_ptr<Module> module, modules_.module(tile.text()));
  if (const std::string path = modules_.path_of(tile.text()); !path.empty()) executable.name += " in " + path;
  return tile.load(*driver_, *module);
}

Status CompiledDevice::by_loops(const lower::LoopNest& nest, uint64_t most_scratch_bytes,
                                CompiledExecutable& executable) {
  codegen::Target target = driver_->capabilities().target;
  target.most_scratch_bytes = most_scratch_bytes;
  const codegen::Program program = codegen::generate(nest, target);
  if (program.entries.empty()) return {};
  executable.scratch = program.scratch_bytes;
  executable.scratch_element_bytes = graph::byte_size(nest.accumulator);
  QUARRY_ASSIGN(const std::shared_ptr<Module> module, modules_.module(program.source));
  if (const std::string path = modules_.path_of(program.source); !path.empty()) executable.name += " in " + path;
  for (const codegen::Entry& shape : program.entries) {
    QUARRY_ASSIGN(auto entry, module->entry(shape.name));
    executable.launches.push_back({shape, std::move(entry)});
  }
  return {};
}

Status CompiledDevice::launch(Executable& kernel, BufferRange result, std::span<const BufferRange> reads,
                              BufferRange scratch, const LaunchScalars& scalars) {
  auto& executable = static_cast<CompiledExecutable&>(kernel);
  assert(reads.size() == executable.read_element_bytes.size());
  for (const CompiledExecutable::Launch& launch : executable.launches) {
    if (reads_counters(launch.shape)) QUARRY_TRY(write_counters({scalars.step, 0, scalars.seed}));
    const std::vector<Argument> arguments = executable.arguments(launch.shape, result, reads, scratch, counters_.get());
    for (const Groups& groups : pieces_of(launch.shape, properties()))
      if (Status status = driver_->launch(*launch.entry, groups, arguments); !status.ok())
        return naming(status.problem(), executable.name);
  }
  if (executable.tile) {
    auto bound = executable.tile->bind(*driver_, result, reads, scratch);
    if (!bound.ok()) return naming(bound.problem(), executable.name);
    for (const BoundCall& call : bound->calls)
      if (Status status = driver_->launch(*call.entry, call.groups, call.arguments); !status.ok())
        return naming(status.problem(), executable.name);
  }
  last_launched_ = executable.name;
  return {};
}

Status CompiledDevice::write_counters(const StepCounters& counters) {
  if (!counters_) {
    QUARRY_ASSIGN(counters_, driver_->allocate(sizeof counters));
  }
  if (written_ && written_->step == counters.step && written_->slot == counters.slot && written_->seed == counters.seed)
    return {};
  written_ = counters;
  return driver_->copy_in({counters_.get(), 0, sizeof counters}, std::as_bytes(std::span(&counters, 1)));
}

Status CompiledDevice::set_counters(const StepCounters& counters) {
  return driver_->capabilities().records ? write_counters(counters) : Device::set_counters(counters);
}

Result<std::shared_ptr<Recording>> CompiledDevice::record(BoundStep step) {
  if (!driver_->capabilities().records) return Device::record(std::move(step));
  if (!recorder_) {
    QUARRY_TRY(write_counters({}));
    QUARRY_ASSIGN(recorder_, Recorder::make(*driver_, modules_, counters_));
  }
  return recorder_->record(step);
}

Status CompiledDevice::replay(Recording& recording, size_t part) {
  if (!driver_->capabilities().records) return Device::replay(recording, part);
  written_.reset();
  last_launched_ = "a recorded step";
  return recorder_->replay(recording, part);
}

// A fault shows when the device is waited for: then it is known only which kernel was launched last.
Status CompiledDevice::wait() {
  Status status = driver_->wait();
  if (status.ok() || last_launched_.empty()) return status;
  return naming(status.problem(), last_launched_ + ", or one launched before it");
}

}  // namespace quarry::device
