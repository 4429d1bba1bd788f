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

UInt128 updated_elements(const Graph& graph, NodeId id, const graph::RowUpdate& update) {
  return static_cast<UInt128>(graph::row_elements(graph, id, update));
}

class Counter {
 public:
  Counter(const Meaning& meaning, const RowUpdates& row_updates, Tariff tariff)
      : meaning_(meaning), graph_(meaning.graph), row_updates_(row_updates), tariff_(tariff) {}

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
      const int width = narrow_[id] ? 0 : width_class(graph_, id, tariff_of(id));
      out.weighted[static_cast<size_t>(width)].count +=
          weighted_elements(id) * static_cast<UInt128>(width_factor(width));
    }
  }

 private:
  UInt128 weighted_elements(NodeId id) const {
    if (auto update = row_updates_.find(id); update != row_updates_.end()) {
      return updated_elements(graph_, id, update->second);
    }
    if (meaning_.gathers.contains(id) || meaning_.is_select[id]) return elements(graph_, id);
    return counted_elements(graph_, id) * static_cast<UInt128>(weight(graph_, id, tariff_of(id)));
  }

  /// Matrix units take f16 and bf16 as they are, so a contraction of them counts as it always did.
  Tariff tariff_of(NodeId id) const { return is_half_product_[id] ? Tariff::One : tariff_; }

  // The MUL of a contraction runs on matrix units when nothing but such SUMs reads it.
  void find_contractions() {
    narrow_.resize(graph_.size(), false);
    is_half_product_.resize(graph_.size(), false);
    std::vector<bool> only_summed(graph_.size(), true);
    for (const graph::Output& output : graph_.outputs()) only_summed[output.node] = false;
    for (NodeId id = static_cast<NodeId>(graph_.size()); id-- > 0;) {
      const Op op = graph_[id].op;
      if (op == Op::Mul && !only_summed[id]) narrow_[id] = is_half_product_[id] = false;
      if (op == Op::ReduceSum && !meaning_.gathers.contains(id)) {
        const auto contraction = graph::match_contraction(graph_, id);
        if (contraction && contraction->is_narrow) {
          narrow_[id] = narrow_[contraction->mul] = true;
          continue;
        }
        if (contraction && contraction->width_bits <= 16) {
          is_half_product_[id] = is_half_product_[contraction->mul] = true;
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
  const Tariff tariff_;
  std::vector<bool> narrow_;           // counts at 16 bits as part of a contraction
  std::vector<bool> is_half_product_;  // the MUL and the SUM of a contraction of f16 or bf16 without a CAST
  std::vector<bool> counted_;
};

void count_bytes(const Graph& graph, const Fusion& fusion, const RowUpdates& row_updates, StepCount& out) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!fusion.stored[id]) continue;
    ++out.stored_values;
    const auto update = row_updates.find(id);
    out.bytes += bytes(graph, id,
                       update == row_updates.end() ? elements(graph, id) : updated_elements(graph, id, update->second));
  }
  for (const Read& read : fusion.reads) {
    auto reached = static_cast<UInt128>(read.elements);
    if (auto update = row_updates.find(read.reader); update != row_updates.end()) {
      if (read.value == update->second.old_value) continue;
      reached = std::min(reached, read.views * updated_elements(graph, read.reader, update->second));
    }
    out.bytes += bytes(graph, read.value, reached);
  }
}

/// A copy reads and writes its bytes, and is never cheaper than a small one: starting it takes time too.
UInt128 copied(uint64_t bytes) {
  return std::max(2 * UInt128{bytes}, kLeastCopiedBytes);
}

// Each step: fed slices, next values of carries that no kernel writes, values of outputs that are kept each step. At a
// segment's end the carried values are stored; the next segment loads them and the plain inputs again.
void count_copies(const Graph& graph, const MemoryLayout& layout, const Usage& usage, StepCount& out) {
  const auto input_bytes = [&](const std::string& name) {
    const NodeId input = graph.find_input(name);
    return input == kNoNode ? 0 : value_bytes(graph, input);
  };
  for (const std::string& name : usage.feed) out.copied_bytes += copied(input_bytes(name));
  for (const MemoryLayout::Copy& copy : layout.copies()) out.copied_bytes += copied(value_bytes(graph, copy.input));
  for (const std::string& name : usage.keep_each) {
    const NodeId output = graph.find_output(name);
    if (output != kNoNode) out.copied_bytes += copied(value_bytes(graph, output));
  }
  // Going on to the next step takes time too.
  if (out.stored_values == 0) out.copied_bytes = std::max(out.copied_bytes, kLeastCopiedBytes);
  out.bytes += out.copied_bytes;
  for (const NodeId input : graph.inputs()) out.checkpoint_bytes += value_bytes(graph, input);
  for (const std::string& name : usage.feed) out.checkpoint_bytes -= input_bytes(name);
  for (const auto& [input, output] : usage.carry) out.checkpoint_bytes += input_bytes(input);
}

}  // namespace

Flops StepCount::metered() const {
  return {weighted_total().count + kFlopsPerByte * bytes + kFlopsPerStoredValue * stored_values};
}

Result<StepCount> count(const graph::NormalGraph& normal, const Usage& usage, Tariff tariff) {
  const Graph& graph = normal.graph;
  const Meaning meaning(graph);
  Fusion fusion = fuse(meaning, tariff >= Tariff::Two ? With::Views : With::Reads);
  const RowUpdates row_updates = graph::in_place_row_updates(graph, meaning.zero_or_one, usage.carry);
  QUARRY_ASSIGN(const MemoryLayout layout, lay_out_memory(graph, stored_values(fusion), row_updates, usage));

  StepCount out;
  out.tariff = tariff;
  Counter counter(meaning, row_updates, tariff);
  counter.count_flops(out);
  counter.count_weighted(out);
  count_bytes(graph, fusion, row_updates, out);
  out.memory_bound_bytes = layout.bound_bytes();
  if (tariff >= Tariff::Two) {
    QUARRY_ASSIGN(out.index_work, index_work(meaning, fusion.forms, fusion.views, row_updates));
    out.weighted[1].count += out.index_work;
    count_copies(graph, layout, usage, out);
  }
  return out;
}

int64_t steps_per_segment(const StepCount& step, int64_t steps, std::optional<int64_t> checkpoint_every) {
  const UInt128 per_step = std::max<UInt128>(step.metered().count, 1);
  const UInt128 fitting = std::max<UInt128>((kMostSegmentFlops - kFlopsPerJob) / per_step, 1);
  const auto longest = static_cast<int64_t>(std::min<UInt128>(fitting, static_cast<UInt128>(steps)));
  return checkpoint_every ? std::min(longest, *checkpoint_every) : longest;
}

Result<Flops> metered(const StepCount& step, int64_t steps, bool with_job_constant) {
  if (steps < 0 || steps > graph::kMaxSteps)
    return overflow("a number of steps of " + std::to_string(steps), step.tariff);
  const auto work = checked_mul(step.metered(), static_cast<UInt128>(steps));
  const auto total = work ? checked_add(*work, Flops{with_job_constant ? kFlopsPerJob : 0}) : std::nullopt;
  if (!total) return overflow("the metered FLOPs of " + std::to_string(steps) + " steps", step.tariff);
  return *total;
}

Result<Flops> metered_job(const StepCount& step, int64_t steps, int64_t segments) {
  QUARRY_ASSIGN(const Flops work, metered(step, steps, true));
  if (step.tariff < Tariff::Two) return work;
  const Flops each{kFlopsPerJob + kFlopsPerByte * step.checkpoint_bytes};
  const auto checkpoints = checked_mul(each, static_cast<UInt128>(segments - 1));
  const auto total = checkpoints ? checked_add(work, *checkpoints) : std::nullopt;
  if (!total) return overflow("the metered FLOPs of " + std::to_string(segments) + " segments", step.tariff);
  return *total;
}

std::vector<StoredValue> stored_values(const graph::NormalGraph& normal) {
  return stored_values(fuse(Meaning(normal.graph)));
}

}  // namespace quarry::meter
