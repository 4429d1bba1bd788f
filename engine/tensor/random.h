// Random tensors over RAND. Each call takes a stream of its own: the same stream gives the same numbers. Numbers are
// fresh at each step of a job.
#pragma once

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// In [low, high). Any float dtype; made in f32 (24 random bits), then cast, so f16 and bf16 may round up to `high`.
Tensor uniform(Shape shape, uint32_t stream, double low = 0, double high = 1, DType dtype = DType::F32);
/// Box-Muller over two RANDs of half the elements each, on one stream; never inf (the logarithm is of (0, 1]).
Tensor normal(Shape shape, uint32_t stream, double mean = 0, double deviation = 1, DType dtype = DType::F32);
/// Integers in [low, high), each as likely as another to within 2^-32 (spans of at most 2^31). i32 or i64.
Tensor randint(Shape shape, uint32_t stream, int64_t low, int64_t high, DType dtype = DType::I32);
/// bool: true with the given probability, rounded to a multiple of 2^-24.
Tensor bernoulli(Shape shape, uint32_t stream, double probability);

}  // namespace quarry::tensor
