// Helper texts, as instantiate() reads them. All are free of branches, so that they vectorise; the same text serves
// scalars and vectors.
#include "engine/codegen/helpers.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "engine/codegen/dialects/dialect.h"

namespace quarry::codegen {

namespace {

struct Helper {
  std::string_view base;
  std::string_view text;
  std::array<std::string_view, 2> needs{};  // of the same type and width
};

constexpr Helper kHelpers[] = {
    // x / 0 = 0 and lowest / -1 = lowest, without ever dividing by either. The divisor is no select(): LLVM 14 divides
    // by both of its sides, and takes a vector of constants, as an IOTA's lanes are, for undefined if one of them is 0.
    {"q_div", R"(HELPER $T$V q_div_$T$V($T$V a, $T$V b) {
  const $M$V zero = convert_$M$V(b == ($T$V)(0)), minus = convert_$M$V(b == ($T$V)(-1));
  $T$V q = a / (b + (zero & ($M$V)(1)) + ((minus & ($M$V)(1)) << ($M$V)(1)));
  q = select(q, as_$T$V(convert_$U$V(($U$V)(0) - as_$U$V(a))), minus);
  return select(q, ($T$V)(0), zero);
}
)"},
    {"q_udiv", R"(HELPER $T$V q_udiv_$T$V($T$V a, $T$V b) {
  const $M$V zero = convert_$M$V(b == ($T$V)(0));
  return select(convert_$T$V(a / (b + convert_$T$V(zero & ($M$V)(1)))), ($T$V)(0), zero);
}
)"},
    // A wrapping product by squaring; a negative exponent divides 1 by it.
    {"q_ipow",
     R"(HELPER $T$V q_ipow_$T$V($T$V x, $T$V y) {
  const $M$V negative = convert_$M$V(y < ($T$V)(0));
  $U$V power = ($U$V)(1), base = as_$U$V(x);
  $U$V e = as_$U$V(select(y, as_$T$V(convert_$U$V(($U$V)(0) - as_$U$V(y))), negative));
  for (int i = 0; i < $B; ++i) {
    power = select(power, convert_$U$V(power * base), convert_$M$V((e & ($U$V)(1)) != ($U$V)(0)));
    base = convert_$U$V(base * base);
    e = convert_$U$V(e >> ($U$V)(1));
  }
  const $T$V p = as_$T$V(power);
  return select(p, q_div_$T$V(($T$V)(1), p), negative);
}
)",
     {"q_div"}},
    {"q_upow", R"(HELPER $T$V q_upow_$T$V($T$V x, $T$V e) {
  $T$V power = ($T$V)(1);
  for (int i = 0; i < $B; ++i) {
    power = select(power, convert_$T$V(power * x), convert_$M$V((e & ($T$V)(1)) != ($T$V)(0)));
    x = convert_$T$V(x * x);
    e = convert_$T$V(e >> ($T$V)(1));
  }
  return power;
}
)"},
    {"q_max", R"(HELPER $T$V q_max_$T$V($T$V a, $T$V b) {
  return select(select(b, a, convert_$M$V(a > b)), a, convert_$M$V(a != a));
}
)"},
    {"q_eq", R"(HELPER $T$V q_eq_$T$V($T$V a, $T$V b) {
  return select(($T$V)(0), ($T$V)(1), convert_$M$V(a == b));
}
)"},
    // A product under a SUM need not be rounded.
    {"q_fma", R"(HELPER $T$V q_fma_$T$V($T$V a, $T$V b, $T$V c) { return fma(a, b, c); }
)"},
    // Rounds a float to the nearest f16, ties to even, and leaves it a float. Below 2^-14 the spacing is 2^-24: adding
    // 0.5 rounds there.
    {"q_round_f16", R"(HELPER $T$V q_round_f16_$T$V($T$V x) {
  const uint$V bits = as_uint$V(x), magnitude = bits & (uint$V)(0x7fffffffu);
  const uint$V rounded = (magnitude + (uint$V)(0xfffu) + ((magnitude >> (uint$V)(13)) & (uint$V)(1))) & (uint$V)(0xffffe000u);
  const uint$V tiny = as_uint$V((as_float$V(magnitude) + (float$V)(0.5f)) - (float$V)(0.5f));
  uint$V result = select(rounded, tiny, convert_int$V(magnitude < (uint$V)(0x38800000u)));
  result = select(result, (uint$V)(0x7f800000u), convert_int$V(rounded > (uint$V)(0x477fe000u)));
  result = select(result, (uint$V)(0x7fc00000u), convert_int$V(magnitude > (uint$V)(0x7f800000u)));
  return as_float$V(result | (bits & (uint$V)(0x80000000u)));
}
)"},
    {"q_round_bf16", R"(HELPER $T$V q_round_bf16_$T$V($T$V x) {
  const uint$V bits = as_uint$V(x);
  const uint$V rounded = (bits + (uint$V)(0x7fffu) + ((bits >> (uint$V)(16)) & (uint$V)(1))) & (uint$V)(0xffff0000u);
  return as_float$V(select(rounded, (uint$V)(0x7fc00000u), convert_int$V(x != x)));
}
)"},
    // An f64 or i64 as the f32 that rounds to any narrower float as the original would: inexact results get an odd last
    // bit.
    {"q_odd_double", R"(HELPER float$V q_odd_double_$T$V($T$V x) {
  const float$V f = convert_float$V(x);
  const double$V back = convert_double$V(f);
  const int$V inexact = convert_int$V(back != x) & convert_int$V(x == x) & convert_int$V(fabs(x) < (double$V)(1e300));
  const int$V away = convert_int$V(fabs(back) > fabs(x));
  uint$V bits = as_uint$V(f);
  bits = select(bits, bits - (uint$V)(1), away);
  return as_float$V(select(as_uint$V(f), bits | (uint$V)(1), inexact));
}
)"},
    {"q_odd_long", R"(HELPER float$V q_odd_long_$T$V($T$V x) {
  const ulong$V magnitude = as_ulong$V(select(x, -x, convert_long$V(x < (long$V)(0))));
  const ulong$V shift = (ulong$V)(40) - min((ulong$V)(40), as_ulong$V(clz(magnitude)));
  const ulong$V kept = magnitude >> shift;
  const ulong$V sticky = select((ulong$V)(0), (ulong$V)(1), convert_long$V((kept << shift) != magnitude));
  const float$V f = convert_float$V((kept | sticky) << shift);
  return select(f, -f, convert_int$V(x < (long$V)(0)));
}
)"},
    {"q_from_f16", R"(HELPER float$V q_from_f16_$T$V($T$V h) {
  const uint$V bits = convert_uint$V(h), magnitude = (bits & (uint$V)(0x7fffu)) << (uint$V)(13);
  uint$V result = as_uint$V(as_float$V(magnitude) * (float$V)(0x1p112f));
  result |= select((uint$V)(0), (uint$V)(0x7f800000u), convert_int$V(magnitude >= (uint$V)(0x0f800000u)));
  return as_float$V(result | ((bits & (uint$V)(0x8000u)) << (uint$V)(16)));
}
)"},
    // Processors have one instruction for 8 or 16 of them; PoCL uses it in vload_half8 and 16 alone, and takes their
    // pointers for aligned, which a local copy is.
    {"q_vector_from_f16", R"(HELPER float$V q_vector_from_f16_$T$V($T$V h) {
  const $T$V aligned_copy = h;
  return vload_half$V(0, (const __private half*)&aligned_copy);
}
)"},
    {"q_scalar_from_f16", R"(HELPER float q_scalar_from_f16_$T($T h) {
  const $T8 copies = ($T8)(h);
  return vload_half8(0, (const __private half*)&copies).s0;
}
)"},
    {"q_from_bf16", R"(HELPER float$V q_from_bf16_$T$V($T$V h) { return as_float$V(convert_uint$V(h) << (uint$V)(16)); }
)"},
    // Of a float that already is a bf16.
    {"q_to_bf16", R"(HELPER ushort$V q_to_bf16_$T$V($T$V x) { return convert_ushort$V(as_uint$V(x) >> (uint$V)(16)); }
)"},
    // Of a float that already is an f16. Subnormals: the magnitude is a whole number of 2^-24.
    {"q_to_f16", R"(HELPER ushort$V q_to_f16_$T$V($T$V x) {
  const uint$V bits = as_uint$V(x), magnitude = bits & (uint$V)(0x7fffffffu);
  uint$V h = (magnitude - (uint$V)(0x38000000u)) >> (uint$V)(13);
  h = select(h, convert_uint$V(fabs(x) * (float$V)(0x1p24f)), convert_int$V(magnitude < (uint$V)(0x38800000u)));
  h = select(h, (uint$V)(0x7c00u), convert_int$V(magnitude >= (uint$V)(0x7f800000u)));
  h |= select((uint$V)(0), (uint$V)(0x200u), convert_int$V(magnitude > (uint$V)(0x7f800000u)));
  return convert_ushort$V(h | ((bits >> (uint$V)(16)) & (uint$V)(0x8000u)));
}
)"},
    // Truncates and saturates, NaN to 0. Only values in range reach the conversion.
    {"q_to_char", R"(HELPER char$V q_to_char_$T$V($T$V x) {
  x = select(x, ($T$V)(0), convert_$M$V(x != x));
  return convert_char$V(convert_int$V(clamp(x, ($T$V)(-128), ($T$V)(127))));
}
)"},
    {"q_to_uchar", R"(HELPER uchar$V q_to_uchar_$T$V($T$V x) {
  x = select(x, ($T$V)(0), convert_$M$V(x != x));
  return convert_uchar$V(convert_int$V(clamp(x, ($T$V)(0), ($T$V)(255))));
}
)"},
    {"q_to_int", R"(HELPER int$V q_to_int_$T$V($T$V x) {
  const $M$V over = convert_$M$V(x >= ($T$V)(2147483648.0f)), under = convert_$M$V(x < ($T$V)(-2147483648.0f));
  const $M$V outside = over | under | convert_$M$V(x != x);
  int$V r = convert_int$V(select(x, ($T$V)(0), outside));
  r = select(r, (int$V)(2147483647), convert_int$V(over));
  return select(r, (int$V)(-2147483647 - 1), convert_int$V(under));
}
)"},
    {"q_to_long", R"(HELPER long$V q_to_long_$T$V($T$V x) {
  const $M$V over = convert_$M$V(x >= ($T$V)(9223372036854775808.0f)), under = convert_$M$V(x < ($T$V)(-9223372036854775808.0f));
  const $M$V outside = over | under | convert_$M$V(x != x);
  long$V r = convert_long$V(select(x, ($T$V)(0), outside));
  r = select(r, (long$V)(9223372036854775807L), convert_long$V(over));
  return select(r, (long$V)(-9223372036854775807L - 1), convert_long$V(under));
}
)"},
    // exp(x) = 2^n * exp(r), |r| <= ln(2) / 2; polynomial of Cephes; 2^n in two factors, so that results may be
    // subnormal.
    {"q_exp", R"(HELPER $T$V q_exp_$T$V($T$V x) {
  const float$V c = clamp(x, (float$V)(-104.0f), (float$V)(89.0f));
  const float$V n = rint(c * (float$V)(1.44269504f));
  const float$V r = fma(n, (float$V)(2.12194440e-4f), fma(n, (float$V)(-0.693359375f), c));
  float$V p = (float$V)(1.9875691500e-4f);
  p = fma(p, r, (float$V)(1.3981999507e-3f));
  p = fma(p, r, (float$V)(8.3334519073e-3f));
  p = fma(p, r, (float$V)(4.1665795894e-2f));
  p = fma(p, r, (float$V)(1.6666665459e-1f));
  p = fma(p, r, (float$V)(5.0000001201e-1f));
  p = fma(p, r * r, r) + (float$V)(1.0f);
  const int$V whole = convert_int$V(select(n, (float$V)(0), convert_int$V(x != x))), half_of_it = whole >> (int$V)(1);
  const float$V scale = as_float$V((half_of_it + (int$V)(127)) << (int$V)(23));
  const float$V rest = as_float$V((whole - half_of_it + (int$V)(127)) << (int$V)(23));
  return select((p * scale) * rest, x, convert_int$V(x != x));
}
)"},
    // log(x) = e * ln(2) + log(m), m in [sqrt(1/2), sqrt(2)); polynomial of Cephes.
    {"q_log", R"(HELPER $T$V q_log_$T$V($T$V x) {
  const int$V small = convert_int$V(x < (float$V)(0x1p-126f));
  const int$V bits = as_int$V(select(x, x * (float$V)(0x1p23f), small));
  const int$V offset = bits - (int$V)(0x3f3504f3);
  const float$V e = convert_float$V((offset >> (int$V)(23)) - select((int$V)(0), (int$V)(23), small));
  const float$V f = as_float$V((offset & (int$V)(0x007fffff)) + (int$V)(0x3f3504f3)) - (float$V)(1.0f);
  const float$V z = f * f;
  float$V p = (float$V)(7.0376836292e-2f);
  p = fma(p, f, (float$V)(-1.1514610310e-1f));
  p = fma(p, f, (float$V)(1.1676998740e-1f));
  p = fma(p, f, (float$V)(-1.2420140846e-1f));
  p = fma(p, f, (float$V)(1.4249322787e-1f));
  p = fma(p, f, (float$V)(-1.6668057665e-1f));
  p = fma(p, f, (float$V)(2.0000714765e-1f));
  p = fma(p, f, (float$V)(-2.4999993993e-1f));
  p = fma(p, f, (float$V)(3.3333331174e-1f));
  float$V y = fma(f * z, p, e * (float$V)(-2.12194440e-4f));
  y = fma(e, (float$V)(0.693359375f), f + fma((float$V)(-0.5f), z, y));
  y = select(y, x, convert_int$V(x == (float$V)(INFINITY)));
  y = select(y, (float$V)(-INFINITY), convert_int$V(x == (float$V)(0)));
  return select(y, (float$V)(NAN), convert_int$V(x < (float$V)(0)) | convert_int$V(x != x));
}
)"},
    // Of results that are rounded to f16 or bf16: a GPU's own function has bits enough, as 4 ulp of them are 2^-9.
    {"q_exp_narrow",
     R"(HELPER $T$V q_exp_narrow_$T$V($T$V x) { return q_exp_$T$V(x); }
)",
     {"q_exp"}},
    {"q_log_narrow",
     R"(HELPER $T$V q_log_narrow_$T$V($T$V x) { return q_log_$T$V(x); }
)",
     {"q_log"}},
    // exp(x) in f64: as q_exp, with a longer polynomial.
    {"q_dexp", R"(HELPER $T$V q_dexp_$T$V($T$V x) {
  const double$V c = clamp(select(x, (double$V)(0), convert_long$V(x != x)), (double$V)(-746), (double$V)(710));
  const double$V n = rint(c * (double$V)(1.4426950408889634));
  const double$V r = (c - n * (double$V)(6.93147180369123816490e-01)) - n * (double$V)(1.90821492927058770002e-10);
  double$V p = (double$V)(1.0 / 6227020800.0);
  p = p * r + (double$V)(1.0 / 479001600.0);
  p = p * r + (double$V)(1.0 / 39916800.0);
  p = p * r + (double$V)(1.0 / 3628800.0);
  p = p * r + (double$V)(1.0 / 362880.0);
  p = p * r + (double$V)(1.0 / 40320.0);
  p = p * r + (double$V)(1.0 / 5040.0);
  p = p * r + (double$V)(1.0 / 720.0);
  p = p * r + (double$V)(1.0 / 120.0);
  p = p * r + (double$V)(1.0 / 24.0);
  p = p * r + (double$V)(1.0 / 6.0);
  p = p * r + (double$V)(0.5);
  p = (p * (r * r) + r) + (double$V)(1.0);
  const long$V whole = convert_long$V(n), half_of_it = whole >> (long$V)(1);
  const double$V scale = as_double$V((half_of_it + (long$V)(1023)) << (long$V)(52));
  const double$V rest = as_double$V((whole - half_of_it + (long$V)(1023)) << (long$V)(52));
  return select((p * scale) * rest, x, convert_long$V(x != x));
}
)"},
    // log(x) in f64: e * ln(2) + log(1 + f), with s = f / (2 + f) and fdlibm's polynomial in s * s.
    {"q_dlog", R"(HELPER $T$V q_dlog_$T$V($T$V x) {
  const long$V small = convert_long$V(x < (double$V)(0x1p-1022));
  const long$V offset = as_long$V(select(x, x * (double$V)(0x1p54), small)) - (long$V)(0x3fe6a09e667f3bcdL);
  const double$V e = convert_double$V((offset >> (long$V)(52)) - select((long$V)(0), (long$V)(54), small));
  const double$V f = as_double$V((offset & (long$V)(0x000fffffffffffffL)) + (long$V)(0x3fe6a09e667f3bcdL)) - (double$V)(1.0);
  const double$V s = f / (f + (double$V)(2.0)), z = s * s, half_square = (double$V)(0.5) * f * f;
  double$V p = (double$V)(1.479819860511658591e-01);
  p = p * z + (double$V)(1.531383769920937332e-01);
  p = p * z + (double$V)(1.818357216161805012e-01);
  p = p * z + (double$V)(2.222219843214978396e-01);
  p = p * z + (double$V)(2.857142874366239149e-01);
  p = p * z + (double$V)(3.999999999940941908e-01);
  p = p * z + (double$V)(6.666666666666735130e-01);
  const double$V tail = s * (half_square + p * z) + e * (double$V)(1.90821492927058770002e-10);
  double$V y = e * (double$V)(6.93147180369123816490e-01) - ((half_square - tail) - f);
  y = select(y, x, convert_long$V(x == (double$V)(INFINITY)));
  y = select(y, (double$V)(-INFINITY), convert_long$V(x == (double$V)(0)));
  return select(y, (double$V)(NAN), convert_long$V(x < (double$V)(0)) | convert_long$V(x != x));
}
)"},
    // |x|^y = 2^(y log2|x|) in f64, then the cases of C's pow.
    {"q_pow", R"(HELPER $T$V q_pow_$T$V($T$V x, $T$V y) {
  const double$V a = convert_double$V(fabs(x));
  const long$V offset = as_long$V(a) - (long$V)(0x3fe6a09e667f3bcdL);
  const double$V m = as_double$V((offset & (long$V)(0x000fffffffffffffL)) + (long$V)(0x3fe6a09e667f3bcdL));
  const double$V s = (m - (double$V)(1.0)) / (m + (double$V)(1.0)), z = s * s;
  double$V p = (double$V)(1.0 / 17);
  p = p * z + (double$V)(1.0 / 15);
  p = p * z + (double$V)(1.0 / 13);
  p = p * z + (double$V)(1.0 / 11);
  p = p * z + (double$V)(1.0 / 9);
  p = p * z + (double$V)(1.0 / 7);
  p = p * z + (double$V)(1.0 / 5);
  p = p * z + (double$V)(1.0 / 3);
  p = p * z + (double$V)(1.0);
  double$V l = convert_double$V(offset >> (long$V)(52)) + (s * p) * (double$V)(2.8853900817779268);
  l = select(l, (double$V)(-INFINITY), convert_long$V(a == (double$V)(0)));
  l = select(l, (double$V)(INFINITY), convert_long$V(a == (double$V)(INFINITY)));
  const double$V t = l * convert_double$V(y);
  const double$V c = clamp(select(t, (double$V)(0), convert_long$V(t != t)), (double$V)(-1000), (double$V)(1000));
  const double$V n = rint(c), r = (c - n) * (double$V)(0.69314718055994531);
  double$V q = (double$V)(1.0 / 362880);
  q = q * r + (double$V)(1.0 / 40320);
  q = q * r + (double$V)(1.0 / 5040);
  q = q * r + (double$V)(1.0 / 720);
  q = q * r + (double$V)(1.0 / 120);
  q = q * r + (double$V)(1.0 / 24);
  q = q * r + (double$V)(1.0 / 6);
  q = q * r + (double$V)(0.5);
  q = q * r + (double$V)(1.0);
  q = q * r + (double$V)(1.0);
  float$V v = convert_float$V(q * as_double$V((convert_long$V(n) + (long$V)(1023)) << (long$V)(52)));
  const float$V size = fabs(y);
  const int$V whole = convert_int$V(trunc(y) == y);
  const int$V countable = convert_int$V(size < (float$V)(16777216.0f));
  const int$V unit = convert_int$V(select((float$V)(0), size, countable)) & (int$V)(1);
  const int$V odd = whole & convert_int$V(unit != (int$V)(0));
  const int$V negative = convert_int$V(as_int$V(x) < (int$V)(0));
  v = select(v, -v, negative & odd);
  v = select(v, (float$V)(NAN), convert_int$V(x < (float$V)(0)) & convert_int$V(x > (float$V)(-INFINITY)) & convert_int$V(trunc(y) != y));
  v = select(v, (float$V)(1.0f), convert_int$V(x == (float$V)(-1.0f)) & convert_int$V(size == (float$V)(INFINITY)));
  v = select(v, (float$V)(NAN), convert_int$V(x != x) | convert_int$V(y != y));
  v = select(v, x, convert_int$V(y == (float$V)(1.0f)));
  return select(v, (float$V)(1.0f), convert_int$V(y == (float$V)(0)) | convert_int$V(x == (float$V)(1.0f)));
}
)"},
    // The same for f64, with log2|x| and its product with y in two parts (PoCL's vector pow is wrong by whole factors).
    {"q_dpow", R"(HELPER $T$V q_dpow_$T$V($T$V x, $T$V y) {
  const long$V small = convert_long$V(fabs(x) < (double$V)(0x1p-1022));
  const double$V a = select(fabs(x), fabs(x) * (double$V)(0x1p54), small);
  const long$V offset = as_long$V(a) - (long$V)(0x3fe6a09e667f3bcdL);
  const double$V m = as_double$V((offset & (long$V)(0x000fffffffffffffL)) + (long$V)(0x3fe6a09e667f3bcdL));
  const double$V e = convert_double$V((offset >> (long$V)(52)) - select((long$V)(0), (long$V)(54), small));
  const double$V f = m - (double$V)(1.0), d = m + (double$V)(1.0), d_low = (double$V)(1.0) - (d - m);
  const double$V s = f / d, s_low = (fma(-s, d, f) - s * d_low) / d;
  const double$V z = s * s, z_low = fma(s, s, -z) + (double$V)(2.0) * (s * s_low);
  double$V p = (double$V)(1.0 / 23);
  p = p * z + (double$V)(1.0 / 21);
  p = p * z + (double$V)(1.0 / 19);
  p = p * z + (double$V)(1.0 / 17);
  p = p * z + (double$V)(1.0 / 15);
  p = p * z + (double$V)(1.0 / 13);
  p = p * z + (double$V)(1.0 / 11);
  p = p * z + (double$V)(1.0 / 9);
  p = p * z + (double$V)(1.0 / 7);
  p = (p * z + (double$V)(1.0 / 5)) * (z * z);
  // log(m) / 2 = s * (1 + z / 3 + p), the bracket's small part as c + c_low.
  const double$V c = z * (double$V)(0.33333333333333331);
  const double$V c_low = (fma(z, (double$V)(0.33333333333333331), -c) + z * (double$V)(1.850371707708594e-17)) + (z_low * (double$V)(0.33333333333333331) + p);
  const double$V t = s * c, t_low = fma(s, c, -t) + (s * c_low + s_low * c);
  const double$V h = s + t, h_low = (t - (h - s)) + (s_low + t_low);
  // times 2 / ln(2)
  const double$V g = h * (double$V)(2.8853900817779268);
  const double$V g_low = (fma(h, (double$V)(2.8853900817779268), -g) + h * (double$V)(4.0710547481862066e-17)) + h_low * (double$V)(2.8853900817779268);
  double$V l = e + g, l_low = select((g - (l - e)) + g_low, (e - (l - g)) + g_low, convert_long$V(fabs(g) > fabs(e)));
  l = select(l, (double$V)(-INFINITY), convert_long$V(x == (double$V)(0)));
  l = select(l, (double$V)(INFINITY), convert_long$V(fabs(x) == (double$V)(INFINITY)));
  const double$V q = l * y;
  const long$V extreme = convert_long$V(!(fabs(q) < (double$V)(1100.0)));
  const double$V q_low = select(fma(l, y, -q) + l_low * y, (double$V)(0), extreme | convert_long$V(fabs(q) < (double$V)(0x1p-900)));
  const double$V clamped = select(clamp(q, (double$V)(-1100), (double$V)(1100)), (double$V)(0), convert_long$V(q != q));
  const double$V n = rint(clamped), r = ((clamped - n) + q_low) * (double$V)(0.69314718055994531);
  double$V v = (double$V)(1.0 / 6227020800.0);
  v = v * r + (double$V)(1.0 / 479001600.0);
  v = v * r + (double$V)(1.0 / 39916800.0);
  v = v * r + (double$V)(1.0 / 3628800.0);
  v = v * r + (double$V)(1.0 / 362880.0);
  v = v * r + (double$V)(1.0 / 40320.0);
  v = v * r + (double$V)(1.0 / 5040.0);
  v = v * r + (double$V)(1.0 / 720.0);
  v = v * r + (double$V)(1.0 / 120.0);
  v = v * r + (double$V)(1.0 / 24.0);
  v = v * r + (double$V)(1.0 / 6.0);
  v = v * r + (double$V)(0.5);
  v = v * r + (double$V)(1.0);
  v = v * r + (double$V)(1.0);
  const long$V whole_n = convert_long$V(n), half_n = whole_n >> (long$V)(1);
  v = v * as_double$V((half_n + (long$V)(1023)) << (long$V)(52)) * as_double$V((whole_n - half_n + (long$V)(1023)) << (long$V)(52));
  const double$V size = fabs(y);
  const long$V fraction = convert_long$V(trunc(y) != y), countable = convert_long$V(size < (double$V)(9007199254740992.0));
  const long$V unit = convert_long$V(select((double$V)(0), trunc(size), countable)) & (long$V)(1);
  const long$V odd = convert_long$V(unit != (long$V)(0)) & convert_long$V(trunc(y) == y);
  v = select(v, -v, odd & convert_long$V(as_long$V(x) < (long$V)(0)));
  v = select(v, (double$V)(NAN), fraction & convert_long$V(x < (double$V)(0)) & convert_long$V(x > (double$V)(-INFINITY)));
  v = select(v, (double$V)(1.0), convert_long$V(x == (double$V)(-1.0)) & convert_long$V(size == (double$V)(INFINITY)));
  v = select(v, (double$V)(NAN), convert_long$V(x != x) | convert_long$V(y != y));
  v = select(v, x, convert_long$V(y == (double$V)(1.0)));
  return select(v, (double$V)(1.0), convert_long$V(y == (double$V)(0)) | convert_long$V(x == (double$V)(1.0)));
}
)"},
    // pow(x, 0.5): like sqrt, but +0 at -0 and +inf at -inf.
    {"q_root", R"(HELPER $T$V q_root_$T$V($T$V x) {
  return select(sqrt(x + ($T$V)(0)), ($T$V)(INFINITY), convert_$M$V(x == ($T$V)(-INFINITY)));
}
)"},
    // Philox4x32-10: word e mod 4 of the block numbered e / 4.
    {"q_philox", R"(HELPER uint$V q_philox_$T$V($T$V e, uint step, uint stream, ulong seed) {
  uint$V c0 = convert_uint$V(e >> ($T$V)(2)), c1 = convert_uint$V(e >> ($T$V)(34));
  uint$V c2 = (uint$V)(step), c3 = (uint$V)(stream);
  uint k0 = (uint)seed, k1 = (uint)(seed >> 32);
  for (int i = 0; i < 10; ++i) {
    const uint$V high0 = mul_hi((uint$V)(0xd2511f53u), c0), low0 = (uint$V)(0xd2511f53u) * c0;
    const uint$V high1 = mul_hi((uint$V)(0xcd9e8d57u), c2), low1 = (uint$V)(0xcd9e8d57u) * c2;
    c0 = high1 ^ c1 ^ (uint$V)(k0);
    c1 = low1;
    c2 = high0 ^ c3 ^ (uint$V)(k1);
    c3 = low0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  const uint$V word = convert_uint$V(e) & (uint$V)(3);
  const uint$V low = select(c0, c1, convert_int$V(word == (uint$V)(1)));
  const uint$V high = select(c2, c3, convert_int$V(word == (uint$V)(3)));
  return select(low, high, convert_int$V(word > (uint$V)(1)));
}
)"},
};

const Helper& find(std::string_view base) {
  for (const Helper& helper : kHelpers) {
    if (helper.base == base) return helper;
  }
  assert(false && "no such helper");
  return kHelpers[0];
}

std::string_view bits(std::string_view type) {
  const std::string_view mask = mask_type(type);
  if (mask == "char") return "8";
  if (mask == "short") return "16";
  return mask == "int" ? "32" : "64";
}

}  // namespace

std::string vector_type(std::string_view type, int width) {
  return std::string(type) + (width == 1 ? "" : std::to_string(width));
}

std::string_view mask_type(std::string_view type) {
  if (type == "char" || type == "uchar") return "char";
  if (type == "short" || type == "ushort") return "short";
  if (type == "int" || type == "uint" || type == "float") return "int";
  return "long";
}

std::string_view unsigned_type(std::string_view type) {
  const std::string_view mask = mask_type(type);
  if (mask == "char") return "uchar";
  if (mask == "short") return "ushort";
  return mask == "int" ? "uint" : "ulong";
}

std::string instantiate(std::string_view text, std::string_view type, int width) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$') {
      result += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'T':
        result += type;
        break;
      case 'U':
        result += unsigned_type(type);
        break;
      case 'M':
        result += mask_type(type);
        break;
      case 'B':
        result += bits(type);
        break;
      default:
        result += width == 1 ? "" : std::to_string(width);
    }
  }
  return result;
}

std::string Helpers::use(std::string_view base, std::string_view type, int width) {
  std::string name = std::string(base) + "_" + vector_type(type, width);
  if (names_.contains(name)) return name;
  const Helper& helper = find(base);
  const auto natives = text_of(dialect_).natives;
  const auto native =
      std::find_if(natives.begin(), natives.end(), [&](const NativeHelper& n) { return n.base == base; });
  names_.insert(name);
  if (native != natives.end() && native->where.empty()) {
    text_ += instantiate(native->text, type, width);
    return name;
  }
  for (std::string_view needed : helper.needs) {
    if (!needed.empty()) use(needed, type, width);
  }
  const std::string general = instantiate(helper.text, type, width);
  if (native == natives.end()) {
    text_ += general;
  } else {
    text_ += "#if " + std::string(native->where) + "\n" + instantiate(native->text, type, width) + "#else\n" + general +
             "#endif\n";
  }
  return name;
}

std::string Helpers::text() const {
  return text_;
}

}  // namespace quarry::codegen
