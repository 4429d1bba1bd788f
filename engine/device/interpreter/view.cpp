#include "engine/device/interpreter/view.h"

#include <cstdlib>
#include <utility>

namespace quarry::device::interpreter {
namespace {

using graph::Op;

// Most positions and sizes fit 32 bits, where processors divide several times faster.
int64_t divided(int64_t position, int64_t size) {
  if (((position | size) >> 32) == 0) return static_cast<uint32_t>(position) / static_cast<uint32_t>(size);
  return position / size;
}

// Walks the coordinates of ascending positions: neighbours cost an addition, jumps a division per axis.
class Walker {
 public:
  Walker(int64_t base, const std::vector<ViewAxis>& axes)
      : base_(base), axes_(axes), coordinates_(axes.size(), 0), viewed_(base) {}

  void move_to(int64_t position) {
    if (position == position_ + 1) {
      advance();
    } else if (position != position_) {
      jump(position);
    }
    position_ = position;
  }
  int64_t viewed() const { return viewed_; }
  bool inside() const {
    for (size_t i = 0; i < axes_.size(); ++i)
      if (coordinates_[i] < axes_[i].first || coordinates_[i] >= axes_[i].last) return false;
    return true;
  }

 private:
  void advance() {
    for (size_t i = axes_.size(); i-- > 0;) {
      viewed_ += axes_[i].stride;
      if (++coordinates_[i] < axes_[i].size) return;
      viewed_ -= axes_[i].stride * axes_[i].size;
      coordinates_[i] = 0;
    }
  }
  void jump(int64_t position) {
    viewed_ = base_;
    for (size_t i = axes_.size(); i-- > 0;) {
      const int64_t quotient = divided(position, axes_[i].size);
      coordinates_[i] = position - quotient * axes_[i].size;
      position = quotient;
      viewed_ += coordinates_[i] * axes_[i].stride;
    }
  }

  int64_t base_;
  const std::vector<ViewAxis>& axes_;
  std::vector<int64_t> coordinates_;
  int64_t position_ = 0;
  int64_t viewed_;
};

}  // namespace

View::View(int64_t base, std::vector<ViewAxis> axes, bool bounded)
    : base_(base), axes_(std::move(axes)), bounded_(bounded) {}

Positions View::map(std::span<const int64_t> positions, std::vector<bool>& inside) const {
  Positions viewed;
  viewed.reserve(positions.size());
  Walker walker(base_, axes_);
  for (const int64_t position : positions) {
    walker.move_to(position);
    const bool shows = !bounded_ || walker.inside();
    if (shows) viewed.push_back(walker.viewed());
    if (bounded_) inside.push_back(shows);
  }
  return viewed;
}

std::vector<int64_t> row_major_strides(std::span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t elements = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = elements;
    elements *= shape[i];
  }
  return strides;
}

View movement_view(const graph::Graph& graph, graph::NodeId node) {
  const Op op = graph[node].op;
  const auto shape = graph.shape(node);
  const auto operand_shape = graph.shape(graph[node].operands[0]);
  const std::vector<int64_t> operand_strides = row_major_strides(operand_shape);
  int64_t base = 0;
  std::vector<ViewAxis> axes;
  for (size_t i = 0; i < shape.size(); ++i) {
    ViewAxis axis{shape[i], operand_strides[i], 0, shape[i]};
    switch (op) {
      case Op::Permute:
        axis.stride = operand_strides[static_cast<size_t>(graph.axes(node)[i])];
        break;
      case Op::Expand:
        axis.stride = operand_shape[i] == shape[i] ? operand_strides[i] : 0;
        break;
      case Op::Shrink:
        base += graph.pairs(node)[i].before * operand_strides[i];
        break;
      case Op::Pad:
        axis.first = graph.pairs(node)[i].before;
        axis.last = axis.first + operand_shape[i];
        base -= axis.first * operand_strides[i];
        break;
      default: {  // STRIDE: a negative step starts at the last element
        const int64_t step = graph.strides(node)[i];
        if (step < 0 && operand_shape[i] > 0) base += (operand_shape[i] - 1) * operand_strides[i];
        // A step past the axis leaves one element, whose coordinate is 0: the product below could overflow and is never
        // used.
        axis.stride = shape[i] > 1 ? step * operand_strides[i] : 0;
      }
    }
    axes.push_back(axis);
  }
  return View(base, std::move(axes), op == Op::Pad);
}

View reduction_view(const graph::Graph& graph, graph::NodeId reduce) {
  const auto operand_shape = graph.shape(graph[reduce].operands[0]);
  const std::vector<int64_t> strides = row_major_strides(operand_shape);
  std::vector<ViewAxis> axes;
  for (size_t i = 0; i < operand_shape.size(); ++i) {
    const int64_t size = graph.shape(reduce)[i];
    axes.push_back({size, strides[i], 0, size});
  }
  for (const int64_t reduced : graph.axes(reduce)) {
    const auto i = static_cast<size_t>(reduced);
    axes.push_back({operand_shape[i], strides[i], 0, operand_shape[i]});
  }
  return View(0, std::move(axes), false);
}

}  // namespace quarry::device::interpreter
