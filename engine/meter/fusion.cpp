#include "engine/meter/fusion.h"

#include <algorithm>
#include <tuple>

#include "common/uint128.h"
#include "engine/meter/index_maps.h"
#include "engine/meter/tariff.h"

namespace quarry::meter {

using graph::Graph;
using graph::kNoNode;
using graph::NodeId;
using graph::Op;

namespace {

/// A kernel that reaches a value through a map; `limit` bounds the elements that it reads (a gather reads few of its
/// table).
struct Reach {
  NodeId kernel;
  MapId map;
  int64_t limit;
};

/// From a node down to its base: the map that went in and the one that came out. Most nodes are reached through one map
/// alone.
struct Walk {
  MapId from = UINT32_MAX;
  MapId to = UINT32_MAX;
};

class Fuser {
 public:
  Fuser(const Meaning& meaning, With with)
      : meaning_(meaning),
        graph_(meaning.graph),
        with_(with),
        maps_(meaning.graph, fusion_.forms),
        base_(graph_.size()),
        parts_(graph_.size()),
        walks_(graph_.size()),
        reaches_(graph_.size()),
        seen_in_(graph_.size(), 0) {
    fusion_.stored.resize(graph_.size(), false);
  }

  Fusion run() {
    find_live();
    store_results();
    find_bases();
    cut_long_expressions();
    follow_reads();
    return std::move(fusion_);
  }

 private:
  // --- what is there ---

  void find_live() {
    live_.resize(graph_.size(), false);
    for (const graph::Output& output : graph_.outputs()) live_[output.node] = true;
    for (NodeId id = static_cast<NodeId>(graph_.size()); id-- > 0;) {
      if (!live_[id]) continue;
      for (NodeId operand : meaning_.operands[id]) {
        if (operand != kNoNode) live_[operand] = true;
      }
    }
  }

  void store_results() {
    for (const graph::Output& output : graph_.outputs())
      fusion_.stored[output.node] = graph_[output.node].op != Op::Input;
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (live_[id] && graph::is_reduce(graph_[id].op)) fusion_.stored[id] = true;
    }
  }

  // Movement is index arithmetic, and a CAST to a wider dtype is better done again than stored wide: kernels look
  // through both.
  bool is_transparent(NodeId id) const {
    const graph::Node& node = graph_[id];
    if (fusion_.stored[id]) return false;
    if (node.op != Op::Cast) return graph::is_movement(node.op);
    return graph::byte_size(node.dtype) > graph::byte_size(graph_[node.operands[0]].dtype);
  }

  void find_bases() {
    for (NodeId id = 0; id < graph_.size(); ++id) base_[id] = is_transparent(id) ? base_[graph_[id].operands[0]] : id;
    for (NodeId id = 0; id < graph_.size(); ++id) {
      auto& parts = parts_[id] = meaning_.operands[id];
      for (size_t i = 0; i < parts.size(); ++i) {
        if (parts[i] == kNoNode) continue;
        parts[i] = base_[parts[i]];
        if (std::find(parts.begin(), parts.begin() + i, parts[i]) != parts.begin() + i) parts[i] = kNoNode;
      }
    }
  }

  /// Whether a kernel computes the value itself, rather than loading it or making it from its index.
  bool is_fused(NodeId id) const {
    return id != kNoNode && !fusion_.stored[id] && (!graph::is_source(graph_[id].op) || graph_[id].op == Op::Rand);
  }

  // --- expressions of bounded size ---

  /// Visits the different nodes of the expression of `root` until `visit` returns false.
  template <class Visit>
  void for_each_node(NodeId root, Visit visit) {
    ++search_;
    pending_.assign(1, root);
    seen_in_[root] = search_;
    while (!pending_.empty()) {
      const NodeId id = pending_.back();
      pending_.pop_back();
      if (!visit(id)) return;
      for (NodeId base : parts_[id]) {
        if (!is_fused(base) || seen_in_[base] == search_) continue;
        seen_in_[base] = search_;
        pending_.push_back(base);
      }
    }
  }

  uint32_t expression_nodes(NodeId root) {
    uint32_t nodes = 0;
    for_each_node(root, [&](NodeId) { return ++nodes <= kMostExpressionNodes; });
    return nodes;
  }

  bool is_cheap(NodeId root) {
    int total = 0;
    for_each_node(root, [&](NodeId id) {
      total += meaning_.is_select[id]
                   ? 1
                   : weight(graph_, id, Tariff::One);  // the rule is older than tariff 2, and is the engine's too
      return total <= kCheapWeight;
    });
    return total <= kCheapWeight;
  }

  // `nodes[v]` bounds the expression of v from above: shared parts count each time, until the bound passes the limit
  // and they are counted exactly. What makes the largest part is stored until the rest fits.
  void cut_long_expressions() {
    std::vector<uint32_t> nodes(graph_.size(), 0);
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (!live_[id] || base_[id] != id || (graph::is_source(graph_[id].op) && graph_[id].op != Op::Rand)) continue;
      const auto& parts = parts_[id];
      for (;;) {
        nodes[id] = 1;
        NodeId largest = kNoNode;
        for (NodeId part : parts) {
          if (!is_fused(part)) continue;
          nodes[id] += nodes[part];
          if (largest == kNoNode || nodes[part] > nodes[largest]) largest = part;
        }
        if (nodes[id] <= kMostExpressionNodes) break;
        nodes[id] = expression_nodes(id);
        if (nodes[id] <= kMostExpressionNodes) break;
        fusion_.stored[largest] = true;
      }
    }
  }

  // --- who reads what, from the outputs downwards ---

  void follow_reads() {
    for (NodeId id = static_cast<NodeId>(graph_.size()); id-- > 0;) {
      if (!live_[id]) continue;
      std::vector<Reach> reaches = std::move(reaches_[id]);
      merge(reaches);
      const bool is_input = graph_[id].op == Op::Input;
      if (!is_input && !fusion_.stored[id] && !reaches.empty() && is_fused(id)) {
        fusion_.stored[id] = repeats_work(id, reaches);
      }
      if (is_input || fusion_.stored[id]) record_reads(id, reaches);
      if (is_input || fusion_.stored[id] || graph_[id].op == Op::Rand) record_views(id, reaches);
      if (graph::is_source(graph_[id].op)) continue;
      if (fusion_.stored[id]) {
        start_kernel(id);
      } else {
        for (const Reach& reach : reaches) reach_operands(id, reach);
      }
    }
  }

  /// One entry for each kernel and map, kernels together.
  static void merge(std::vector<Reach>& reaches) {
    std::ranges::sort(reaches, [](const Reach& a, const Reach& b) {
      return std::tuple(a.kernel, a.map, -a.limit) < std::tuple(b.kernel, b.map, -b.limit);
    });
    const auto repeated = std::ranges::unique(
        reaches, [](const Reach& a, const Reach& b) { return a.kernel == b.kernel && a.map == b.map; });
    reaches.erase(repeated.begin(), repeated.end());
  }

  bool repeats_work(NodeId id, const std::vector<Reach>& reaches) {
    std::array<MapId, kMostIndexMaps> different{};
    size_t maps = 0;
    UInt128 points = 0;
    for (const Reach& reach : reaches) {
      points += static_cast<UInt128>(std::min(maps_.points(reach.map), reach.limit));
      if (std::find(different.begin(), different.begin() + maps, reach.map) != different.begin() + maps) continue;
      if (maps == kMostIndexMaps) return true;
      different[maps++] = reach.map;
    }
    const bool is_read_often =
        reaches.size() > kFewReads || points > static_cast<UInt128>(graph_.elements(id)) * kFewReads;
    return is_read_often && !is_cheap(id);
  }

  void record_reads(NodeId value, const std::vector<Reach>& reaches) {
    const int64_t all = graph_.elements(value);
    for (size_t i = 0; i < reaches.size();) {
      Read read{reaches[i].kernel, value, 0, 0};
      for (; i < reaches.size() && reaches[i].kernel == read.reader; ++i, ++read.views) {
        const int64_t reached = std::min(maps_.reached(reaches[i].map), reaches[i].limit);
        read.elements = read.elements > all - reached ? all : read.elements + reached;
      }
      fusion_.reads.push_back(read);
    }
  }

  void record_views(NodeId value, const std::vector<Reach>& reaches) {
    if (with_ == With::Reads) return;
    const bool is_load = graph_[value].op == Op::Input || fusion_.stored[value];
    for (const Reach& reach : reaches) {
      const auto coordinates = maps_.coordinates(reach.map);
      const FormId position = fusion_.forms.flattened(coordinates, graph_.shape(value));
      fusion_.views.push_back({reach.kernel, position, is_load});
    }
  }

  void record_counting(NodeId iota, const Reach& reach) {
    if (with_ == With::Reads) return;
    const FormId coordinate = maps_.coordinates(reach.map)[static_cast<size_t>(graph_.iota_axis(iota))];
    fusion_.views.push_back({reach.kernel, coordinate, false});
  }

  // A kernel works on the points of its result; that of a reduce on those of its operand.
  void start_kernel(NodeId id) {
    if (auto gather = meaning_.gathers.find(id); gather != meaning_.gathers.end())
      return start_gather(id, gather->second);
    const NodeId space = graph::is_reduce(graph_[id].op) ? graph_[id].operands[0] : id;
    Reach reach{id, maps_.identity(space), INT64_MAX};
    if (graph::is_movement(graph_[id].op)) reach.map = maps_.through(reach.map, id);
    reach_operands(id, reach);
  }

  // One element of the table and one of the index for each of the result.
  void start_gather(NodeId id, const graph::Gather& gather) {
    Reach reach{id, maps_.identity(graph_[id].operands[0]), graph_.elements(id)};
    reach_value(gather.table, reach);
    for (NodeId step = gather.mask; step != gather.comparison; step = graph_[step].operands[0]) {
      if (graph::is_movement(graph_[step].op)) reach.map = maps_.through(reach.map, step);
    }
    reach_value(gather.index, reach);
  }

  void reach_operands(NodeId id, const Reach& reach) {
    const auto& operands = meaning_.operands[id];
    for (size_t i = 0; i < operands.size(); ++i) {
      if (operands[i] != kNoNode) reach_value(operands[i], reach);
    }
  }

  void reach_value(NodeId id, Reach reach) {
    const NodeId base = base_[id];
    const Op op = graph_[base].op;
    const bool is_made = !fusion_.stored[base] && (op == Op::Const || op == Op::Iota || op == Op::Step);
    if (is_made && (op != Op::Iota || with_ == With::Reads)) return;
    Walk& walk = walks_[id];
    if (walk.from != reach.map) {
      walk.from = walk.to = reach.map;
      for (NodeId step = id; step != base; step = graph_[step].operands[0]) walk.to = maps_.through(walk.to, step);
    }
    reach.map = walk.to;
    if (is_made) return record_counting(base, reach);
    reaches_[base].push_back(reach);
  }

  const Meaning& meaning_;
  const Graph& graph_;
  const With with_;
  Fusion fusion_;
  IndexMaps maps_;  // its forms are the fusion's
  std::vector<bool> live_;
  std::vector<NodeId> base_;                  // the node itself, or what it shows through movement and widening CASTs
  std::vector<std::array<NodeId, 3>> parts_;  // the different values that a node computes from, below movement
  std::vector<Walk> walks_;                   // the last one that began at each node
  std::vector<std::vector<Reach>> reaches_;
  std::vector<uint32_t> seen_in_;  // the search that saw the node last
  std::vector<NodeId> pending_;
  uint32_t search_ = 0;
};

}  // namespace

Fusion fuse(const Meaning& meaning, With with) {
  return Fuser(meaning, with).run();
}

std::vector<StoredValue> stored_values(const Fusion& fusion) {
  std::vector<StoredValue> values;
  std::vector<size_t> place(fusion.stored.size());
  for (NodeId id = 0; id < fusion.stored.size(); ++id) {
    if (!fusion.stored[id]) continue;
    place[id] = values.size();
    values.push_back({id, {}});
  }
  for (const Read& read : fusion.reads) values[place[read.reader]].reads.push_back(read.value);
  for (StoredValue& value : values) std::ranges::sort(value.reads);
  return values;
}

}  // namespace quarry::meter
