DEVICE void mma_n16_nn(float* d, u64 a, u64 b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7}, %8, %9, 1, 1, 1, 0, 0;"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]) : "l"(a), "l"(b));
}
KERNEL(384) contraction(const Map* maps, u16* result, i64 result_offset, u8* workspace, i64 workspace_offset, u32* counters, int first_tile, int end_tile, int count1, int count2, int count4, int count6) {
  result += result_offset;
  workspace += workspace_offset;
  SHARED;
  const u32 base = (shared_address(shared) + 1023) & ~1023u;
  const u32 thread = thread_number(), lane = thread & 31, warp = thread / 32 & 3, group = thread / 128;
  if (thread == 0) {
    prefetch_map(maps + 0);
    prefetch_map(maps + 1);
    for (int i = 0; i < 8; ++i) {
      barrier_init(base + 147456 + 16 * i, 1);
      barrier_init(base + 147464 + 16 * i, 8);
    }
    barriers_ready();
  }
  block_sync();
  if (group < 1) {
    REGISTERS_DOWN(40);
    int s0 = 0;
    u32 phase0 = 0, held0 = 0;
    if (thread == 0) {
      for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
        const int r3 = tile % 4;
        const int whole = tile / 4;
        const int band = whole / (16 * count2), within = whole % (16 * count2);
        const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
        const int r1 = band * 16 + within % rows, r2 = within / rows;
        for (int r4 = 0; r4 < count4; ++r4) {
          wait(base + 147464 + 16 * s0, phase0 ^ 1);
          expect(base + 147456 + 16 * s0, 18432);
          load_box(base + 0 + s0 * 16384, maps + 0, base + 147456 + 16 * s0, (r3 * 1024 + r4 * 64), (r1 * 128));
          load_box(base + 131072 + s0 * 2048, maps + 1, base + 147456 + 16 * s0, (r3 * 1024 + r4 * 64), 0);
          held0 = base + 147464 + 16 * s0;
          if (++s0 == 8) {
            s0 = 0;
            phase0 ^= 1;
          }
        }
      }
    }
  }
  if (group >= 1 && group < 3) {
    REGISTERS_UP(232);
    const int r5 = group - 1;
    int s0 = 0;
    u32 phase0 = 0, held0 = 0;
    float c[8];
    for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks()) {
      const int r3 = tile % 4;
      const int whole = tile / 4;
      const int band = whole / (16 * count2), within = whole % (16 * count2);
      const int left_rows = count1 - band * 16, rows = left_rows < 16 ? left_rows : 16;
      const int r1 = band * 16 + within % rows, r2 = within / rows;
      #pragma unroll
      for (int i = 0; i < 8; ++i) c[i] = 0;
      for (int r6 = 0; r6 < count6; ++r6) {
        wait(base + 147456 + 16 * s0, phase0);
        mma_fence();
        mma_n16_nn(c, describe(base + 0 + s0 * 16384 + (r5 * 64) * 128, 8192, 1024, 1), describe(base + 131072 + s0 * 2048, 8192, 1024, 1));
        mma_n16_nn(c, describe(base + 0 + s0 * 16384 + (r5 * 64) * 128 + 1 * 32, 8192, 1024, 1), describe(base + 131072 + s0 * 2048 + 1 * 32, 8192, 1024, 1));
        mma_n16_nn(c, describe(base + 0 + s0 * 16384 + (r5 * 64) * 128 + 2 * 32, 8192, 1024, 1), describe(base + 131072 + s0 * 2048 + 2 * 32, 8192, 1024, 1));
        mma_n16_nn(c, describe(base + 0 + s0 * 16384 + (r5 * 64) * 128 + 3 * 32, 8192, 1024, 1), describe(base + 131072 + s0 * 2048 + 3 * 32, 8192, 1024, 1));
        mma_commit();
        MMA_WAIT(1);
        if (r6 > 0 && lane == 0) arrive(held0);
        held0 = base + 147464 + 16 * s0;
        if (++s0 == 8) {
          s0 = 0;
          phase0 ^= 1;
        }
      }
      MMA_WAIT(0);
      if (lane == 0) arrive(held0);
       {
        const i64 joined = ((i64)r1 * 2 + (i64)r5);
        float* const all = (float*)workspace + joined * 4096 + (thread & 127) * 4;
        float* const mine = all + (i64)r3 * 1024;
        #pragma unroll
        for (int i = 0; i < 2; ++i) store_four(mine + i * 512, c + 4 * i);
        device_fence();
        group_sync(group);
        if ((thread & 127) == 0) {
          u32* const counter = counters + joined;
          const u32 last = count_up(counter) == 3;
          if (last) *counter = 0;
          store_shared(base + 147584 + 4 * group, last);
        }
        group_sync(group);
        if (load_shared(base + 147584 + 4 * group)) {
          device_fence();
          #pragma unroll
          for (int i = 0; i < 8; ++i) c[i] = 0;
          for (int part = 0; part < 4; ++part) {
            #pragma unroll
            for (int i = 0; i < 2; ++i) add_four(all + part * 1024 + i * 512, c + 4 * i);
          }
          #pragma unroll
          for (int e = 0; e < 8; ++e) {
            const int r7 = 16 * warp + lane / 4 + 8 * (e / 2 % 2), r8 = e / 4 * 8 + 2 * (lane & 3) + e % 2;
            if (true) result[((i64)r1 * 128 + (i64)r5 * 64 + (i64)r7 + (i64)r8 * 4096)] = to_bf16(c[0 / 2 + e]);
          }
        }
      }
    }
  }
}
