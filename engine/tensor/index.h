// Reading and writing at computed positions, and what orders or accumulates along an axis.
//
// Indices are i32 or i64. An index outside of its axis reads 0 and writes nothing; negative ones count from the end
// only with Negative::Wrap, which costs a few ops an index. Reads are the gather idiom of graph/idioms.h: one element
// each, and exact whatever lies in the rows that are not read.
#pragma once

#include "engine/tensor/shape.h"

namespace quarry::tensor {

enum class Negative { Outside, Wrap };

/// x [.., n, ..], index of any shape: [.., index shape, ..] in place of `axis` (NumPy's take, PyTorch's index_select).
Tensor take(const Tensor& x, const Tensor& index, int64_t axis, Negative negative = Negative::Outside);
/// index of any shape, table [n, ..] -> [index shape, ..].
Tensor embedding(const Tensor& index, const Tensor& table);
/// PyTorch's gather: of equal rank; result [index shape], element x[.., index, ..] with the other coordinates its own.
/// The other axes of index are at most those of x.
Tensor gather_along_axis(const Tensor& x, int64_t axis, const Tensor& index, Negative negative = Negative::Outside);
/// index [batch .., .., m], x [batch .., n1, .., nm, ..]: the last axis of index holds positions on the m axes after
/// the first `batch_axes`; result [batch .., .., ..].
Tensor gather_nd(const Tensor& x, const Tensor& index, int64_t batch_axes = 0, Negative negative = Negative::Outside);

/// [..] -> [.., depth, ..]: 1 where the position on the new axis equals the index, else 0; no row where it lies
/// outside.
Tensor one_hot(const Tensor& index, int64_t depth, DType dtype, int64_t axis = -1);

enum class Scatter {
  Set,  ///< of several writes to one place the last one stays
  Add,
  Multiply,
  Max,
  Min
};
/// PyTorch's scatter, ONNX's ScatterElements: a copy of x where x[.., index, ..] is combined with source. index and
/// source of equal shape, rank of x, other axes at most those of x. Costs n * m comparisons for an axis of n and m
/// writes.
Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source, Scatter how = Scatter::Set,
               Negative negative = Negative::Outside);
inline Tensor scatter_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  return scatter(x, axis, index, source, Scatter::Add);
}
/// ONNX's ScatterND: index [.., m], updates [.., rest], x [n1, .., nm, rest].
Tensor scatter_nd(const Tensor& x, const Tensor& index, const Tensor& updates, Scatter how = Scatter::Set,
                  Negative negative = Negative::Outside);

/// `old_value` with the row at `index` on `axis` replaced: new_row has size 1 there. Where `old_value` is an INPUT that
/// is carried from this very tensor, as a key-value cache is, only the row is written and billed. index: one integer of
/// rank 0, or of x's rank and broadcastable to new_row (each its own row). Equal dtypes.
Tensor row_update(const Tensor& old_value, int64_t axis, const Tensor& index, const Tensor& new_row);
/// x with x[slices] replaced by value, which is broadcast to it. Movement and one select.
Tensor slice_put(const Tensor& x, std::span<const Slice> slices, const Tensor& value);
/// x where the mask is not 0, replaced by `value` (rounded to x's dtype).
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);

/// Running sums along an axis. exclusive: without the element itself; reverse: from the end. f16 and bf16 add up in
/// f32.
Tensor cumsum(const Tensor& x, int64_t axis, bool exclusive = false, bool reverse = false);
/// Running products, by doubling: log2(n) products an element.
Tensor cumprod(const Tensor& x, int64_t axis, bool exclusive = false, bool reverse = false);

struct Sorted {
  Tensor values, indices;  ///< indices: i32
};
/// Stable. NaN counts as greatest, as in NumPy: last when ascending, first when descending. Costs n comparisons an
/// element.
Sorted sort(const Tensor& x, int64_t axis = -1, bool descending = false);
Tensor argsort(const Tensor& x, int64_t axis = -1, bool descending = false);
/// The k greatest (or smallest) along an axis, best first; of equal ones the first comes first. A long axis is searched
/// in blocks: about 512 or 8 k comparisons an element.
Sorted topk(const Tensor& x, int64_t k, int64_t axis = -1, bool largest = true);

/// Throw: their result's shape depends on the data, which no graph can have. The text says what to use instead.
[[noreturn]] Tensor nonzero(const Tensor& x);
[[noreturn]] Tensor unique(const Tensor& x);

}  // namespace quarry::tensor
