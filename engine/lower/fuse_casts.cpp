// Fusion beyond the stored values that the bill counts: a SUM is rounded where it is computed.
#include <algorithm>
#include <unordered_map>

#include "engine/lower/kernel.h"

namespace quarry::lower {

using graph::DType;
using graph::NodeId;
using graph::Op;

namespace {

// The f32 SUM behind a CAST to 16 bits and movement that neither drops, repeats nor adds elements.
std::optional<NodeId> rounded_sum(const graph::Graph& graph, NodeId cast) {
  const graph::Node& node = graph[cast];
  if (node.op != Op::Cast || (node.dtype != DType::BF16 && node.dtype != DType::F16)) return std::nullopt;
  NodeId at = node.operands[0];
  while (graph[at].op == Op::Reshape || graph[at].op == Op::Permute) at = graph[at].operands[0];
  const bool is_sum = graph[at].op == Op::ReduceSum && graph[at].dtype == DType::F32 && graph.elements(at) > 0;
  return is_sum && !graph::match_gather(graph, at) ? std::optional(at) : std::nullopt;
}

}  // namespace

std::vector<Kernel> fuse_casts(const std::vector<Kernel>& kernels, const std::function<bool(const Kernel&)>& takes) {
  std::unordered_map<NodeId, size_t> kernel_of;
  std::unordered_map<NodeId, int> readers;
  for (size_t i = 0; i < kernels.size(); ++i) {
    kernel_of.emplace(kernels[i].result, i);
    for (NodeId read : kernels[i].reads) ++readers[read];
  }
  if (!kernels.empty()) {
    for (const graph::Output& output : kernels[0].graph->graph.outputs()) ++readers[output.node];
  }
  std::vector<bool> joined(kernels.size());
  std::vector<Kernel> fused = kernels;
  for (size_t i = 0; i < kernels.size(); ++i) {
    const Kernel& cast = kernels[i];
    const auto sum = rounded_sum(cast.graph->graph, cast.result);
    if (!sum || cast.row_update || readers[*sum] != 1 || cast.reads != std::vector{*sum}) continue;
    const auto inner = kernel_of.find(*sum);
    if (inner == kernel_of.end() || kernels[inner->second].row_update) continue;
    Kernel both = kernels[inner->second];
    both.result = cast.result;
    both.rounded_sum = sum;
    if (!takes(both)) continue;
    fused[i] = std::move(both);
    joined[inner->second] = true;
  }
  std::vector<Kernel> result;
  for (size_t i = 0; i < kernels.size(); ++i) {
    if (!joined[i]) result.push_back(std::move(fused[i]));
  }
  return result;
}

}  // namespace quarry::lower
