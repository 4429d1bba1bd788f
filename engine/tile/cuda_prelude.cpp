#include "engine/tile/print_cuda.h"

namespace quarry::tile {

// Each function is one instruction, or two. `mbarrier`, `cp.async.bulk` and `wgmma` have no other spelling that clang
// and NVRTC share.
const char* const kCudaPrelude = R"(typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef unsigned short u16;
typedef unsigned char u8;
#if defined(__clang__)
#define DEVICE static inline __attribute__((device, always_inline))
#define KERNEL(threads) extern "C" __attribute__((global, launch_bounds(threads, 1))) void
#define SHARED extern __attribute__((shared)) __attribute__((aligned(1024))) u8 shared[]
#else
#define DEVICE static __device__ __forceinline__
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)
#define SHARED extern __shared__ __align__(1024) u8 shared[]
#endif
struct alignas(64) Map { u64 words[16]; };
DEVICE u32 thread_number() { u32 r; asm("mov.u32 %0, %%tid.x;" : "=r"(r)); return r; }
DEVICE u32 block_number() { u32 r; asm("mov.u32 %0, %%ctaid.x;" : "=r"(r)); return r; }
DEVICE u32 blocks() { u32 r; asm("mov.u32 %0, %%nctaid.x;" : "=r"(r)); return r; }
DEVICE u32 shared_address(const void* p) {
  u32 r;
  asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(r) : "l"(p));
  return r;
}
DEVICE void barrier_init(u32 barrier, u32 arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(arrivals) : "memory");
}
DEVICE void barriers_ready() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEVICE void expect(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}
DEVICE void arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}
DEVICE void wait(u32 barrier, u32 parity) {
  asm volatile("{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra D; bra W; D: }"
    :: "r"(barrier), "r"(parity) : "memory");
}
#define LOAD_BOX(rank, coordinates) \
  "cp.async.bulk.tensor." rank "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {" coordinates "}], [%2];"
DEVICE void load_box(u32 to, const Map* map, u32 barrier, int x, int y) {
  asm volatile(LOAD_BOX("2", "%3, %4") :: "r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y) : "memory");
}
DEVICE void load_box(u32 to, const Map* map, u32 barrier, int x, int y, int z) {
  asm volatile(LOAD_BOX("3", "%3, %4, %5") :: "r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z) : "memory");
}
DEVICE void load_box(u32 to, const Map* map, u32 barrier, int x, int y, int z, int u) {
  asm volatile(LOAD_BOX("4", "%3, %4, %5, %6")
    :: "r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(u) : "memory");
}
DEVICE void load_box(u32 to, const Map* map, u32 barrier, int x, int y, int z, int u, int v) {
  asm volatile(LOAD_BOX("5", "%3, %4, %5, %6, %7")
    :: "r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(u), "r"(v) : "memory");
}
#define STORE_BOX(rank, coordinates) \
  "cp.async.bulk.tensor." rank "d.global.shared::cta.tile.bulk_group [%0, {" coordinates "}], [%1]; cp.async.bulk.commit_group;"
DEVICE void store_box(const Map* map, u32 from, int x, int y) {
  asm volatile(STORE_BOX("2", "%2, %3") :: "l"(map), "r"(from), "r"(x), "r"(y) : "memory");
}
DEVICE void store_box(const Map* map, u32 from, int x, int y, int z) {
  asm volatile(STORE_BOX("3", "%2, %3, %4") :: "l"(map), "r"(from), "r"(x), "r"(y), "r"(z) : "memory");
}
DEVICE void store_box(const Map* map, u32 from, int x, int y, int z, int u) {
  asm volatile(STORE_BOX("4", "%2, %3, %4, %5") :: "l"(map), "r"(from), "r"(x), "r"(y), "r"(z), "r"(u) : "memory");
}
DEVICE void store_box(const Map* map, u32 from, int x, int y, int z, int u, int v) {
  asm volatile(STORE_BOX("5", "%2, %3, %4, %5, %6")
    :: "l"(map), "r"(from), "r"(x), "r"(y), "r"(z), "r"(u), "r"(v) : "memory");
}
#define STORE_WAIT_READ(groups) asm volatile("cp.async.bulk.wait_group.read " #groups ";" ::: "memory")
#define STORE_WAIT(groups) asm volatile("cp.async.bulk.wait_group " #groups ";" ::: "memory")
DEVICE void prefetch_map(const Map* map) { asm volatile("prefetch.tensormap [%0];" :: "l"(map) : "memory"); }
DEVICE void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
DEVICE void device_fence() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }
DEVICE void block_sync() { asm volatile("barrier.cta.sync 0;" ::: "memory"); }
DEVICE void group_sync(u32 group) { asm volatile("barrier.cta.sync %0, 128;" :: "r"(group) : "memory"); }
#define REGISTERS_UP(count) asm volatile("setmaxnreg.inc.sync.aligned.u32 " #count ";")
#define REGISTERS_DOWN(count) asm volatile("setmaxnreg.dec.sync.aligned.u32 " #count ";")
DEVICE void mma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void mma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
#define MMA_WAIT(groups) asm volatile("wgmma.wait_group.sync.aligned " #groups ";" ::: "memory")
DEVICE u64 describe(u32 address, u32 leading, u32 stride, u64 swizzle) {
  return (u64)((address & 0x3ffff) >> 4) | (u64)(leading >> 4) << 16 | (u64)(stride >> 4) << 32 | swizzle << 62;
}
DEVICE u32 pack_bf16(float a, float b) {
  u32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a));
  return r;
}
DEVICE u32 pack_f16(float a, float b) {
  u32 r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a));
  return r;
}
DEVICE u16 to_bf16(float a) { u16 r; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(a)); return r; }
DEVICE u16 to_f16(float a) { u16 r; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(a)); return r; }
DEVICE void store_matrices(u32 to, u32 a, u32 b, u32 c, u32 d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
    :: "r"(to), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
DEVICE void store_shared(u32 to, float a, float b) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" :: "r"(to), "f"(a), "f"(b) : "memory");
}
DEVICE void store_shared(u32 to, u32 a) { asm volatile("st.shared.u32 [%0], %1;" :: "r"(to), "r"(a) : "memory"); }
DEVICE u32 load_shared(u32 from) {
  u32 r;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(r) : "r"(from) : "memory");
  return r;
}
DEVICE void store_four(float* to, const float* v) {
  asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};"
    :: "l"(to), "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]) : "memory");
}
DEVICE void add_four(const float* from, float* v) {
  float a, b, c, d;
  asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(a), "=f"(b), "=f"(c), "=f"(d) : "l"(from) : "memory");
  v[0] += a;
  v[1] += b;
  v[2] += c;
  v[3] += d;
}
DEVICE u32 count_up(u32* counter) {
  u32 r;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(r) : "l"(counter) : "memory");
  return r;
}
)";

// Of programs that split f32 numbers. Tiles of 128 x 32 numbers have rows of 128 bytes; a transposed one is boxes of
// 32 x 32 with k down the rows. Planes have rows of 64 bytes, 8,192 bytes each.
const char* const kCudaSplitPrelude = R"(DEVICE void warp_sync() { asm volatile("bar.warp.sync -1;" ::: "memory"); }
DEVICE float low_part(u32 p) {
  float r;
  asm("{ .reg .b32 t; shl.b32 t, %1, 16; mov.b32 %0, t; }" : "=f"(r) : "r"(p));
  return r;
}
DEVICE float high_part(u32 p) {
  float r;
  asm("{ .reg .b32 t; and.b32 t, %1, 0xffff0000; mov.b32 %0, t; }" : "=f"(r) : "r"(p));
  return r;
}
// Adds a set bit to `infinite` where a first part has the exponent of infinities and NaNs.
DEVICE void split(float x, float y, u32& p0, u32& p1, u32& p2, u32& infinite) {
  p0 = pack_bf16(x, y);
  infinite |= ((p0 & 0x7f807f80) + 0x00800080) & 0x80008000;
  const float x1 = x - low_part(p0), y1 = y - high_part(p0);
  p1 = pack_bf16(x1, y1);
  p2 = pack_bf16(x1 - low_part(p1), y1 - high_part(p1));
}
DEVICE void load_four(u32 from, float* v) {
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
    : "=f"(v[0]), "=f"(v[1]), "=f"(v[2]), "=f"(v[3]) : "r"(from) : "memory");
}
DEVICE void load_two(u32 from, float& x, float& y) {
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x), "=f"(y) : "r"(from) : "memory");
}
DEVICE float load_one(u32 from) {
  float v;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(from) : "memory");
  return v;
}
DEVICE u32 transposed_address(u32 raw, u32 row, u32 k) {
  return raw + (row / 32) * 4096 + k * 128 + ((((row & 31) / 4) ^ (k & 7)) << 4) + (row & 3) * 4;
}
template <int TRANSPOSED>
DEVICE void split_row(u32 raw, u32 planes, u32 flag, u32 row, u32 lane) {
  u32 infinite = 0;
#pragma unroll
  for (u32 q = 0; q < 4; ++q) {
    float v[8];
    if (TRANSPOSED) {
#pragma unroll
      for (u32 e = 0; e < 8; ++e) v[e] = load_one(transposed_address(raw, row, 8 * q + e));
    } else {
      load_four(raw + row * 128 + (((2 * q) ^ (row & 7)) << 4), v);
      load_four(raw + row * 128 + (((2 * q + 1) ^ (row & 7)) << 4), v + 4);
    }
    u32 p[3][4];
#pragma unroll
    for (int e = 0; e < 4; ++e) split(v[2 * e], v[2 * e + 1], p[0][e], p[1][e], p[2][e], infinite);
    const u32 to = planes + row * 64 + ((q ^ ((row >> 1) & 3)) << 4);
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};"
        :: "r"(to + i * 8192), "r"(p[i][0]), "r"(p[i][1]), "r"(p[i][2]), "r"(p[i][3]) : "memory");
    }
  }
  u32 any;
  asm volatile("{ .reg .pred q; setp.ne.u32 q, %1, 0; vote.sync.any.pred q, q, -1; selp.u32 %0, 1, 0, q; }"
    : "=r"(any) : "r"(infinite));
  if (lane == 0) store_shared(flag + 16 * (row / 32), any);
}
// The 16 rows of a warp as wgmma takes its left operand from registers: left[part][slice][register].
template <int TRANSPOSED>
DEVICE u32 split_left(u32 raw, u32 row, u32 lane, u32 (&left)[3][2][4]) {
  u32 infinite = 0;
  // Of element e: row + 8 (e & 1), k + 8 (e >> 1). What depends on the thread is the same for all slices.
  const u32 k = 2 * (lane & 3), first = transposed_address(raw, row, k), second = transposed_address(raw, row, k + 1);
  const u32 third = transposed_address(raw, row + 8, k), fourth = transposed_address(raw, row + 8, k + 1);
#pragma unroll
  for (int h = 0; h < 2; ++h) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float x, y;
      if (TRANSPOSED) {
        const u32 down = (16 * h + 8 * (e >> 1)) * 128;
        x = load_one((e & 1 ? third : first) + down);
        y = load_one((e & 1 ? fourth : second) + down);
      } else {
        load_two(raw + row * 128 + (e & 1) * 1024 + (((4 * h + 2 * (e >> 1) + ((lane & 3) >> 1)) ^ (row & 7)) << 4) +
                     (lane & 1) * 8, x, y);
      }
      split(x, y, left[0][h][e], left[1][h][e], left[2][h][e], infinite);
    }
  }
  return infinite;
}
// Whether it is so in any thread of the warpgroup: wgmma asks that all four warps go the same way.
DEVICE bool any_of_group(u32 group, bool here) {
  u32 r;
  asm volatile("{ .reg .pred p, q; setp.ne.u32 p, %1, 0; barrier.cta.red.or.pred q, %2, 128, p; selp.u32 %0, 1, 0, q; }"
    : "=r"(r) : "r"((u32)here), "r"(group) : "memory");
  return r != 0;
}
#define PRODUCT(i, j) \
  _Pragma("unroll") for (int h = 0; h < 2; ++h) { \
    mma_left(sum, left[i][h], describe(planes + j * 8192 + 32 * h, 512, 512, 2), keep); \
    keep = 1; \
  }
#define CORRECTIONS PRODUCT(2, 0) PRODUCT(0, 2) PRODUCT(1, 1) PRODUCT(1, 0) PRODUCT(0, 1)
#define SIX_PRODUCTS(count) \
  DEVICE void six_products(float* sum, const u32 (&left)[3][2][4], u32 planes, u32 flags, u32 infinite, u32 group) { \
    const u32 noted = load_shared(flags) | load_shared(flags + 16) | load_shared(flags + 32) | load_shared(flags + 48); \
    const bool odd = any_of_group(group, (infinite | noted) != 0); \
    int keep = 0; \
    if (odd) { \
      mma_fence(); \
      CORRECTIONS \
      mma_commit(); \
      MMA_WAIT(0); \
      _Pragma("unroll") for (int i = 0; i < count; ++i) if (!(sum[i] - sum[i] == 0.0f)) sum[i] = 0; \
      mma_fence(); \
      PRODUCT(0, 0) \
      mma_commit(); \
      MMA_WAIT(0); \
      return; \
    } \
    mma_fence(); \
    CORRECTIONS \
    PRODUCT(0, 0) \
    mma_commit(); \
    MMA_WAIT(0); \
  }
)";

}  // namespace quarry::tile
