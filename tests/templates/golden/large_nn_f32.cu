DEVICE void mma_left(float* d, const u32* a, u64 b, int keep) {
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, {%64, %65, %66, %67}, %68, p, 1, 1, 0; }"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(keep));
}
SIX_PRODUCTS(64)
KERNEL(512) contraction(const Map* maps, int first_tile, int end_tile, int count1, int count2, int count4, int count5, int count7) {
  SHARED;
  const u32 base = (shared_address(shared) + 1023) & ~1023u;
  const u32 thread = thread_number(), lane = thread & 31, warp = thread / 32 & 3, group = thread / 128;
  if (thread == 0) {
    prefetch_map(maps + 0);
    prefetch_map(maps + 1);
    prefetch_map(maps + 2);
    for (int i = 0; i < 4; ++i) {
      barrier_init(base + 230400 + 16 * i, 1);
      barrier_init(base + 230408 + 16 * i, 8);
    }
    for (int i = 0; i < 3; ++i) {
      barrier_init(base + 230464 + 16 * i, 1);
      barrier_init(base + 230472 + 16 * i, 4);
    }
    for (int i = 0; i < 4; ++i) {
      barrier_init(base + 230512 + 16 * i, 4);
      barrier_init(base + 230520 + 16 * i, 8);
    }
    barriers_ready();
  }
  block_sync();
  if (group < 1) {
    REGISTERS_DOWN(24);
    int s0 = 0;
    u32 phase0 = 0, held0 = 0;
    int s1 = 0;
    u32 phase1 = 0, held1 = 0;
    int s2 = 0;
    u32 phase2 = 0, held2 = 0;
    if (thread == 0) {
      for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
        const int band = tile / (16 * count2), within = tile % (16 * count2);
        const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
        const int r1 = band * 16 + within % rows, r2 = within / rows;
        for (int r4 = 0; r4 < count4; ++r4) {
          wait(base + 230408 + 16 * s0, phase0 ^ 1);
          expect(base + 230400 + 16 * s0, 16384);
          load_box(base + 0 + s0 * 16384, maps + 0, base + 230400 + 16 * s0, (r4 * 32), (r1 * 128));
          held0 = base + 230408 + 16 * s0;
          if (++s0 == 4) {
            s0 = 0;
            phase0 ^= 1;
          }
        }
      }
    }
    if (thread == 32) {
      for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
        const int band = tile / (16 * count2), within = tile % (16 * count2);
        const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
        const int r1 = band * 16 + within % rows, r2 = within / rows;
        for (int r4 = 0; r4 < count4; ++r4) {
          wait(base + 230472 + 16 * s1, phase1 ^ 1);
          expect(base + 230464 + 16 * s1, 16384);
          load_box(base + 65536 + s1 * 16384, maps + 1, base + 230464 + 16 * s1, (r2 * 128), (r4 * 32));
          load_box(base + 65536 + s1 * 16384 + 4096, maps + 1, base + 230464 + 16 * s1, (r2 * 128 + 32), (r4 * 32));
          load_box(base + 65536 + s1 * 16384 + 8192, maps + 1, base + 230464 + 16 * s1, (r2 * 128 + 64), (r4 * 32));
          load_box(base + 65536 + s1 * 16384 + 12288, maps + 1, base + 230464 + 16 * s1, (r2 * 128 + 96), (r4 * 32));
          held1 = base + 230472 + 16 * s1;
          if (++s1 == 3) {
            s1 = 0;
            phase1 ^= 1;
          }
        }
      }
    }
  }
  if (group >= 1 && group < 2) {
    REGISTERS_DOWN(88);
    int s0 = 0;
    u32 phase0 = 0, held0 = 0;
    int s1 = 0;
    u32 phase1 = 0, held1 = 0;
    int s2 = 0;
    u32 phase2 = 0, held2 = 0;
    for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
      const int band = tile / (16 * count2), within = tile % (16 * count2);
      const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
      const int r1 = band * 16 + within % rows, r2 = within / rows;
      for (int r5 = 0; r5 < count5; ++r5) {
        wait(base + 230464 + 16 * s1, phase1);
        wait(base + 230520 + 16 * s2, phase2 ^ 1);
        split_row<1>(base + 65536 + s1 * 16384, base + 114688 + s2 * 24576, base + 212992 + s2 * 64, thread & 127, lane);
        proxy_fence();
        warp_sync();
        if (lane == 0) arrive(base + 230512 + 16 * s2);
        held2 = base + 230520 + 16 * s2;
        if (++s2 == 4) {
          s2 = 0;
          phase2 ^= 1;
        }
        proxy_fence();
        warp_sync();
        if (lane == 0) arrive(base + 230472 + 16 * s1);
        held1 = base + 230472 + 16 * s1;
        if (++s1 == 3) {
          s1 = 0;
          phase1 ^= 1;
        }
      }
    }
  }
  if (group >= 2 && group < 4) {
    REGISTERS_UP(200);
    const int r6 = group - 2;
    int s0 = 0;
    u32 phase0 = 0, held0 = 0;
    int s1 = 0;
    u32 phase1 = 0, held1 = 0;
    int s2 = 0;
    u32 phase2 = 0, held2 = 0;
    float c[64];
    float stage_sum[64];
    for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
      const int band = tile / (16 * count2), within = tile % (16 * count2);
      const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
      const int r1 = band * 16 + within % rows, r2 = within / rows;
      #pragma unroll
      for (int i = 0; i < 64; ++i) c[i] = 0;
      for (int r7 = 0; r7 < count7; ++r7) {
        wait(base + 230400 + 16 * s0, phase0);
        u32 left[3][2][4];
        const u32 infinite = split_left<0>(base + 0 + s0 * 16384, (r6 * 64) + 16 * warp + lane / 4, lane, left);
        wait(base + 230512 + 16 * s2, phase2);
        six_products(stage_sum, left, base + 114688 + s2 * 24576, base + 212992 + s2 * 64, infinite, group);
        proxy_fence();
        warp_sync();
        if (lane == 0) arrive(base + 230520 + 16 * s2);
        held2 = base + 230520 + 16 * s2;
        if (++s2 == 4) {
          s2 = 0;
          phase2 ^= 1;
        }
        proxy_fence();
        warp_sync();
        if (lane == 0) arrive(base + 230408 + 16 * s0);
        held0 = base + 230408 + 16 * s0;
        if (++s0 == 4) {
          s0 = 0;
          phase0 ^= 1;
        }
        #pragma unroll
        for (int i = 0; i < 64; ++i) c[i] += stage_sum[i];
      }
      #pragma unroll
      for (int r8 = 0; r8 < 4; ++r8) {
        if ((thread & 127) == 0) STORE_WAIT_READ(0);
        group_sync(group);
         {
          const u32 row = 16 * warp + lane / 4, to = base + 214016 + r6 * 8192 + row * 128;
          #pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int e = (r8 * 32) / 2 + 4 * i;
            const u32 at = to + (((2 * i + ((lane & 3) >> 1)) ^ (row & 7)) << 4) + (lane & 1) * 8;
            store_shared(at, c[e + 0], c[e + 1]);
            store_shared(at + 1024, c[e + 2], c[e + 3]);
          }
        }
        proxy_fence();
        group_sync(group);
        if ((thread & 127) == 0) store_box(maps + 2, base + 214016 + r6 * 8192, (r2 * 128 + r8 * 32), (r1 * 128 + r6 * 64));
      }
    }
    if ((thread & 127) == 0) STORE_WAIT(0);
  }
}
