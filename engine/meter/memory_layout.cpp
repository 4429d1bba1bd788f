#include "engine/meter/memory_layout.h"

#include <algorithm>
#include <optional>
#include <set>

#include "common/uint128.h"
#include "engine/graph/limits.h"
#include "engine/meter/packing.h"
#include "engine/meter/tariff.h"

namespace quarry::meter {

using graph::Graph;
using graph::NodeId;
using graph::Op;

// Offsets cannot wrap: every node twice, each of the most elements that are stored, of 8 bytes.
static_assert(static_cast<UInt128>(2 * graph::kMaxNodes) * static_cast<UInt128>(graph::kMaxStoredElements) * 8 <
              (UInt128{1} << 64) - (UInt128{1} << 32));

uint64_t value_bytes(const Graph& graph, NodeId node) {
  return static_cast<uint64_t>(graph.elements(node)) * static_cast<uint64_t>(graph::byte_size(graph[node].dtype));
}

uint64_t MemoryLayout::workspace_bytes() const {
  return std::max(kLeastWorkspaceBytes, (held_bytes() + kWorkspaceShare - 1) / kWorkspaceShare);
}

class LayoutPlanner {
 public:
  LayoutPlanner(const Graph& graph, const std::vector<StoredValue>& stored, const graph::RowUpdates& in_place,
                const Usage& usage, std::optional<uint64_t> piece_bytes)
      : graph_(graph), stored_(stored), in_place_(in_place), usage_(usage), piece_bytes_(piece_bytes) {}

  MemoryLayout run() {
    place_inputs();
    place_stored_values();
    return std::move(layout_);
  }

 private:
  // Inputs live from step to step, so they lie before everything that comes and goes.
  void place_inputs() {
    std::set<NodeId> doubled;
    for (const std::string& fed : usage_.feed) doubled.insert(graph_.find_input(fed));
    for (const auto& [input_name, output_name] : usage_.carry) {
      const NodeId input = graph_.find_input(input_name), output = graph_.find_output(output_name);
      if (input == graph::kNoNode || output == graph::kNoNode) continue;
      const auto update = in_place_.find(output);
      const bool is_row_updated = update != in_place_.end();
      if (input == output || (is_row_updated && update->second.old_value == input)) {
        layout_.spared_bytes_ += aligned(value_bytes(graph_, input));
        continue;
      }
      doubled.insert(input);
      // Written straight into the other copy, unless some other carry has claimed this output or no kernel writes it.
      const bool is_source = graph_[output].op == Op::Input;
      if (is_source || is_row_updated || !written_into_.emplace(output, input).second)
        layout_.copies_.push_back({output, input});
    }
    for (const NodeId input : graph_.inputs()) {
      const Slot first = append(input);
      layout_.slots_[input] = {first, doubled.contains(input) ? append(input) : first};
    }
  }

  void place_stored_values() {
    std::vector<Lifetime> lifetimes;
    std::vector<NodeId> nodes;
    const auto last_reads = last_readers();
    for (size_t launch = 0; launch < stored_.size(); ++launch) {
      const NodeId node = stored_[launch].node;
      if (const auto update = in_place_.find(node); update != in_place_.end()) {
        layout_.slots_[node] = layout_.slots_.at(update->second.old_value);
      } else if (const auto owner = written_into_.find(node); owner != written_into_.end()) {
        const auto [even, odd] = layout_.slots_.at(owner->second);
        layout_.slots_[node] = {odd, even};
      } else {
        lifetimes.push_back({aligned(value_bytes(graph_, node)), launch, last_reads.at(node)});
        nodes.push_back(node);
      }
    }
    const Packing packing = piece_bytes_ ? pack_in_pieces(lifetimes, layout_.bytes_, *piece_bytes_) : pack(lifetimes);
    for (size_t i = 0; i < nodes.size(); ++i) {
      const Slot slot{layout_.bytes_ + packing.offsets[i], value_bytes(graph_, nodes[i])};
      layout_.slots_[nodes[i]] = {slot, slot};
    }
    layout_.bytes_ += packing.bytes;
  }

  // For each stored value the last launch that needs it; outputs are needed until the step's end.
  std::unordered_map<NodeId, size_t> last_readers() const {
    std::unordered_map<NodeId, size_t> last;
    for (size_t launch = 0; launch < stored_.size(); ++launch) {
      last[stored_[launch].node] = launch;
      for (const NodeId read : stored_[launch].reads) last[read] = launch;
    }
    for (const graph::Output& output : graph_.outputs()) last[output.node] = stored_.size();
    return last;
  }

  Slot append(NodeId node) {
    const uint64_t bytes = value_bytes(graph_, node);
    if (piece_bytes_ && aligned(bytes) > *piece_bytes_ - layout_.bytes_ % *piece_bytes_)
      layout_.bytes_ = (layout_.bytes_ / *piece_bytes_ + 1) * *piece_bytes_;
    const Slot slot{layout_.bytes_, bytes};
    layout_.bytes_ += aligned(bytes);
    return slot;
  }

  const Graph& graph_;
  const std::vector<StoredValue>& stored_;
  const graph::RowUpdates& in_place_;
  const Usage& usage_;
  std::optional<uint64_t> piece_bytes_;
  std::unordered_map<NodeId, NodeId> written_into_;  // output node -> the carried input whose other copy it fills
  MemoryLayout layout_;
};

namespace {

Status check_stored_sizes(const Graph& graph, const std::vector<StoredValue>& stored) {
  for (const StoredValue& value : stored) {
    if (graph.elements(value.node) <= graph::kMaxStoredElements) continue;
    const std::string label(graph.label(value.node));
    return Problem{"value_too_large",
                   std::string(graph::name(graph[value.node].op)) + (label.empty() ? "" : " `" + label + "`") +
                       " has " + std::to_string(graph.elements(value.node)) +
                       " elements and would have to be stored, because it is read in many ways; the limit is " +
                       std::to_string(graph::kMaxStoredElements),
                   "", "split the value, or read it through at most two index maps"};
  }
  return {};
}

// The bound is a signed 64-bit number everywhere after this.
constexpr uint64_t kMostHeldBytes = INT64_MAX / (kWorkspaceShare + 1) * kWorkspaceShare;

}  // namespace

Result<MemoryLayout> lay_out_memory(const Graph& graph, const std::vector<StoredValue>& stored,
                                    const graph::RowUpdates& in_place, const Usage& usage) {
  QUARRY_TRY(check_stored_sizes(graph, stored));
  MemoryLayout layout = LayoutPlanner(graph, stored, in_place, usage, std::nullopt).run();
  if (layout.held_bytes() > kMostHeldBytes) return overflow("the memory bound");
  return layout;
}

Result<MemoryLayout> lay_out_memory(const graph::NormalGraph& normal, const Usage& usage) {
  const Meaning meaning(normal.graph);
  return lay_out_memory(normal.graph, stored_values(fuse(meaning)),
                        graph::in_place_row_updates(normal.graph, meaning.zero_or_one, usage.carry), usage);
}

Result<MemoryLayout> lay_out_memory_in_pieces(const graph::NormalGraph& normal, const Usage& usage,
                                              uint64_t piece_bytes) {
  const Meaning meaning(normal.graph);
  const std::vector<StoredValue> stored = stored_values(fuse(meaning));
  QUARRY_TRY(check_stored_sizes(normal.graph, stored));
  std::vector<NodeId> nodes(normal.graph.inputs().begin(), normal.graph.inputs().end());
  for (const StoredValue& value : stored) nodes.push_back(value.node);
  for (const NodeId node : nodes) {
    if (aligned(value_bytes(normal.graph, node)) <= piece_bytes) continue;
    return Problem{"out_of_memory",
                   "a value of " + std::to_string(value_bytes(normal.graph, node)) +
                       " bytes is larger than the largest allocation of the device, " + std::to_string(piece_bytes),
                   "", "Use smaller batches or shapes, or a device with larger allocations."};
  }
  return LayoutPlanner(normal.graph, stored,
                       graph::in_place_row_updates(normal.graph, meaning.zero_or_one, usage.carry), usage, piece_bytes)
      .run();
}

}  // namespace quarry::meter
