#include "engine/codegen/dialects/dialect.h"

namespace quarry::codegen {

DialectText opencl_text() {
  return {.prelude = R"(#pragma OPENCL FP_CONTRACT OFF
#if defined(cl_khr_fp64)
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#define KERNEL(items) __kernel __attribute__((reqd_work_group_size(items, 1, 1))) void
#define HELPER static
#define GLOBAL __global
#define SHARED __local
#define RESTRICT restrict
#define GRID_ITEM(items) get_global_id(0)
#define GROUP_ITEM get_local_id(0)
#define SYNCHRONISE barrier(CLK_LOCAL_MEM_FENCE)
#define LOOP for
#define WORDS2 uint2
#define WORDS4 uint4
#define LOAD_WORDS1(p) (*(__global const uint*)(p))
#define LOAD_WORDS2(p) (*(__global const uint2*)(p))
#define LOAD_WORDS4(p) (*(__global const uint4*)(p))
#define STORE_WORDS1(p, a) *(__global uint*)(p) = (a)
#define STORE_WORDS2(p, a, b) *(__global uint2*)(p) = (uint2)(a, b)
#define STORE_WORDS4(p, a, b, c, d) *(__global uint4*)(p) = (uint4)(a, b, c, d)
)",
          .natives = {},
          .has_first_group = false};
}

}  // namespace quarry::codegen
