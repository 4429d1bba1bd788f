#include "engine/codegen/dialects/dialect.h"

namespace quarry::codegen {

const DialectText& text_of(Dialect dialect) {
  static const DialectText kTexts[] = {opencl_text(), cuda_text(), hip_text()};
  return kTexts[static_cast<int>(dialect)];
}

// `char` is signed in OpenCL C; in C++ it is what the host's is. A function of a compiler's own library keeps its name:
// ours is behind a macro.
const std::string_view kScalarFunctions = R"(typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
#define char signed char
template <class To, class From> HELPER To q_as_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "as_bits keeps the size");
  union { From from; To to; } bits;
  bits.from = from;
  return bits.to;
}
template <class T, class U, class M> HELPER T q_chosen(T a, U b, M mask) { return mask ? (T)b : a; }
template <class T> HELPER T q_least(T a, T b) { return b < a ? b : a; }
template <class T> HELPER T q_greatest(T a, T b) { return a < b ? b : a; }
#define as_char q_as_bits<char>
#define as_uchar q_as_bits<uchar>
#define as_short q_as_bits<short>
#define as_ushort q_as_bits<ushort>
#define as_int q_as_bits<int>
#define as_uint q_as_bits<uint>
#define as_long q_as_bits<long>
#define as_ulong q_as_bits<ulong>
#define as_float q_as_bits<float>
#define as_double q_as_bits<double>
#define convert_char (char)
#define convert_uchar (uchar)
#define convert_short (short)
#define convert_ushort (ushort)
#define convert_int (int)
#define convert_uint (uint)
#define convert_long (long)
#define convert_ulong (ulong)
#define convert_float (float)
#define convert_double (double)
#define select(a, b, mask) q_chosen(a, b, mask)
#define min(a, b) q_least(a, b)
#define max(a, b) q_greatest(a, b)
#define clamp(x, low, high) q_clamped(x, low, high)
#define fabs(x) q_magnitude_of(x)
#define rint(x) q_nearest_even(x)
#define trunc(x) q_toward_zero(x)
#define sqrt(x) q_square_root(x)
#define fma(a, b, c) q_multiply_add(a, b, c)
#define mul_hi(a, b) q_high_product(a, b)
#define clz(x) q_leading_zeros(x)
#undef INFINITY
#undef NAN
#define INFINITY as_float(0x7f800000u)
#define NAN as_float(0x7fc00000u)
)";

const std::string_view kExchanges =
    R"(HELPER int q_shuffle_xor(int x, int mask) { return (int)q_exchange((uint)x, mask); }
HELPER float q_shuffle_xor(float x, int mask) { return as_float(q_exchange(as_uint(x), mask)); }
HELPER uchar q_shuffle_xor(uchar x, int mask) { return (uchar)q_exchange(x, mask); }
HELPER char q_shuffle_xor(char x, int mask) { return (char)q_exchange((uint)x, mask); }
HELPER long q_shuffle_xor(long x, int mask) {
  const ulong low = q_exchange((uint)x, mask), high = q_exchange((uint)((ulong)x >> 32), mask);
  return (long)(low | high << 32);
}
HELPER double q_shuffle_xor(double x, int mask) { return as_double(q_shuffle_xor(as_long(x), mask)); }
)";

}  // namespace quarry::codegen
