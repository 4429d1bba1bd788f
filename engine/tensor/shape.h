// Shapes as users of array libraries change them: axes, slices, joining, padding, windows. Nearly all of it is movement
// and costs nothing; what computes says so.
//
// Axes may be negative. Shapes in comments use `..` for axes that pass through.
#pragma once

#include <optional>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// Drops the axes, which must have size 1; none given: all axes of size 1.
Tensor squeeze(const Tensor& x, const Axes& axes = {});
/// Adds an axis of size 1 at each position, counted in the result.
Tensor unsqueeze(const Tensor& x, const Axes& axes);
/// [.., a, b, c, ..] -> [.., a * b * c, ..]; rank 0 becomes [1].
Tensor flatten(const Tensor& x, int64_t first_axis = 0, int64_t last_axis = -1);
/// [.., a * b, ..] -> [.., a, b, ..]; one of `sizes` may be -1.
Tensor unflatten(const Tensor& x, int64_t axis, const Shape& sizes);
/// Swaps two axes.
Tensor transpose(const Tensor& x, int64_t a, int64_t b);
/// Axes `from` go to positions `to`, the others keep their order.
Tensor moveaxis(const Tensor& x, const Axes& from, const Axes& to);

/// Python's start:stop:step of one axis.
struct Slice {
  std::optional<int64_t> start = {}, stop = {};
  int64_t step = 1;
};
/// x[slices[0], slices[1], ...]; axes without a slice stay whole. Bounds beyond an axis are cut to it, as in Python.
Tensor slice(const Tensor& x, std::span<const Slice> slices);
Tensor slice_axis(const Tensor& x, int64_t axis, const Slice& slice);
/// `length` positions of an axis from `start` on. Throws when they do not lie inside.
Tensor narrow(const Tensor& x, int64_t axis, int64_t start, int64_t length);
/// The position `index` of an axis, which is dropped. Negative: from the end.
Tensor select(const Tensor& x, int64_t axis, int64_t index);

/// Joins along an axis. Dtypes are promoted; rank and the other axes must be equal. Costs one ADD an element and level
/// of a binary tree; -0.0 becomes 0.0.
Tensor cat(std::span<const Tensor> tensors, int64_t axis = 0);
/// Joins equal shapes along a new axis of the result.
Tensor stack(std::span<const Tensor> tensors, int64_t axis = 0);
/// Parts of the given sizes, which add up to the axis.
std::vector<Tensor> split(const Tensor& x, const Shape& sizes, int64_t axis = 0);
/// Parts of `size`, the last one smaller where it does not divide the axis.
std::vector<Tensor> split(const Tensor& x, int64_t size, int64_t axis = 0);
/// At most `count` parts of equal size, the last one smaller.
std::vector<Tensor> chunk(const Tensor& x, int64_t count, int64_t axis = 0);

/// Reverses the axes; none given: all.
Tensor flip(const Tensor& x, const Axes& axes = {});
/// Moves elements up along each axis, those that leave come in again at the start. Costs one ADD an element and axis.
Tensor roll(const Tensor& x, const Shape& shifts, const Axes& axes);
/// The whole repeated; `repeats` counts from the last axis, more repeats than axes add axes in front.
Tensor tile(const Tensor& x, const Shape& repeats);
/// Each position of an axis `repeats` times in a row.
Tensor repeat_interleave(const Tensor& x, int64_t repeats, int64_t axis);

enum class PadMode {
  Constant,
  Reflect,    ///< mirrors without repeating the edge: amounts below the size of the axis
  Symmetric,  ///< mirrors and repeats the edge: amounts up to the size of the axis
  Edge,       ///< repeats the edge ("replicate")
  Circular    ///< goes on at the other end ("wrap"): amounts up to the size of the axis
};
/// Amounts (before, after) of each axis; negative ones cut off. `value` is for Constant: other than 0 it costs a select
/// an element, the modes beside Constant an ADD.
Tensor pad(const Tensor& x, std::span<const Pair> amounts, PadMode mode, double value = 0);

/// The bool mask [rows, columns] that is true where column - row <= diagonal. Costs nothing worth naming.
Tensor lower_triangle(int64_t rows, int64_t columns, int64_t diagonal = 0);
/// The last two axes with what lies above (tril) or below (triu) the diagonal replaced by 0, also inf and NaN.
Tensor tril(const Tensor& x, int64_t diagonal = 0);
Tensor triu(const Tensor& x, int64_t diagonal = 0);
/// [rows, columns] with ones on the diagonal column - row = `diagonal`.
Tensor eye(int64_t rows, int64_t columns, DType dtype, int64_t diagonal = 0);
/// [n] -> [n + |offset|, n + |offset|] with x on the diagonal; movement only.
Tensor diag(const Tensor& x, int64_t offset = 0);
/// The diagonal of two axes, which are dropped, as a last axis; movement only.
Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t axis1 = 0, int64_t axis2 = 1);

/// start, start + step, ... before stop: i32, i64, or a float dtype (computed as start + i * step in it).
Tensor arange(double start, double stop, double step, DType dtype);
/// `count` values from start to stop, both included.
Tensor linspace(double start, double stop, int64_t count, DType dtype);
/// Each 1-d tensor along its own axis of a grid; `xy` swaps the first two axes, as NumPy's default does.
std::vector<Tensor> meshgrid(std::span<const Tensor> tensors, bool xy = false);

/// [.., L1, .., Ln] -> [.., O1, .., On, K1, .., Kn]: all windows over the last n = kernel.size() axes, movement only.
/// O = (L - dilation * (K - 1) - 1) / stride + 1. `steps` and `dilation`: one entry an axis, or empty for 1.
Tensor windows(const Tensor& x, const Shape& kernel, const Shape& steps = {}, const Shape& dilation = {});
/// The transpose of windows(): [.., O1, .., On, K1, .., Kn] -> [.., L1, .., Ln] (= `sizes`); overlaps are summed.
Tensor overlap_add(const Tensor& x, const Shape& sizes, const Shape& steps = {}, const Shape& dilation = {});
/// PyTorch's unfold: [n, c, h, w] -> [n, c * kh * kw, windows].
Tensor unfold(const Tensor& x, const Shape& kernel, const Shape& dilation, const std::vector<Pair>& padding,
              const Shape& steps);
/// PyTorch's fold, ONNX's Col2Im: [n, c * kh * kw, windows] -> [n, c, h, w] (= `sizes`).
Tensor fold(const Tensor& x, const Shape& sizes, const Shape& kernel, const Shape& dilation,
            const std::vector<Pair>& padding, const Shape& steps);

/// Which part of the channels is the place inside the block: ONNX's DCR has the block first, CRD (PyTorch) last.
enum class BlockOrder { BlockFirst, BlockLast };
/// [n, c * b * b, h, w] -> [n, c, h * b, w * b]; BlockLast is PyTorch's pixel_shuffle.
Tensor depth_to_space(const Tensor& x, int64_t block, BlockOrder order = BlockOrder::BlockLast);
/// [n, c, h * b, w * b] -> [n, c * b * b, h, w]; BlockLast is PyTorch's pixel_unshuffle, BlockFirst is ONNX's.
Tensor space_to_depth(const Tensor& x, int64_t block, BlockOrder order = BlockOrder::BlockLast);

}  // namespace quarry::tensor
