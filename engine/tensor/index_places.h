// What reading and writing at computed positions share.
#pragma once

#include "engine/tensor/index.h"

namespace quarry::tensor {

/// Negative positions counted from the end of an axis of `size`.
Tensor wrapped(const Tensor& index, int64_t size);

/// The axes that the last axis of an index names, joined to one: x [batch.., n, rest..], and the position on it for
/// each of the index's rows, -1 where one lies outside.
struct FlatIndex {
  Tensor x, place;
};
FlatIndex flat_index(const Tensor& x, const Tensor& index, int64_t batch_axes, Negative negative, const char* where);

}  // namespace quarry::tensor
