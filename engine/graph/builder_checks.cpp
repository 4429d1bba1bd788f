// The checks that every op shares: operands, names, and the limits on shapes and on the whole graph.
#include <algorithm>

#include "common/text.h"
#include "engine/graph/builder_state.h"
#include "engine/graph/limits.h"

namespace quarry::graph {

std::string to_text(std::span<const int64_t> values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(values[i]);
  }
  return text + "]";
}

std::string Builder::State::shape_text(NodeId id) const {
  const std::string_view label = graph.label(id);
  const std::string called = label.empty() ? "" : " " + quote(label);
  return to_text(shape(id)) + " (node " + std::to_string(id) + called + ")";
}

NodeId Builder::State::refuse(Op op, std::string_view code, const std::string& detail, std::string_view place) {
  if (problem) return kNoNode;
  const std::string index = std::to_string(graph.size());
  const std::string called = next_label.empty() ? "" : " " + quote(next_label);
  problem = Problem{std::string(code), "node " + index + called + ": " + std::string(name(op)) + " " + detail,
                    "/nodes/" + index + std::string(place), ""};
  return kNoNode;
}

bool Builder::State::has_operand(Op op, NodeId x, int index) {
  if (problem) return false;
  if (x < graph.size()) return true;
  refuse(op, "forward_reference", "refers to a node that does not stand before it: put operands before their users",
         "/src/" + std::to_string(index));
  return false;
}

bool Builder::State::has_rank(Op op, NodeId x, size_t count, std::string_view field) {
  if (count == shape(x).size()) return true;
  refuse(op, "rank_mismatch",
         "needs one entry for each of the " + std::to_string(shape(x).size()) + " axes of its operand, but `" +
             std::string(field) + "` has " + std::to_string(count),
         "/" + std::string(field));
  return false;
}

bool Builder::State::has_valid_name(std::string_view text, const std::string& what, const std::string& pointer) {
  if (problem) return false;
  if (!text.empty() && text.size() <= kMaxNameBytes && is_plain_text(text)) return true;
  problem =
      Problem{"invalid_name",
              what + " must be 1 to " + std::to_string(kMaxNameBytes) + " bytes of UTF-8 without control characters",
              pointer, ""};
  return false;
}

bool Builder::State::within_shape_limits(Op op, std::span<const int64_t> shape) {
  if (shape.size() > static_cast<size_t>(kMaxRank)) {
    refuse(op, "limit_exceeded",
           "has rank " + std::to_string(shape.size()) + ", over the limit of " + std::to_string(kMaxRank));
    return false;
  }
  // Axes of size 0 are left out of the product: strides are computed from it, so it must not overflow for empty values
  // either.
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0) {
      refuse(op, "invalid_shape", "has the shape " + to_text(shape) + ": sizes are 0 or more", "/shape");
      return false;
    }
    if (size > 0 && (__builtin_mul_overflow(count, size, &count) || count > kMaxVirtualElements)) {
      refuse(op, "limit_exceeded", "has the shape " + to_text(shape) + ", over the limit of 2^62 elements");
      return false;
    }
  }
  const bool is_empty = std::ranges::count(shape, 0) > 0;
  if ((op == Op::Input || is_reduce(op)) && !is_empty && count > kMaxStoredElements) {
    refuse(op, "limit_exceeded",
           "has the shape " + to_text(shape) + ", over the limit of 2^40 elements of a stored value");
    return false;
  }
  return true;
}

bool Builder::State::within_graph_limits(Op op, NodeId x) {
  const auto over = [&](const std::string& detail) {
    refuse(op, "limit_exceeded", detail);
    return false;
  };
  if (graph.size() >= kMaxNodes) return over("is over the limit of " + std::to_string(kMaxNodes) + " nodes");
  if (is_movement(op) && movement_run[x] >= kMaxMovementInARow)
    return over("is over the limit of " + std::to_string(kMaxMovementInARow) + " movement ops in a row");
  if (is_reduce(op) && reduces >= kMaxReduces)
    return over("is over the limit of " + std::to_string(kMaxReduces) + " reduces");
  return true;
}

NodeId Builder::State::append(Op op, DType dtype, std::span<const int64_t> shape, NodeId x, NodeId y,
                              uint32_t attribute) {
  if (problem || !within_graph_limits(op, x) || !within_shape_limits(op, shape)) return kNoNode;
  const auto id = static_cast<NodeId>(graph.nodes_.size());
  const auto rank = static_cast<uint8_t>(shape.size());
  graph.nodes_.push_back({op, dtype, rank, {x, y}, shapes.intern(graph.dimensions_, shape), attribute});
  movement_run.push_back(is_movement(op) ? static_cast<uint8_t>(movement_run[x] + 1) : uint8_t{0});
  reduces += is_reduce(op);
  if (!next_label.empty()) {
    graph.labels_.emplace(id, std::move(next_label));
    next_label.clear();
  }
  return id;
}

}  // namespace quarry::graph
