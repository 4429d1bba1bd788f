// Writing at computed positions (index.h). Each place looks at every write: n * m comparisons.
#include <limits>

#include "engine/graph/number.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/axis_entries.h"
#include "engine/tensor/index_places.h"
#include "engine/tensor/reduce.h"

namespace quarry::tensor {
namespace {

Tensor lowest_like(const Tensor& x) {
  if (graph::is_float(x.dtype())) return constant(-std::numeric_limits<double>::infinity(), x.dtype());
  return integer_constant(graph::lowest_integer(x.dtype()), x.dtype());
}
Tensor highest_like(const Tensor& x) {
  if (graph::is_float(x.dtype())) return constant(std::numeric_limits<double>::infinity(), x.dtype());
  return integer_constant(graph::highest_integer(x.dtype()), x.dtype());
}

/// All writes seen from all places: x's axis of n places followed by the axis of m writes.
struct Writes {
  Tensor mask;    ///< [.., n, m, ..]; other axes of size 1 where the index is the same for all of them
  Tensor source;  ///< [.., 1, m, ..]
  int64_t axis;   ///< of the writes
};

/// Of several writes to one place the last one, which a gather then reads.
Tensor set(const Tensor& x, const Tensor& source, const Writes& writes) {
  const Tensor numbers = add(iota(DType::I32, writes.mask.shape(), writes.axis), integer_constant(1, DType::I32));
  const Tensor last = max(mul(mask_of(writes.mask, DType::I32), numbers), {writes.axis});
  const Tensor none = scalar_beside(last, int64_t{0});
  const Tensor place = broadcast_to(sub(last, scalar_beside(last, int64_t{1})), x.shape());
  return where(equal(last, none), x, gather_along_axis(source, writes.axis - 1, place));
}

Tensor combined(const Tensor& x, const Tensor& source, const Writes& writes, Scatter how) {
  const auto seen = [&](const Tensor& neutral) { return where(writes.mask, writes.source, neutral); };
  switch (how) {
    case Scatter::Set:
      return set(x, source, writes);
    case Scatter::Add:
      return add(x, cast(sum(seen(constant(0, x.dtype())), {writes.axis}), x.dtype()));
    case Scatter::Multiply:
      return mul(x, cast(prod(seen(constant(1, x.dtype())), {writes.axis}), x.dtype()));
    case Scatter::Max:
      return maximum(x, max(seen(lowest_like(x)), {writes.axis}));
    case Scatter::Min:
      return minimum(x, min(seen(highest_like(x)), {writes.axis}));
  }
  return x;
}

/// source [.., m, ..] written to x [.., n, ..]; index has m on the axis, and elsewhere x's sizes or 1.
Tensor written(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source, Scatter how) {
  Shape places = index.shape();
  places.insert(places.begin() + axis, x.size(axis));
  const Tensor mask = binary(Op::CmpEq, iota(index.dtype(), places, axis), expand(unsqueeze(index, {axis}), places));
  return combined(x, source, {mask, unsqueeze(source, {axis}), axis + 1}, how);
}

void check(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  bool fits = index.rank() == x.rank() && index.shape() == source.shape();
  for (int64_t i = 0; fits && i < x.rank(); ++i) fits = i == axis || index.size(i) <= x.size(i);
  if (fits && (index.dtype() == DType::I32 || index.dtype() == DType::I64)) return;
  throw TensorError("scatter: index " + text(index) + " (i32 or i64) and source " + text(source) +
                    " must be alike, with the axes of " + text(x) + ", none longer but axis " + std::to_string(axis));
}

}  // namespace

Tensor scatter(const Tensor& x, int64_t axis, const Tensor& given, const Tensor& given_source, Scatter how,
               Negative negative) {
  axis = normal_axis(axis, x.rank(), "scatter");
  check(x, axis, given, given_source);
  if (given.elements() == 0) return x;
  // Writes touch only the places below the index's sizes on the other axes.
  std::vector<Slice> touched;
  for (int64_t i = 0; i < x.rank(); ++i) touched.push_back({0, i == axis ? x.size(i) : given.size(i)});
  const Tensor part = slice(x, touched);
  const Tensor index = negative == Negative::Wrap ? wrapped(given, x.size(axis)) : given;
  const Tensor changed = written(part, axis, index, cast(given_source, x.dtype()), how);
  return part.shape() == x.shape() ? changed : slice_put(x, touched, changed);
}

Tensor scatter_nd(const Tensor& x, const Tensor& index, const Tensor& updates, Scatter how, Negative negative) {
  const auto [places, place] = flat_index(x, index, 0, negative, "scatter_nd");
  Shape expected = place.shape();
  expected.insert(expected.end(), places.shape().begin() + 1, places.shape().end());
  if (updates.shape() != expected) {
    throw TensorError("scatter_nd: updates " + text(updates) + " must have the shape " + text(expected) +
                      " for index " + text(index) + " into " + text(x));
  }
  const int64_t n = places.size(0),
                rest = places.shape().size() > 1 ? count_of(std::span(places.shape()).subspan(1)) : 1;
  const int64_t writes = place.elements();
  if (updates.elements() == 0) return x;
  const Tensor source = reshape(cast(updates, x.dtype()), {writes, rest});
  return reshape(written(reshape(places, {n, rest}), 0, reshape(place, {writes, 1}), source, how), x.shape());
}

Tensor nonzero(const Tensor& x) {
  throw TensorError("nonzero of " + text(x) +
                    ": its shape depends on the data, which no graph can have; use a mask with where, or topk");
}

Tensor unique(const Tensor& x) {
  throw TensorError("unique of " + text(x) +
                    ": its shape depends on the data, which no graph can have; use sort and compare neighbours");
}

}  // namespace quarry::tensor
