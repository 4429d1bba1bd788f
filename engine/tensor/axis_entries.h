// Arguments with one entry an axis, where one entry may stand for all axes and none for a default; and other small
// shape helpers that several files of this folder share.
#pragma once

#include <string>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// What an entry, an offset or an amount may be at most: products of two of them do not overflow.
inline constexpr int64_t kMostEntry = int64_t{1} << 31;

/// `count` entries. Throws when there are neither none, nor one, nor `count`, or one is below `least` or beyond
/// kMostEntry.
Shape entries_of(const Shape& given, size_t count, int64_t otherwise, int64_t least, const char* where,
                 const char* what);
std::vector<Pair> entries_of(const std::vector<Pair>& given, size_t count, const char* where);

/// One pair per axis of x: (0, 0), and for SHRINK the whole of each axis.
std::vector<Pair> no_padding(const Tensor& x);
std::vector<Pair> whole(const Tensor& x);
/// The last axes cut or filled with zeros at their ends to these sizes.
Tensor fit(const Tensor& x, std::span<const int64_t> last_sizes);
/// Zeros put between the elements of an axis, step - 1 each: n -> (n - 1) * step + 1.
Tensor spread(const Tensor& x, int64_t axis, int64_t step);

/// Throws when |value| is beyond kMostEntry.
void require_reachable(int64_t value, const char* where, const char* what);
/// The product of sizes, none below 0; INT64_MAX where it is beyond that.
int64_t count_of(std::span<const int64_t> sizes);

}  // namespace quarry::tensor
