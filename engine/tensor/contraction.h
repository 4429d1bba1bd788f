// Products summed over axes: each is exactly one REDUCE_SUM of one MUL, the contraction idiom, so that the engine finds
// a matrix product in it.
//
// Operands of f16 and bf16 are widened to f32, multiplied and summed there, and the result is cast back: billed and run
// at 16 bits. Integers multiply and add in their own dtype, and wrap; bool is and/or. Mixed dtypes are promoted.
#pragma once

#include <string_view>

#include "engine/tensor/tensor.h"

namespace quarry::tensor {

/// The sum of x * y over `axes` of their common broadcast shape; the axes are dropped.
Tensor contract(const Tensor& x, const Tensor& y, const Axes& axes);

/// NumPy's: [.., m, k] @ [.., k, n] -> [.., m, n]; leading axes broadcast; a 1-d operand is a row (left) or column
/// (right) whose axis is dropped again.
Tensor matmul(const Tensor& x, const Tensor& y);
/// The last `axes` of x with the first `axes` of y, in order.
Tensor tensordot(const Tensor& x, const Tensor& y, int64_t axes);
/// NumPy's einsum string: "bij,bjk->bik", "...ij,...jk", repeated letters are a diagonal, without "->" the letters that
/// stand once in alphabetical order. More than two operands are contracted in pairs, the cheapest first.
Tensor einsum(std::string_view equation, std::span<const Tensor> operands);
/// x [.., in], weight [out, in], bias [out] or none -> [.., out].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace quarry::tensor
