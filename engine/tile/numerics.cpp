#include "engine/tile/numerics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/graph/number.h"

namespace quarry::tile {

namespace {

constexpr int kKeptBits = 25;     // below the largest exponent: fitted to 164,000 outputs of an H200, all equal
constexpr int kLeast = -1000000;  // an exponent below all others: that of zero
constexpr float kNaN = std::bit_cast<float>(0x7fffffffu);

// value * 2^by, truncated towards zero.
int64_t shifted(int64_t value, int by) {
  if (by >= 0) return value * (int64_t{1} << std::min(by, 62));
  if (by <= -63) return 0;
  return value < 0 ? -(-value >> -by) : value >> -by;
}

// sum * 2^unit, truncated towards zero to an f32 or to infinity.
float truncated(int64_t sum, int unit) {
  if (sum == 0) return 0;
  const uint32_t sign = sum < 0 ? 0x80000000u : 0;
  const uint64_t magnitude = sum < 0 ? static_cast<uint64_t>(-sum) : static_cast<uint64_t>(sum);
  const int digits = 64 - std::countl_zero(magnitude);
  const int dropped = std::max(digits - 24, -149 - unit);  // below 2^-126 the unit is 2^-149
  const uint64_t kept = dropped >= 64 ? 0 : dropped >= 0 ? magnitude >> dropped : magnitude << -dropped;
  const int exponent = unit + dropped + 23;  // of a kept value with 24 digits
  if (exponent > 127) return std::bit_cast<float>(sign | 0x7f800000u);
  if (kept < (uint64_t{1} << 23)) return std::bit_cast<float>(sign | static_cast<uint32_t>(kept));
  return std::bit_cast<float>(sign | static_cast<uint32_t>(exponent + 127) << 23 |
                              (static_cast<uint32_t>(kept) & 0x7fffffu));
}

// What the infinities and NaNs among the operands give.
struct Special {
  bool nan = false, plus = false, minus = false;
  void add_infinity(bool negative) { (negative ? minus : plus) = true; }
  float result() const {
    if (nan || (plus && minus)) return kNaN;
    return std::bit_cast<float>(plus ? 0x7f800000u : 0xff800000u);
  }
};

Special special(float c, std::span<const Factor> a, std::span<const Factor> b) {
  Special found;
  if (c != c) found.nan = true;
  if (std::bit_cast<uint32_t>(c) << 1 == 0xff000000u) found.add_infinity(c < 0);
  for (size_t i = 0; i < a.size(); ++i) {
    const Factor &x = a[i], &y = b[i];
    if (x.kind == Factor::Class::Finite && y.kind == Factor::Class::Finite) continue;
    if (x.kind == Factor::Class::NaN || y.kind == Factor::Class::NaN || x.significand == 0 || y.significand == 0) {
      found.nan = true;
    } else {
      found.add_infinity((x.significand < 0) != (y.significand < 0));
    }
  }
  return found;
}

}  // namespace

int fraction_bits(graph::DType dtype) {
  return dtype == graph::DType::BF16 ? 7 : 10;
}

Factor factor(graph::DType dtype, uint16_t bits) {
  const int fraction = fraction_bits(dtype), exponent_bits = 15 - fraction, bias = (1 << (exponent_bits - 1)) - 1;
  const int stored = bits >> fraction & ((1 << exponent_bits) - 1), digits = bits & ((1 << fraction) - 1);
  Factor result;
  result.significand = stored > 0 ? digits | 1 << fraction : digits;
  result.exponent = std::max(stored, 1) - bias;
  if (stored == (1 << exponent_bits) - 1) result.kind = digits ? Factor::Class::NaN : Factor::Class::Infinite;
  if (bits >> 15) result.significand = -result.significand;
  return result;
}

float aligned_sum(graph::DType dtype, float c, std::span<const Factor> a, std::span<const Factor> b) {
  const int fraction = fraction_bits(dtype);
  const uint32_t bits = std::bit_cast<uint32_t>(c);
  const int stored = static_cast<int>(bits >> 23 & 255);
  bool finite = stored != 255;
  for (size_t i = 0; i < a.size(); ++i) {
    finite &= a[i].kind == Factor::Class::Finite && b[i].kind == Factor::Class::Finite;
  }
  if (!finite) return special(c, a, b).result();
  int64_t significand = stored > 0 ? (bits & 0x7fffff) | 0x800000 : bits & 0x7fffff;
  const int exponent = std::max(stored, 1) - 127;
  if (bits >> 31) significand = -significand;

  int top = significand != 0 ? exponent : kLeast;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].significand != 0 && b[i].significand != 0) top = std::max(top, a[i].exponent + b[i].exponent);
  }
  if (top == kLeast) return 0;
  const int unit = top - kKeptBits;
  int64_t sum = shifted(significand, exponent - 23 - unit);
  for (size_t i = 0; i < a.size(); ++i) {
    const int64_t product = int64_t{a[i].significand} * b[i].significand;
    if (product != 0) sum += shifted(product, a[i].exponent + b[i].exponent - 2 * fraction - unit);
  }
  return truncated(sum, unit);
}

Parts split_bf16(float value) {
  Parts parts{};
  for (uint16_t& bits : parts.bits) {
    bits =
        static_cast<uint16_t>(graph::cast_bits(graph::DType::F32, graph::DType::BF16, std::bit_cast<uint32_t>(value)));
    value -= std::bit_cast<float>(uint32_t{bits} << 16);
  }
  return parts;
}

float six_products(std::span<const Factor> left, size_t left_plane, std::span<const Factor> right, size_t right_plane,
                   bool infinite) {
  constexpr size_t kDepth = 32, kBlock = 16;
  float sum = 0;
  for (size_t product = 0; product < std::size(kSixProducts); ++product) {
    const auto [i, j] = kSixProducts[product];
    if (infinite && product + 1 == std::size(kSixProducts) && !std::isfinite(sum)) sum = 0;
    for (size_t k = 0; k < kDepth; k += kBlock) {
      sum = aligned_sum(graph::DType::BF16, sum, left.subspan(static_cast<size_t>(i) * left_plane + k, kBlock),
                        right.subspan(static_cast<size_t>(j) * right_plane + k, kBlock));
    }
  }
  return sum;
}

}  // namespace quarry::tile
