// The arithmetic of matrix units, bit for bit, as it was measured on an H200 (docs/performance.md).
#pragma once

#include <cstdint>
#include <span>

#include "engine/graph/dtype.h"

namespace quarry::tile {

/// How a matrix row adds. AlignedSum: the block of products and the accumulator are truncated towards zero to multiples
/// of 2^(top - 25), where `top` is the largest exponent among them; their sum is exact, and it is truncated towards
/// zero to the 24 digits of f32. The exponent of a product is the sum of its factors' exponents as they are stored.
/// Subnormal numbers count in full. FmaChain: IEEE fused multiply-adds in ascending k.
enum class Numerics : uint8_t { AlignedSum, FmaChain };

/// A finite factor as significand * 2^unit; `exponent` is that of its leading digit as stored.
struct Factor {
  int32_t significand = 0;
  int32_t exponent = 0;
  enum class Class : uint8_t { Finite, Infinite, NaN } kind = Class::Finite;
};

/// Digits of a Factor below its leading one: 7 for bf16, 10 for f16.
int fraction_bits(graph::DType dtype);
/// Takes the bits of a bf16 or f16 apart.
Factor factor(graph::DType dtype, uint16_t bits);

/// c + sum of a[i] * b[i] over one block, which is one instruction's k. Every NaN that comes out is 0x7fffffff; a sum
/// of nothing but zeros is +0.
float aligned_sum(graph::DType dtype, float c, std::span<const Factor> a, std::span<const Factor> b);

/// The three bf16 parts of an f32: each is what is left, rounded to nearest even.
struct Parts {
  uint16_t bits[3];
  bool finite() const { return (bits[0] & 0x7f80) != 0x7f80; }
};
Parts split_bf16(float value);

/// The order in which products of parts are added: the smallest first.
inline constexpr int kSixProducts[6][2] = {{2, 0}, {0, 2}, {1, 1}, {1, 0}, {0, 1}, {0, 0}};

/// The sum of the six products of 32 numbers each as matrix units compute it, in blocks of 16. Part p of number k is
/// left[p * left_plane + k]. If `infinite`, the sum of all but the last product counts as 0 where it is not finite.
float six_products(std::span<const Factor> left, size_t left_plane, std::span<const Factor> right, size_t right_plane,
                   bool infinite);

}  // namespace quarry::tile
