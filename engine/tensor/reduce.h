// What is made of many elements: sums, extremes, their positions, norms, the softmax family.
//
// `axes`: those reduced, negative ones count from the end; none given: all of them. They are dropped, or kept with size
// 1. On f16 and bf16 everything inside is f32 and the result is rounded once.
#pragma once

#include <optional>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// Integers wrap: i64 sums in i64, narrower ones and bool (the count of true) in i32.
Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// Integers as f32. Of nothing NaN.
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The mean squared distance from the mean, over n - correction (PyTorch: 1, NumPy: 0); NaN where n is 0.
Tensor var(const Tensor& x, const Axes& axes = {}, double correction = 1, bool keepdim = false);
Tensor standard_deviation(const Tensor& x, const Axes& axes = {}, double correction = 1, bool keepdim = false);
/// NaN wins. Throws on no elements.
Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// By halving: one product an element. Result dtypes as of sum.
Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// Of "is not 0", as bool.
Tensor any(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor all(const Tensor& x, const Axes& axes = {}, bool keepdim = false);

/// The first position of the greatest (smallest) along an axis, or in the flattened tensor; i32. NaN counts as both, as
/// in NumPy.
Tensor argmax(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdim = false);
Tensor argmin(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdim = false);

/// log(sum(exp(x))), without overflow.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor softmax(const Tensor& x, int64_t axis);
Tensor log_softmax(const Tensor& x, int64_t axis);

/// The sum of |x|.
Tensor l1_norm(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The root of the sum of squares. Its derivative at 0 is 0.
Tensor l2_norm(const Tensor& x, const Axes& axes = {}, bool keepdim = false);

}  // namespace quarry::tensor
