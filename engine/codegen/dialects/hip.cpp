// For clang (-x hip, no headers, no device libraries). Compile with contraction off: -ffp-contract=off.
#include <string>

#include "engine/codegen/dialects/dialect.h"

namespace quarry::codegen {

namespace {

constexpr std::string_view kWords =
    R"(#define KERNEL(items) extern "C" __attribute__((global, amdgpu_flat_work_group_size(items, items))) void
#define HELPER static inline __attribute__((device, always_inline))
#define SHARED static __attribute__((shared))
#define GLOBAL
#define RESTRICT __restrict__
#define GRID_ITEM(items) ((ulong)(first_group + __builtin_amdgcn_workgroup_id_x()) * items + q_group_item())
#define GROUP_ITEM q_group_item()
#define SYNCHRONISE q_synchronise()
#define LOOP _Pragma("nounroll") for
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

constexpr std::string_view kFunctions = R"(HELPER uint q_group_item() { return __builtin_amdgcn_workitem_id_x(); }
HELPER void q_synchronise() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
HELPER uint q_exchange(uint x, int mask) {
  const int lane = __builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0u));
  return (uint)__builtin_amdgcn_ds_bpermute((lane ^ mask) << 2, (int)x);
}
typedef uint q_words2 __attribute__((ext_vector_type(2)));
typedef uint q_words4 __attribute__((ext_vector_type(4)));
HELPER uint q_load_words1(const void* p) { return *(const uint*)p; }
HELPER q_words2 q_load_words2(const void* p) { return *(const q_words2*)p; }
HELPER q_words4 q_load_words4(const void* p) { return *(const q_words4*)p; }
HELPER void q_store_words1(void* p, uint a) { *(uint*)p = a; }
HELPER void q_store_words2(void* p, uint a, uint b) { *(q_words2*)p = q_words2{a, b}; }
HELPER void q_store_words4(void* p, uint a, uint b, uint c, uint d) { *(q_words4*)p = q_words4{a, b, c, d}; }
HELPER float q_magnitude_of(float x) { return __builtin_fabsf(x); }
HELPER double q_magnitude_of(double x) { return __builtin_fabs(x); }
HELPER float q_nearest_even(float x) { return __builtin_rintf(x); }
HELPER double q_nearest_even(double x) { return __builtin_rint(x); }
HELPER float q_toward_zero(float x) { return __builtin_truncf(x); }
HELPER double q_toward_zero(double x) { return __builtin_trunc(x); }
HELPER float q_square_root(float x) { return __builtin_sqrtf(x); }
HELPER double q_square_root(double x) { return __builtin_sqrt(x); }
HELPER float q_multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
HELPER double q_multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }
HELPER float q_clamped(float x, float low, float high) { return __builtin_fminf(__builtin_fmaxf(x, low), high); }
HELPER double q_clamped(double x, double low, double high) { return __builtin_fmin(__builtin_fmax(x, low), high); }
HELPER uint q_high_product(uint a, uint b) { return (uint)(((ulong)a * b) >> 32); }
HELPER ulong q_leading_zeros(ulong x) { return x == 0 ? 64 : (ulong)__builtin_clzl(x); }
)";

constexpr NativeHelper kNatives[] = {
    {"q_exp_narrow", "", R"(HELPER float q_exp_narrow_$T($T x) { return __builtin_exp2f(x * 1.44269504f); }
)"},
    {"q_log_narrow", "", R"(HELPER float q_log_narrow_$T($T x) { return __builtin_log2f(x) * 0.693147181f; }
)"},
    {"q_round_f16", "", R"(HELPER float q_round_f16_$T($T x) { return (float)(_Float16)x; }
)"},
    {"q_from_f16", "", R"(HELPER float q_from_f16_$T($T h) { return (float)q_as_bits<_Float16>(h); }
)"},
    {"q_to_f16", "", R"(HELPER ushort q_to_f16_$T($T x) { return q_as_bits<ushort>((_Float16)x); }
)"},
};

}  // namespace

DialectText hip_text() {
  static const std::string prelude =
      std::string(kWords) + std::string(kScalarFunctions) + std::string(kFunctions) + std::string(kExchanges);
  return {.prelude = prelude, .natives = kNatives, .has_first_group = true};
}

}  // namespace quarry::codegen
