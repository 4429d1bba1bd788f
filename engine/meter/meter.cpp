#include "engine/meter/meter.h"

#include <algorithm>
#include <unordered_map>

#include "engine/graph/idioms.h"
#include "engine/graph/limits.h"
#include "engine/meter/fusion.h"
#include "engine/meter/memory_layout.h"
#include "engine/meter/tariff.h"

namespace quarry::meter {

using graph::Graph;
using graph::kNoNode;
using graph::NodeId;
using graph::Op;
using graph::RowUpdates;

namespace {

// Sums fit in 128 bits by construction: 2^20 nodes of at most 2^62 elements at a weight of at most 2^6. Only products
// with numbers from outside of the graph are checked.
static_assert(graph::kMaxNodes <= 1 << 20 && graph::kMaxVirtualElements <= int64_t{1} << 62);

UInt128 elements(const Graph& graph, NodeId id) {
  return static_cast<UInt128>(graph.elements(id));
}

UInt128 bytes(const Graph& graph, NodeId id, UInt128 count) {
  return count * static_cast<UInt128>(graph::byte_size(graph[id].dtype));
}

/// What an op of the field's convention counts once for: its result's elements, or a reduce's operand's.
UInt128 counted_elements(const Graph& graph, NodeId id) {
  return elements(graph, graph::is_reduce(graph[id].op) ? graph[id].operands[0] : id);
}

/// The elements of one row: what an update in place writes.
UInt128 row_elements(const Graph& graph, NodeId id, const graph::RowUpdate& update) {
  const auto rows = static_cast<UInt128>(graph.shape(id)[static_cast<size_t>(update.axis)]);
  return rows == 0 ? 0 : elements(graph, id) / rows;
}

class Counter {
 public:
  Counter(const Meaning& meaning, const RowUpdates& row_updates)
      : meaning_(meaning), graph_(meaning.graph), row_updates_(row_updates) {}

  void count_flops(StepCount& out) const {
    for (NodeId id = 0; id < graph_.size(); ++id) {
      const Op op = graph_[id].op;
      if (op <= Op::ReduceMax && op != Op::Cast) out.flops.count += counted_elements(graph_, id);
    }
  }

  void count_weighted(StepCount& out) {
    find_contractions();
    find_counted();
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (!counted_[id]) continue;
      const int width = narrow_[id] ? 0 : width_class(graph_, id);
      out.weighted[static_cast<size_t>(width)].count +=
          weighted_elements(id) * static_cast<UInt128>(width_factor(width));
    }
  }

 private:
  UInt128 weighted_elements(NodeId id) const {
    if (auto update = row_updates_.find(id); update != row_updates_.end()) {
      return row_elements(graph_, id, update->second);
    }
    if (meaning_.gathers.contains(id) || meaning_.is_select[id]) return elements(graph_, id);
    return counted_elements(graph_, id) * static_cast<UInt128>(weight(graph_, id));
  }

  // The MUL of a contraction runs on matrix units when nothing but such SUMs reads it.
  void find_contractions() {
    narrow_.resize(graph_.size(), false);
    std::vector<bool> only_summed(graph_.size(), true);
    for (const graph::Output& output : graph_.outputs()) only_summed[output.node] = false;
    for (NodeId id = static_cast<NodeId>(graph_.size()); id-- > 0;) {
      const Op op = graph_[id].op;
      if (op == Op::Mul && !only_summed[id]) narrow_[id] = false;
      if (op == Op::ReduceSum && !meaning_.gathers.contains(id)) {
        const auto contraction = graph::match_contraction(graph_, id);
        if (contraction && contraction->is_narrow) {
          narrow_[id] = narrow_[contraction->mul] = true;
          continue;
        }
      }
      if ((graph::is_movement(op) || op == Op::Cast) && only_summed[id]) continue;
      for (int i = 0; i < graph_.operand_count(id); ++i) only_summed[graph_[id].operands[i]] = false;
    }
  }

  // What idioms absorb is not counted unless something else needs it too.
  void find_counted() {
    counted_.resize(graph_.size(), false);
    for (const graph::Output& output : graph_.outputs()) counted_[output.node] = true;
    for (NodeId id = static_cast<NodeId>(graph_.size()); id-- > 0;) {
      if (!counted_[id]) continue;
      if (auto update = row_updates_.find(id); update != row_updates_.end()) {
        counted_[update->second.new_value] = counted_[update->second.index] = true;
        continue;
      }
      for (NodeId operand : meaning_.operands[id]) {
        if (operand == kNoNode) continue;
        counted_[narrow_[id] && graph_[id].op == Op::Mul ? below_widening(operand) : operand] = true;
      }
    }
  }

  /// The f16 or bf16 value under the CAST that matrix units do by themselves.
  NodeId below_widening(NodeId id) const {
    while (graph::is_movement(graph_[id].op)) id = graph_[id].operands[0];
    return graph_[id].operands[0];
  }

  const Meaning& meaning_;
  const Graph& graph_;
  const RowUpdates& row_updates_;
  std::vector<bool> narrow_;  // counts at 16 bits as part of a contraction
  std::vector<bool> counted_;
};

void count_bytes(const Graph& graph, const Fusion& fusion, const RowUpdates& row_updates, StepCount& out) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!fusion.stored[id]) continue;
    ++out.stored_values;
    const auto update = row_updates.find(id);
    out.bytes +=
        bytes(graph, id, update == row_updates.end() ? elements(graph, id) : row_elements(graph, id, update->second));
  }
  for (const Read& read : fusion.reads) {
    auto reached = static_cast<UInt128>(read.elements);
    if (auto update = row_updates.find(read.reader); update != row_updates.end()) {
      if (read.value == update->second.old_value) continue;
      reached = std::min(reached, read.views * row_elements(graph, read.reader, update->second));
    }
    out.bytes += bytes(graph, read.value, reached);
  }
}

}  // namespace

Flops StepCount::metered() const {
  return {weighted_total().count + kFlopsPerByte * bytes + kFlopsPerStoredValue * stored_values};
}

Result<StepCount> count(const graph::NormalGraph& normal, const Usage& usage) {
  const Graph& graph = normal.graph;
  const Meaning meaning(graph);
  const Fusion fusion = fuse(meaning);
  const RowUpdates row_updates = graph::in_place_row_updates(graph, meaning.zero_or_one, usage.carry);
  QUARRY_ASSIGN(const MemoryLayout layout, lay_out_memory(graph, stored_values(fusion), row_updates, usage));

  StepCount out;
  Counter counter(meaning, row_updates);
  counter.count_flops(out);
  counter.count_weighted(out);
  count_bytes(graph, fusion, row_updates, out);
  out.memory_bound_bytes = layout.bound_bytes();
  return out;
}

Result<Flops> metered(const StepCount& step, int64_t steps, bool with_job_constant) {
  if (steps < 0 || steps > graph::kMaxSteps) return overflow("a number of steps of " + std::to_string(steps));
  const auto work = checked_mul(step.metered(), static_cast<UInt128>(steps));
  const auto total = work ? checked_add(*work, Flops{with_job_constant ? kFlopsPerJob : 0}) : std::nullopt;
  if (!total) return overflow("the metered FLOPs of " + std::to_string(steps) + " steps");
  return *total;
}

std::vector<StoredValue> stored_values(const graph::NormalGraph& normal) {
  return stored_values(fuse(Meaning(normal.graph)));
}

}  // namespace quarry::meter
