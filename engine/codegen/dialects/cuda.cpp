// For clang (-x cuda, no headers, no libdevice) and NVRTC alike. What the two call differently, and what clang has only
// in libdevice, is written as PTX. Compile with contraction off: -ffp-contract=off, --fmad=false.
#include <string>

#include "engine/codegen/dialects/dialect.h"

namespace quarry::codegen {

namespace {

constexpr std::string_view kWords = R"(#if defined(__clang__)
#define KERNEL(items) extern "C" __attribute__((global, launch_bounds(items))) void
#define HELPER static inline __attribute__((device, always_inline))
#define SHARED static __attribute__((shared))
#else
#define KERNEL(items) extern "C" __global__ void __launch_bounds__(items)
#define HELPER static __device__ __forceinline__
#define SHARED __shared__
#endif
#define GLOBAL
#define RESTRICT __restrict__
#define GRID_ITEM(items) ((ulong)(first_group + q_group_number()) * items + q_group_item())
#define GROUP_ITEM q_group_item()
#define SYNCHRONISE q_synchronise()
#define LOOP _Pragma("unroll 4") for
#define WORDS2 q_words2
#define WORDS4 q_words4
#define LOAD_WORDS1(p) q_load_words1(p)
#define LOAD_WORDS2(p) q_load_words2(p)
#define LOAD_WORDS4(p) q_load_words4(p)
#define STORE_WORDS1(p, a) q_store_words1(p, a)
#define STORE_WORDS2(p, a, b) q_store_words2(p, a, b)
#define STORE_WORDS4(p, a, b, c, d) q_store_words4(p, a, b, c, d)
#define SHUFFLE_XOR(x, mask) q_shuffle_xor(x, mask)
)";

constexpr std::string_view kFunctions =
    R"(HELPER uint q_group_item() { uint r; asm("mov.u32 %0, %%tid.x;" : "=r"(r)); return r; }
HELPER uint q_group_number() { uint r; asm("mov.u32 %0, %%ctaid.x;" : "=r"(r)); return r; }
HELPER void q_synchronise() { asm volatile("bar.sync 0;" ::: "memory"); }
HELPER uint q_exchange(uint x, int mask) {
  uint r;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(r) : "r"(x), "r"(mask));
  return r;
}
struct q_words2 { uint x, y; };
struct q_words4 { uint x, y, z, w; };
HELPER uint q_load_words1(const void* p) { uint r; asm("ld.global.nc.b32 %0, [%1];" : "=r"(r) : "l"(p)); return r; }
HELPER q_words2 q_load_words2(const void* p) {
  q_words2 r;
  asm("ld.global.nc.v2.b32 {%0, %1}, [%2];" : "=r"(r.x), "=r"(r.y) : "l"(p));
  return r;
}
HELPER q_words4 q_load_words4(const void* p) {
  q_words4 r;
  asm("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "l"(p));
  return r;
}
HELPER void q_store_words1(void* p, uint a) { asm volatile("st.global.b32 [%0], %1;" ::"l"(p), "r"(a)); }
HELPER void q_store_words2(void* p, uint a, uint b) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(p), "r"(a), "r"(b));
}
HELPER void q_store_words4(void* p, uint a, uint b, uint c, uint d) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(a), "r"(b), "r"(c), "r"(d));
}
HELPER float q_magnitude_of(float x) { float r; asm("abs.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
HELPER double q_magnitude_of(double x) { double r; asm("abs.f64 %0, %1;" : "=d"(r) : "d"(x)); return r; }
HELPER float q_nearest_even(float x) { float r; asm("cvt.rni.f32.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
HELPER double q_nearest_even(double x) { double r; asm("cvt.rni.f64.f64 %0, %1;" : "=d"(r) : "d"(x)); return r; }
HELPER float q_toward_zero(float x) { float r; asm("cvt.rzi.f32.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
HELPER double q_toward_zero(double x) { double r; asm("cvt.rzi.f64.f64 %0, %1;" : "=d"(r) : "d"(x)); return r; }
HELPER float q_square_root(float x) { float r; asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
HELPER double q_square_root(double x) { double r; asm("sqrt.rn.f64 %0, %1;" : "=d"(r) : "d"(x)); return r; }
HELPER float q_multiply_add(float a, float b, float c) {
  float r;
  asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(a), "f"(b), "f"(c));
  return r;
}
HELPER double q_multiply_add(double a, double b, double c) {
  double r;
  asm("fma.rn.f64 %0, %1, %2, %3;" : "=d"(r) : "d"(a), "d"(b), "d"(c));
  return r;
}
HELPER float q_clamped(float x, float low, float high) {
  float r;
  asm("max.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(low));
  asm("min.f32 %0, %1, %2;" : "=f"(r) : "f"(r), "f"(high));
  return r;
}
HELPER double q_clamped(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
HELPER uint q_high_product(uint a, uint b) { return (uint)(((ulong)a * b) >> 32); }
HELPER ulong q_leading_zeros(ulong x) { uint r; asm("clz.b64 %0, %1;" : "=r"(r) : "l"(x)); return r; }
)";

constexpr std::string_view kSince80 = "__CUDA_ARCH__ >= 800";

constexpr NativeHelper kNatives[] = {
    {"q_round_f16", "",
     R"(HELPER float q_round_f16_$T($T x) {
  float r;
  asm("{ .reg .b16 h; cvt.rn.f16.f32 h, %1; cvt.f32.f16 %0, h; }" : "=f"(r) : "f"(x));
  return r;
}
)"},
    {"q_from_f16", "",
     R"(HELPER float q_from_f16_$T($T h) { float r; asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h)); return r; }
)"},
    {"q_to_f16", "",
     R"(HELPER ushort q_to_f16_$T($T x) { ushort h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
)"},
    {"q_round_bf16", kSince80,
     R"(HELPER float q_round_bf16_$T($T x) {
  uint pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(x), "f"(0.0f));
  return as_float(pair);
}
)"},
    {"q_exp_narrow", "",
     R"(HELPER float q_exp_narrow_$T($T x) { float r; asm("ex2.approx.f32 %0, %1;" : "=f"(r) : "f"(x * 1.44269504f)); return r; }
)"},
    {"q_log_narrow", "",
     R"(HELPER float q_log_narrow_$T($T x) { float r; asm("lg2.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r * 0.693147181f; }
)"},
};

}  // namespace

DialectText cuda_text() {
  static const std::string prelude =
      std::string(kWords) + std::string(kScalarFunctions) + std::string(kFunctions) + std::string(kExchanges);
  return {.prelude = prelude, .natives = kNatives, .has_first_group = true};
}

}  // namespace quarry::codegen
