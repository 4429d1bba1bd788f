DEVICE void mma_n128_nt(float* d, u64 a, u64 b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, 1, 1, 1, 0, 1;"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]) : "l"(a), "l"(b));
}
KERNEL(256) contraction(const Map* maps, int first_tile, int end_tile, int count1, int count2, int count4, int count6) {
  SHARED;
  const u32 base = (shared_address(shared) + 1023) & ~1023u;
  const u32 thread = thread_number(), lane = thread & 31, warp = thread / 32 & 3, group = thread / 128;
  if (thread == 0) {
    prefetch_map(maps + 0);
    prefetch_map(maps + 1);
    prefetch_map(maps + 2);
    for (int i = 0; i < 4; ++i) {
      barrier_init(base + 114688 + 16 * i, 1);
      barrier_init(base + 114696 + 16 * i, 4);
    }
    barriers_ready();
  }
  block_sync();
  if (group < 1) {
    int s0 = 0;
    u32 phase0 = 0, held0 = 0;
    if (thread == 0) {
      for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
        const int r0 = tile / (count1 * count2);
        const int flat = tile % (count1 * count2);
        const int band = flat / (16 * count2), within = flat % (16 * count2);
        const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
        const int r1 = band * 16 + within % rows, r2 = within / rows;
        for (int r4 = 0; r4 < count4; ++r4) {
          wait(base + 114696 + 16 * s0, phase0 ^ 1);
          expect(base + 114688 + 16 * s0, 24576);
          load_box(base + 0 + s0 * 8192, maps + 0, base + 114688 + 16 * s0, 0, (r1 * 64), r0);
          load_box(base + 32768 + s0 * 16384, maps + 1, base + 114688 + 16 * s0, 0, 0, r0);
          load_box(base + 32768 + s0 * 16384 + 8192, maps + 1, base + 114688 + 16 * s0, 64, 0, r0);
          held0 = base + 114696 + 16 * s0;
          if (++s0 == 4) {
            s0 = 0;
            phase0 ^= 1;
          }
        }
      }
    }
  }
  if (group >= 1 && group < 2) {
    const int r5 = group - 1;
    int s0 = 0;
    u32 phase0 = 0, held0 = 0;
    float c[64];
    for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
      const int r0 = tile / (count1 * count2);
      const int flat = tile % (count1 * count2);
      const int band = flat / (16 * count2), within = flat % (16 * count2);
      const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
      const int r1 = band * 16 + within % rows, r2 = within / rows;
      #pragma unroll
      for (int i = 0; i < 64; ++i) c[i] = 0;
      for (int r6 = 0; r6 < count6; ++r6) {
        wait(base + 114688 + 16 * s0, phase0);
        mma_fence();
        mma_n128_nt(c, describe(base + 0 + s0 * 8192, 8192, 1024, 1), describe(base + 32768 + s0 * 16384, 8192, 1024, 1));
        mma_n128_nt(c, describe(base + 0 + s0 * 8192 + 1 * 32, 8192, 1024, 1), describe(base + 32768 + s0 * 16384 + 1 * 2048, 8192, 1024, 1));
        mma_n128_nt(c, describe(base + 0 + s0 * 8192 + 2 * 32, 8192, 1024, 1), describe(base + 32768 + s0 * 16384 + 2 * 2048, 8192, 1024, 1));
        mma_n128_nt(c, describe(base + 0 + s0 * 8192 + 3 * 32, 8192, 1024, 1), describe(base + 32768 + s0 * 16384 + 3 * 2048, 8192, 1024, 1));
        mma_commit();
        MMA_WAIT(1);
        if (r6 > 0 && lane == 0) arrive(held0);
        held0 = base + 114696 + 16 * s0;
        if (++s0 == 4) {
          s0 = 0;
          phase0 ^= 1;
        }
      }
      MMA_WAIT(0);
      if (lane == 0) arrive(held0);
      #pragma unroll
      for (int r7 = 0; r7 < 2; ++r7) {
        if ((thread & 127) == 0) STORE_WAIT_READ(1);
        group_sync(group);
         {
          const u32 row = 16 * warp + (lane & 15), to = base + 98304 + r7 * 8192 + row * 128;
          #pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int e = (r7 * 64) / 2 + 8 * i;
            store_matrices(to + (((2 * i + (lane >> 4)) ^ (row & 7)) << 4), pack_bf16(c[e + 0], c[e + 1]), pack_bf16(c[e + 2], c[e + 3]), pack_bf16(c[e + 4], c[e + 5]), pack_bf16(c[e + 6], c[e + 7]));
          }
        }
        proxy_fence();
        group_sync(group);
        if ((thread & 127) == 0) store_box(maps + 2, base + 98304 + r7 * 8192, (r7 * 64), (r1 * 64), r0);
      }
    }
    if ((thread & 127) == 0) STORE_WAIT(0);
  }
}
