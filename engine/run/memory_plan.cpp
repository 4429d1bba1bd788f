#include "engine/run/memory_plan.h"

#include <algorithm>
#include <set>

#include "engine/run/packing.h"

namespace quarry::run {

using graph::NodeId;

namespace {

constexpr uint64_t aligned(uint64_t bytes) {
  return (bytes + device::kBufferAlignment - 1) / device::kBufferAlignment * device::kBufferAlignment;
}

// A total past this is refused at once, so that no sum below can wrap.
constexpr uint64_t kMaxPlanBytes = uint64_t{1} << 60;

Problem over_limit(uint64_t needed, uint64_t limit) {
  return {"memory_bound_exceeded",
          "the job needs " + std::to_string(needed) + " bytes on the device; " + std::to_string(limit) + " are allowed",
          "", "Use smaller batches or shapes, or a device with more memory."};
}

}  // namespace

uint64_t value_bytes(const graph::Graph& graph, NodeId node) {
  return static_cast<uint64_t>(graph.elements(node)) * static_cast<uint64_t>(graph::byte_size(graph[node].dtype));
}

class MemoryPlanner {
 public:
  MemoryPlanner(const Program& program, const std::vector<lower::Kernel>& kernels)
      : program_(program), graph_(program.graph->graph), kernels_(kernels) {}

  Result<MemoryPlan> run(uint64_t limit_bytes) {
    place_inputs();
    place_stored_values(limit_bytes);
    if (too_large_ || plan_.bytes_ > limit_bytes) return over_limit(plan_.bytes_, limit_bytes);
    return std::move(plan_);
  }

 private:
  // Inputs live from step to step, so they lie before everything that comes and goes.
  void place_inputs() {
    std::set<NodeId> doubled;
    for (const Feed& feed : program_.feed) doubled.insert(graph_.find_input(feed.input));
    for (const auto& [input_name, output_name] : program_.carry) {
      const NodeId input = graph_.find_input(input_name), output = graph_.find_output(output_name);
      if (input == output || updated_in_place(input, output)) continue;
      doubled.insert(input);
      // Written straight into the other copy, unless some other carry has claimed this output or no kernel writes it.
      const bool is_source = graph_[output].op == graph::Op::Input;
      if (is_source || row_updated(output) || !written_into_.emplace(output, input).second)
        plan_.copies_.push_back({output, input});
    }
    for (const NodeId input : graph_.inputs()) {
      const Slot first = append(input);
      plan_.slots_[input] = {first, doubled.contains(input) ? append(input) : first};
    }
  }

  void place_stored_values(uint64_t limit_bytes) {
    std::vector<Lifetime> lifetimes;
    std::vector<NodeId> nodes;
    const auto last_reads = last_readers();
    for (size_t launch = 0; launch < kernels_.size(); ++launch) {
      const NodeId node = kernels_[launch].result;
      if (kernels_[launch].row_update) {
        plan_.slots_[node] = plan_.slots_.at(kernels_[launch].row_update->old_value);
      } else if (const auto owner = written_into_.find(node); owner != written_into_.end()) {
        const auto& [even, odd] = plan_.slots_.at(owner->second);
        plan_.slots_[node] = {odd, even};
      } else {
        lifetimes.push_back({aligned(value_bytes(graph_, node)), launch, last_reads.at(node)});
        nodes.push_back(node);
      }
    }
    for (const Lifetime& lifetime : lifetimes) too_large_ |= lifetime.bytes > kMaxPlanBytes / (lifetimes.size() + 1);
    if (too_large_) return;
    const Packing packing = pack(lifetimes, limit_bytes - std::min(limit_bytes, plan_.bytes_));
    for (size_t i = 0; i < nodes.size(); ++i) {
      const Slot slot{plan_.bytes_ + packing.offsets[i], value_bytes(graph_, nodes[i])};
      plan_.slots_[nodes[i]] = {slot, slot};
    }
    plan_.bytes_ += packing.bytes;
  }

  // For each stored value the last launch that needs it; outputs are needed until the step's end.
  std::unordered_map<NodeId, size_t> last_readers() const {
    std::unordered_map<NodeId, size_t> last;
    for (size_t launch = 0; launch < kernels_.size(); ++launch) {
      last[kernels_[launch].result] = launch;
      for (const NodeId read : kernels_[launch].reads) last[read] = launch;
    }
    for (const graph::Output& output : graph_.outputs()) last[output.node] = kernels_.size();
    return last;
  }

  Slot append(NodeId node) {
    const Slot slot{plan_.bytes_, value_bytes(graph_, node)};
    plan_.bytes_ = std::min(plan_.bytes_ + aligned(slot.bytes), kMaxPlanBytes);
    too_large_ |= plan_.bytes_ == kMaxPlanBytes;
    return slot;
  }

  bool updated_in_place(NodeId input, NodeId output) const {
    return std::any_of(kernels_.begin(), kernels_.end(), [&](const lower::Kernel& kernel) {
      return kernel.result == output && kernel.row_update && kernel.row_update->old_value == input;
    });
  }
  bool row_updated(NodeId output) const {
    return std::any_of(kernels_.begin(), kernels_.end(), [&](const lower::Kernel& kernel) {
      return kernel.result == output && kernel.row_update.has_value();
    });
  }

  const Program& program_;
  const graph::Graph& graph_;
  const std::vector<lower::Kernel>& kernels_;
  std::unordered_map<NodeId, NodeId> written_into_;  // output node -> the carried input whose other copy it fills
  MemoryPlan plan_;
  bool too_large_ = false;
};

Result<MemoryPlan> plan_memory(const Program& program, const std::vector<lower::Kernel>& kernels,
                               uint64_t limit_bytes) {
  return MemoryPlanner(program, kernels).run(limit_bytes);
}

}  // namespace quarry::run
