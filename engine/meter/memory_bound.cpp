#include "engine/meter/memory_bound.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

namespace quarry::meter {

using graph::Graph;
using graph::NodeId;
using graph::Op;

namespace {

/// Buffers are never empty: a device need not know a buffer of no bytes.
UInt128 buffer_bytes(const Graph& graph, NodeId id) {
  const auto bytes = static_cast<UInt128>(graph.elements(id)) * static_cast<UInt128>(graph::byte_size(graph[id].dtype));
  return std::max<UInt128>(1, (bytes + kBufferAlignment - 1) / kBufferAlignment) * kBufferAlignment;
}

/// Outputs that live in the second copy of an INPUT that they are carried to.
std::vector<bool> carried_outputs(const Graph& graph, const Usage& usage) {
  std::vector<bool> carried(graph.size(), false);
  for (const auto& [input, output] : usage.carry) {
    const NodeId node = graph.find_output(output);
    if (node != graph::kNoNode && graph[node].op != Op::Input) carried[node] = true;
  }
  return carried;
}

UInt128 input_bytes(const Graph& graph, const Usage& usage) {
  std::unordered_set<std::string_view> doubled(usage.feed.begin(), usage.feed.end());
  for (const auto& [input, output] : usage.carry) doubled.insert(input);
  UInt128 total = 0;
  for (NodeId input : graph.inputs()) {
    total += buffer_bytes(graph, input) * (doubled.contains(graph.input_name(input)) ? 2u : 1u);
  }
  return total;
}

}  // namespace

UInt128 memory_bound(const Graph& graph, const Fusion& fusion, const Usage& usage) {
  const std::vector<bool> carried = carried_outputs(graph, usage);
  UInt128 resident = input_bytes(graph, usage);
  std::vector<bool> is_resident(graph.size(), false);
  for (const graph::Output& output : graph.outputs()) {
    if (is_resident[output.node]) continue;
    is_resident[output.node] = true;
    if (!carried[output.node]) resident += buffer_bytes(graph, output.node);
  }

  std::vector<NodeId> last_reader(graph.size(), 0);
  for (const Read& read : fusion.reads) last_reader[read.value] = std::max(last_reader[read.value], read.reader);
  std::vector<UInt128> ends(graph.size(), 0);  // bytes that are free again after a kernel
  UInt128 live = 0;
  UInt128 peak = 0;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (fusion.stored[id] && !is_resident[id]) {
      live += buffer_bytes(graph, id);
      ends[last_reader[id]] += buffer_bytes(graph, id);
    }
    peak = std::max(peak, live);
    live -= ends[id];
  }
  const UInt128 total = resident + peak;
  return total + (total + kWorkspaceShare - 1) / kWorkspaceShare;
}

}  // namespace quarry::meter
