// x + y, f32
// unroll(r0, 4) items(r0, 256)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset,
    GLOBAL const float* RESTRICT read1, long read1_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int item0 = item;
  const int v0 = tile * 1024 + item0 * 4 + 0;
  const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
  const float v2 = as_float(v1.x);
  const WORDS4 v3 = LOAD_WORDS4(read1 + (v0));
  const float v4 = as_float(v3.x);
  const float v5 = v2 + v4;
  const float v6 = as_float(v1.y);
  const float v7 = as_float(v3.y);
  const float v8 = v6 + v7;
  const float v9 = as_float(v1.z);
  const float v10 = as_float(v3.z);
  const float v11 = v9 + v10;
  const float v12 = as_float(v1.w);
  const float v13 = as_float(v3.w);
  const float v14 = v12 + v13;
  STORE_WORDS4(result + (v0), (uint)as_uint(v5), (uint)as_uint(v8), (uint)as_uint(v11), (uint)as_uint(v14));
}

// x + y, bf16
HELPER float q_from_bf16_ushort(ushort h) { return as_float(convert_uint(h) << (uint)(16)); }
HELPER float q_round_bf16_float(float x) {
  const uint bits = as_uint(x);
  const uint rounded = (bits + (uint)(0x7fffu) + ((bits >> (uint)(16)) & (uint)(1))) & (uint)(0xffff0000u);
  return as_float(select(rounded, (uint)(0x7fc00000u), convert_int(x != x)));
}
HELPER ushort q_to_bf16_float(float x) { return convert_ushort(as_uint(x) >> (uint)(16)); }
// unroll(r0, 8) items(r0, 256)
KERNEL(256) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset,
    GLOBAL const ushort* RESTRICT read1, long read1_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int item0 = item;
  const int v0 = tile * 2048 + item0 * 8 + 0;
  const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
  const float v2 = q_from_bf16_ushort((ushort)(v1.x));
  const WORDS4 v3 = LOAD_WORDS4(read1 + (v0));
  const float v4 = q_from_bf16_ushort((ushort)(v3.x));
  const float v5 = q_round_bf16_float(v2 + v4);
  const float v6 = q_from_bf16_ushort((ushort)(v1.x >> 16));
  const float v7 = q_from_bf16_ushort((ushort)(v3.x >> 16));
  const float v8 = q_round_bf16_float(v6 + v7);
  const float v9 = q_from_bf16_ushort((ushort)(v1.y));
  const float v10 = q_from_bf16_ushort((ushort)(v3.y));
  const float v11 = q_round_bf16_float(v9 + v10);
  const float v12 = q_from_bf16_ushort((ushort)(v1.y >> 16));
  const float v13 = q_from_bf16_ushort((ushort)(v3.y >> 16));
  const float v14 = q_round_bf16_float(v12 + v13);
  const float v15 = q_from_bf16_ushort((ushort)(v1.z));
  const float v16 = q_from_bf16_ushort((ushort)(v3.z));
  const float v17 = q_round_bf16_float(v15 + v16);
  const float v18 = q_from_bf16_ushort((ushort)(v1.z >> 16));
  const float v19 = q_from_bf16_ushort((ushort)(v3.z >> 16));
  const float v20 = q_round_bf16_float(v18 + v19);
  const float v21 = q_from_bf16_ushort((ushort)(v1.w));
  const float v22 = q_from_bf16_ushort((ushort)(v3.w));
  const float v23 = q_round_bf16_float(v21 + v22);
  const float v24 = q_from_bf16_ushort((ushort)(v1.w >> 16));
  const float v25 = q_from_bf16_ushort((ushort)(v3.w >> 16));
  const float v26 = q_round_bf16_float(v24 + v25);
  STORE_WORDS4(result + (v0), (uint)as_ushort(q_to_bf16_float(v5)) | (uint)as_ushort(q_to_bf16_float(v8)) << 16, (uint)as_ushort(q_to_bf16_float(v11)) | (uint)as_ushort(q_to_bf16_float(v14)) << 16, (uint)as_ushort(q_to_bf16_float(v17)) | (uint)as_ushort(q_to_bf16_float(v20)) << 16, (uint)as_ushort(q_to_bf16_float(v23)) | (uint)as_ushort(q_to_bf16_float(v26)) << 16);
}

// exp(x), f32
HELPER float q_exp_float(float x) {
  const float c = clamp(x, (float)(-104.0f), (float)(89.0f));
  const float n = rint(c * (float)(1.44269504f));
  const float r = fma(n, (float)(2.12194440e-4f), fma(n, (float)(-0.693359375f), c));
  float p = (float)(1.9875691500e-4f);
  p = fma(p, r, (float)(1.3981999507e-3f));
  p = fma(p, r, (float)(8.3334519073e-3f));
  p = fma(p, r, (float)(4.1665795894e-2f));
  p = fma(p, r, (float)(1.6666665459e-1f));
  p = fma(p, r, (float)(5.0000001201e-1f));
  p = fma(p, r * r, r) + (float)(1.0f);
  const int whole = convert_int(select(n, (float)(0), convert_int(x != x))), half_of_it = whole >> (int)(1);
  const float scale = as_float((half_of_it + (int)(127)) << (int)(23));
  const float rest = as_float((whole - half_of_it + (int)(127)) << (int)(23));
  return select((p * scale) * rest, x, convert_int(x != x));
}
// unroll(r0, 4) items(r0, 256)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int item0 = item;
  const int v0 = tile * 1024 + item0 * 4 + 0;
  const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
  const float v2 = as_float(v1.x);
  const float v3 = q_exp_float(v2);
  const float v4 = as_float(v1.y);
  const float v5 = q_exp_float(v4);
  const float v6 = as_float(v1.z);
  const float v7 = q_exp_float(v6);
  const float v8 = as_float(v1.w);
  const float v9 = q_exp_float(v8);
  STORE_WORDS4(result + (v0), (uint)as_uint(v3), (uint)as_uint(v5), (uint)as_uint(v7), (uint)as_uint(v9));
}

// x / y, i32, of a length that no word divides
HELPER int q_div_int(int a, int b) {
  const int zero = convert_int(b == (int)(0)), minus = convert_int(b == (int)(-1));
  int q = a / (b + (zero & (int)(1)) + ((minus & (int)(1)) << (int)(1)));
  q = select(q, as_int(convert_uint((uint)(0) - as_uint(a))), minus);
  return select(q, (int)(0), zero);
}
// items(r0, 256)
KERNEL(256) kernel0(GLOBAL int* RESTRICT result, long result_offset,
    GLOBAL const int* RESTRICT read0, long read0_offset,
    GLOBAL const int* RESTRICT read1, long read1_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = min(tile * 256, (int)747);
  const int item0 = item;
  const int v1 = v0 + item0;
  const int v2 = read0[v1];
  const int v3 = read1[v1];
  const int v4 = q_div_int(v2, v3);
  result[v1] = v4;
}

// f64 to f16
HELPER float q_odd_double_double(double x) {
  const float f = convert_float(x);
  const double back = convert_double(f);
  const int inexact = convert_int(back != x) & convert_int(x == x) & convert_int(fabs(x) < (double)(1e300));
  const int away = convert_int(fabs(back) > fabs(x));
  uint bits = as_uint(f);
  bits = select(bits, bits - (uint)(1), away);
  return as_float(select(as_uint(f), bits | (uint)(1), inexact));
}
HELPER float q_round_f16_float(float x) { return (float)(_Float16)x; }
HELPER ushort q_to_f16_float(float x) { return q_as_bits<ushort>((_Float16)x); }
// unroll(r0, 2) items(r0, 256)
KERNEL(256) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const double* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int item0 = item;
  const int v0 = tile * 512 + item0 * 2 + 0;
  const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
  const double v2 = as_double((ulong)v1.x | (ulong)v1.y << 32);
  const float v3 = q_round_f16_float(q_odd_double_double(v2));
  const double v4 = as_double((ulong)v1.z | (ulong)v1.w << 32);
  const float v5 = q_round_f16_float(q_odd_double_double(v4));
  STORE_WORDS1(result + (v0), (uint)as_ushort(q_to_f16_float(v3)) | (uint)as_ushort(q_to_f16_float(v5)) << 16);
}

// sums of exp along rows, bf16
HELPER float q_from_bf16_ushort(ushort h) { return as_float(convert_uint(h) << (uint)(16)); }
HELPER float q_exp_narrow_float(float x) { return __builtin_exp2f(x * 1.44269504f); }
HELPER float q_round_bf16_float(float x) {
  const uint bits = as_uint(x);
  const uint rounded = (bits + (uint)(0x7fffu) + ((bits >> (uint)(16)) & (uint)(1))) & (uint)(0xffff0000u);
  return as_float(select(rounded, (uint)(0x7fc00000u), convert_int(x != x)));
}
HELPER ushort q_to_bf16_float(float x) { return convert_ushort(as_uint(x) >> (uint)(16)); }
// unroll(r1, 8) items(r1, 128) items(r0, 2)
KERNEL(256) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int item1 = item % 128;
  const int item0 = item / 128;
  float sum0 = (float)(as_float(0x00000000u));
  float sum1 = (float)(as_float(0x00000000u));
  float sum2 = (float)(as_float(0x00000000u));
  float sum3 = (float)(as_float(0x00000000u));
  float sum4 = (float)(as_float(0x00000000u));
  float sum5 = (float)(as_float(0x00000000u));
  float sum6 = (float)(as_float(0x00000000u));
  float sum7 = (float)(as_float(0x00000000u));
  LOOP (int k0 = 0 + item1; k0 < 512; k0 += 128) {
    const int v0 = tile * 8192 + item0 * 4096 + k0 * 8 + 0;
    const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
    const float v2 = q_from_bf16_ushort((ushort)(v1.x));
    const float v3 = q_round_bf16_float(q_exp_narrow_float(v2));
    sum0 = sum0 + v3;
    const float v4 = q_from_bf16_ushort((ushort)(v1.x >> 16));
    const float v5 = q_round_bf16_float(q_exp_narrow_float(v4));
    sum1 = sum1 + v5;
    const float v6 = q_from_bf16_ushort((ushort)(v1.y));
    const float v7 = q_round_bf16_float(q_exp_narrow_float(v6));
    sum2 = sum2 + v7;
    const float v8 = q_from_bf16_ushort((ushort)(v1.y >> 16));
    const float v9 = q_round_bf16_float(q_exp_narrow_float(v8));
    sum3 = sum3 + v9;
    const float v10 = q_from_bf16_ushort((ushort)(v1.z));
    const float v11 = q_round_bf16_float(q_exp_narrow_float(v10));
    sum4 = sum4 + v11;
    const float v12 = q_from_bf16_ushort((ushort)(v1.z >> 16));
    const float v13 = q_round_bf16_float(q_exp_narrow_float(v12));
    sum5 = sum5 + v13;
    const float v14 = q_from_bf16_ushort((ushort)(v1.w));
    const float v15 = q_round_bf16_float(q_exp_narrow_float(v14));
    sum6 = sum6 + v15;
    const float v16 = q_from_bf16_ushort((ushort)(v1.w >> 16));
    const float v17 = q_round_bf16_float(q_exp_narrow_float(v16));
    sum7 = sum7 + v17;
  }
  const float v18 = sum0 + sum1;
  const float v19 = sum2 + sum3;
  const float v20 = sum4 + sum5;
  const float v21 = sum6 + sum7;
  const float v22 = v18 + v19;
  const float v23 = v20 + v21;
  const float v24 = v22 + v23;
  const float v25 = SHUFFLE_XOR(v24, 1);
  const float v26 = v24 + v25;
  const float v27 = SHUFFLE_XOR(v26, 2);
  const float v28 = v26 + v27;
  const float v29 = SHUFFLE_XOR(v28, 4);
  const float v30 = v28 + v29;
  const float v31 = SHUFFLE_XOR(v30, 8);
  const float v32 = v30 + v31;
  const float v33 = SHUFFLE_XOR(v32, 16);
  const float v34 = v32 + v33;
  SHARED float shared0[256];
  shared0[item] = v34;
  const int v35 = item / 32 % 4;
  SYNCHRONISE;
  if (v35 < 2) {
    shared0[item] = shared0[item] + shared0[item + 64];
  }
  SYNCHRONISE;
  if (v35 < 1) {
    shared0[item] = shared0[item] + shared0[item + 32];
  }
  const float v36 = shared0[item];
  const float v37 = q_round_bf16_float(v36);
  const int v38 = tile * 2 + item0;
  if (item1 == 0) result[v38] = q_to_bf16_float(v37);
}

// maxima of long rows, f32
HELPER float q_max_float(float a, float b) {
  return select(select(b, a, convert_int(a > b)), a, convert_int(a != a));
}
// unroll(r1, 4) items(r1, 256) split(r1, 64)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = tile / 16;
  const int v1 = tile % 16;
  const int item1 = item;
  float sum0 = (float)(as_float(0xff800000u));
  float sum1 = (float)(as_float(0xff800000u));
  float sum2 = (float)(as_float(0xff800000u));
  float sum3 = (float)(as_float(0xff800000u));
  const int v2 = v0 * 1024;
  const int v3 = min(v2 + 1024, (int)65536);
  LOOP (int k0 = v2 + item1; k0 < v3; k0 += 256) {
    const int v4 = v1 * 262144 + k0 * 4 + 0;
    const WORDS4 v5 = LOAD_WORDS4(read0 + (v4));
    const float v6 = as_float(v5.x);
    sum0 = q_max_float(sum0, v6);
    const float v7 = as_float(v5.y);
    sum1 = q_max_float(sum1, v7);
    const float v8 = as_float(v5.z);
    sum2 = q_max_float(sum2, v8);
    const float v9 = as_float(v5.w);
    sum3 = q_max_float(sum3, v9);
  }
  const float v10 = q_max_float(sum0, sum1);
  const float v11 = q_max_float(sum2, sum3);
  const float v12 = q_max_float(v10, v11);
  const float v13 = SHUFFLE_XOR(v12, 1);
  const float v14 = q_max_float(v12, v13);
  const float v15 = SHUFFLE_XOR(v14, 2);
  const float v16 = q_max_float(v14, v15);
  const float v17 = SHUFFLE_XOR(v16, 4);
  const float v18 = q_max_float(v16, v17);
  const float v19 = SHUFFLE_XOR(v18, 8);
  const float v20 = q_max_float(v18, v19);
  const float v21 = SHUFFLE_XOR(v20, 16);
  const float v22 = q_max_float(v20, v21);
  SHARED float shared0[256];
  shared0[item] = v22;
  const int v23 = item / 32 % 8;
  SYNCHRONISE;
  if (v23 < 4) {
    shared0[item] = q_max_float(shared0[item], shared0[item + 128]);
  }
  SYNCHRONISE;
  if (v23 < 2) {
    shared0[item] = q_max_float(shared0[item], shared0[item + 64]);
  }
  SYNCHRONISE;
  if (v23 < 1) {
    shared0[item] = q_max_float(shared0[item], shared0[item + 32]);
  }
  const float v24 = shared0[item];
  if (item1 == 0) result[v0 * 16 + v1] = v24;
}
// unroll(r0, 4) items(r0, 4) items(r1, 16)
KERNEL(64) kernel1(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(64) / 64);
  const int item0 = item % 4;
  const int item1 = item / 4;
  float sum0 = (float)(as_float(0xff800000u));
  float sum1 = (float)(as_float(0xff800000u));
  float sum2 = (float)(as_float(0xff800000u));
  float sum3 = (float)(as_float(0xff800000u));
  LOOP (int k0 = 0 + item1; k0 < 64; k0 += 16) {
    const int v0 = item0 * 4 + 0 + k0 * 16;
    const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
    const float v2 = as_float(v1.x);
    sum0 = q_max_float(sum0, v2);
    const float v3 = as_float(v1.y);
    sum1 = q_max_float(sum1, v3);
    const float v4 = as_float(v1.z);
    sum2 = q_max_float(sum2, v4);
    const float v5 = as_float(v1.w);
    sum3 = q_max_float(sum3, v5);
  }
  const float v6 = SHUFFLE_XOR(sum0, 4);
  const float v7 = q_max_float(sum0, v6);
  const float v8 = SHUFFLE_XOR(sum1, 4);
  const float v9 = q_max_float(sum1, v8);
  const float v10 = SHUFFLE_XOR(sum2, 4);
  const float v11 = q_max_float(sum2, v10);
  const float v12 = SHUFFLE_XOR(sum3, 4);
  const float v13 = q_max_float(sum3, v12);
  const float v14 = SHUFFLE_XOR(v7, 8);
  const float v15 = q_max_float(v7, v14);
  const float v16 = SHUFFLE_XOR(v9, 8);
  const float v17 = q_max_float(v9, v16);
  const float v18 = SHUFFLE_XOR(v11, 8);
  const float v19 = q_max_float(v11, v18);
  const float v20 = SHUFFLE_XOR(v13, 8);
  const float v21 = q_max_float(v13, v20);
  const float v22 = SHUFFLE_XOR(v15, 16);
  const float v23 = q_max_float(v15, v22);
  const float v24 = SHUFFLE_XOR(v17, 16);
  const float v25 = q_max_float(v17, v24);
  const float v26 = SHUFFLE_XOR(v19, 16);
  const float v27 = q_max_float(v19, v26);
  const float v28 = SHUFFLE_XOR(v21, 16);
  const float v29 = q_max_float(v21, v28);
  SHARED float shared0[64];
  SHARED float shared1[64];
  SHARED float shared2[64];
  SHARED float shared3[64];
  shared0[item] = v23;
  shared1[item] = v25;
  shared2[item] = v27;
  shared3[item] = v29;
  const int v30 = item / 32 % 2;
  SYNCHRONISE;
  if (v30 < 1) {
    shared0[item] = q_max_float(shared0[item], shared0[item + 32]);
    shared1[item] = q_max_float(shared1[item], shared1[item + 32]);
    shared2[item] = q_max_float(shared2[item], shared2[item + 32]);
    shared3[item] = q_max_float(shared3[item], shared3[item + 32]);
  }
  const float v31 = shared0[item];
  const float v32 = shared1[item];
  const float v33 = shared2[item];
  const float v34 = shared3[item];
  const int v35 = item0 * 4 + 0;
  if (item1 == 0) STORE_WORDS4(result + (v35), (uint)as_uint(v31), (uint)as_uint(v32), (uint)as_uint(v33), (uint)as_uint(v34));
}

// sums down columns, bf16
HELPER float q_from_bf16_ushort(ushort h) { return as_float(convert_uint(h) << (uint)(16)); }
HELPER float q_round_bf16_float(float x) {
  const uint bits = as_uint(x);
  const uint rounded = (bits + (uint)(0x7fffu) + ((bits >> (uint)(16)) & (uint)(1))) & (uint)(0xffff0000u);
  return as_float(select(rounded, (uint)(0x7fc00000u), convert_int(x != x)));
}
HELPER ushort q_to_bf16_float(float x) { return convert_ushort(as_uint(x) >> (uint)(16)); }
// unroll(r0, 8) items(r0, 32) items(r1, 8) split(r1, 48)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = tile / 16;
  const int v1 = tile % 16;
  const int item0 = item % 32;
  const int item1 = item / 32;
  float sum0 = (float)(as_float(0x00000000u));
  float sum1 = (float)(as_float(0x00000000u));
  float sum2 = (float)(as_float(0x00000000u));
  float sum3 = (float)(as_float(0x00000000u));
  float sum4 = (float)(as_float(0x00000000u));
  float sum5 = (float)(as_float(0x00000000u));
  float sum6 = (float)(as_float(0x00000000u));
  float sum7 = (float)(as_float(0x00000000u));
  const int v2 = v0 * 683;
  const int v3 = min(v2 + 683, (int)32768);
  LOOP (int k0 = v2 + item1; k0 < v3; k0 += 8) {
    const int v4 = v1 * 256 + item0 * 8 + 0 + k0 * 4096;
    const WORDS4 v5 = LOAD_WORDS4(read0 + (v4));
    const float v6 = q_from_bf16_ushort((ushort)(v5.x));
    sum0 = sum0 + v6;
    const float v7 = q_from_bf16_ushort((ushort)(v5.x >> 16));
    sum1 = sum1 + v7;
    const float v8 = q_from_bf16_ushort((ushort)(v5.y));
    sum2 = sum2 + v8;
    const float v9 = q_from_bf16_ushort((ushort)(v5.y >> 16));
    sum3 = sum3 + v9;
    const float v10 = q_from_bf16_ushort((ushort)(v5.z));
    sum4 = sum4 + v10;
    const float v11 = q_from_bf16_ushort((ushort)(v5.z >> 16));
    sum5 = sum5 + v11;
    const float v12 = q_from_bf16_ushort((ushort)(v5.w));
    sum6 = sum6 + v12;
    const float v13 = q_from_bf16_ushort((ushort)(v5.w >> 16));
    sum7 = sum7 + v13;
  }
  SHARED float shared0[256];
  SHARED float shared1[256];
  SHARED float shared2[256];
  SHARED float shared3[256];
  SHARED float shared4[256];
  SHARED float shared5[256];
  SHARED float shared6[256];
  SHARED float shared7[256];
  shared0[item] = sum0;
  shared1[item] = sum1;
  shared2[item] = sum2;
  shared3[item] = sum3;
  shared4[item] = sum4;
  shared5[item] = sum5;
  shared6[item] = sum6;
  shared7[item] = sum7;
  const int v14 = item / 32 % 8;
  SYNCHRONISE;
  if (v14 < 4) {
    shared0[item] = shared0[item] + shared0[item + 128];
    shared1[item] = shared1[item] + shared1[item + 128];
    shared2[item] = shared2[item] + shared2[item + 128];
    shared3[item] = shared3[item] + shared3[item + 128];
    shared4[item] = shared4[item] + shared4[item + 128];
    shared5[item] = shared5[item] + shared5[item + 128];
    shared6[item] = shared6[item] + shared6[item + 128];
    shared7[item] = shared7[item] + shared7[item + 128];
  }
  SYNCHRONISE;
  if (v14 < 2) {
    shared0[item] = shared0[item] + shared0[item + 64];
    shared1[item] = shared1[item] + shared1[item + 64];
    shared2[item] = shared2[item] + shared2[item + 64];
    shared3[item] = shared3[item] + shared3[item + 64];
    shared4[item] = shared4[item] + shared4[item + 64];
    shared5[item] = shared5[item] + shared5[item + 64];
    shared6[item] = shared6[item] + shared6[item + 64];
    shared7[item] = shared7[item] + shared7[item + 64];
  }
  SYNCHRONISE;
  if (v14 < 1) {
    shared0[item] = shared0[item] + shared0[item + 32];
    shared1[item] = shared1[item] + shared1[item + 32];
    shared2[item] = shared2[item] + shared2[item + 32];
    shared3[item] = shared3[item] + shared3[item + 32];
    shared4[item] = shared4[item] + shared4[item + 32];
    shared5[item] = shared5[item] + shared5[item + 32];
    shared6[item] = shared6[item] + shared6[item + 32];
    shared7[item] = shared7[item] + shared7[item + 32];
  }
  const float v15 = shared0[item];
  const float v16 = shared1[item];
  const float v17 = shared2[item];
  const float v18 = shared3[item];
  const float v19 = shared4[item];
  const float v20 = shared5[item];
  const float v21 = shared6[item];
  const float v22 = shared7[item];
  const int v23 = v1 * 256 + item0 * 8 + 0;
  if (item1 == 0) STORE_WORDS4(result + (v0 * 4096 + v23), (uint)as_uint(v15), (uint)as_uint(v16), (uint)as_uint(v17), (uint)as_uint(v18));
  const int v24 = v1 * 256 + item0 * 8 + 4;
  if (item1 == 0) STORE_WORDS4(result + (v0 * 4096 + v24), (uint)as_uint(v19), (uint)as_uint(v20), (uint)as_uint(v21), (uint)as_uint(v22));
}
// unroll(r0, 4) items(r0, 32) items(r1, 8)
KERNEL(256) kernel1(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int item0 = item % 32;
  const int item1 = item / 32;
  float sum0 = (float)(as_float(0x00000000u));
  float sum1 = (float)(as_float(0x00000000u));
  float sum2 = (float)(as_float(0x00000000u));
  float sum3 = (float)(as_float(0x00000000u));
  LOOP (int k0 = 0 + item1; k0 < 48; k0 += 8) {
    const int v0 = tile * 128 + item0 * 4 + 0 + k0 * 4096;
    const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
    const float v2 = as_float(v1.x);
    sum0 = sum0 + v2;
    const float v3 = as_float(v1.y);
    sum1 = sum1 + v3;
    const float v4 = as_float(v1.z);
    sum2 = sum2 + v4;
    const float v5 = as_float(v1.w);
    sum3 = sum3 + v5;
  }
  SHARED float shared0[256];
  SHARED float shared1[256];
  SHARED float shared2[256];
  SHARED float shared3[256];
  shared0[item] = sum0;
  shared1[item] = sum1;
  shared2[item] = sum2;
  shared3[item] = sum3;
  const int v6 = item / 32 % 8;
  SYNCHRONISE;
  if (v6 < 4) {
    shared0[item] = shared0[item] + shared0[item + 128];
    shared1[item] = shared1[item] + shared1[item + 128];
    shared2[item] = shared2[item] + shared2[item + 128];
    shared3[item] = shared3[item] + shared3[item + 128];
  }
  SYNCHRONISE;
  if (v6 < 2) {
    shared0[item] = shared0[item] + shared0[item + 64];
    shared1[item] = shared1[item] + shared1[item + 64];
    shared2[item] = shared2[item] + shared2[item + 64];
    shared3[item] = shared3[item] + shared3[item + 64];
  }
  SYNCHRONISE;
  if (v6 < 1) {
    shared0[item] = shared0[item] + shared0[item + 32];
    shared1[item] = shared1[item] + shared1[item + 32];
    shared2[item] = shared2[item] + shared2[item + 32];
    shared3[item] = shared3[item] + shared3[item + 32];
  }
  const float v7 = shared0[item];
  const float v8 = shared1[item];
  const float v9 = shared2[item];
  const float v10 = shared3[item];
  const float v11 = q_round_bf16_float(v7);
  const float v12 = q_round_bf16_float(v8);
  const float v13 = q_round_bf16_float(v9);
  const float v14 = q_round_bf16_float(v10);
  const int v15 = tile * 128 + item0 * 4 + 0;
  if (item1 == 0) STORE_WORDS2(result + (v15), (uint)as_ushort(q_to_bf16_float(v11)) | (uint)as_ushort(q_to_bf16_float(v12)) << 16, (uint)as_ushort(q_to_bf16_float(v13)) | (uint)as_ushort(q_to_bf16_float(v14)) << 16);
}

// the sum of everything, f32
// unroll(r0, 4) items(r0, 256) split(r0, 1024)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = tile / 1;
  const int v1 = tile % 1;
  const int item0 = item;
  float sum0 = (float)(as_float(0x00000000u));
  float sum1 = (float)(as_float(0x00000000u));
  float sum2 = (float)(as_float(0x00000000u));
  float sum3 = (float)(as_float(0x00000000u));
  const int v2 = v0 * 1024;
  const int v3 = min(v2 + 1024, (int)1048576);
  LOOP (int k0 = v2 + item0; k0 < v3; k0 += 256) {
    const int v4 = k0 * 4 + 0;
    const WORDS4 v5 = LOAD_WORDS4(read0 + (v4));
    const float v6 = as_float(v5.x);
    sum0 = sum0 + v6;
    const float v7 = as_float(v5.y);
    sum1 = sum1 + v7;
    const float v8 = as_float(v5.z);
    sum2 = sum2 + v8;
    const float v9 = as_float(v5.w);
    sum3 = sum3 + v9;
  }
  const float v10 = sum0 + sum1;
  const float v11 = sum2 + sum3;
  const float v12 = v10 + v11;
  const float v13 = SHUFFLE_XOR(v12, 1);
  const float v14 = v12 + v13;
  const float v15 = SHUFFLE_XOR(v14, 2);
  const float v16 = v14 + v15;
  const float v17 = SHUFFLE_XOR(v16, 4);
  const float v18 = v16 + v17;
  const float v19 = SHUFFLE_XOR(v18, 8);
  const float v20 = v18 + v19;
  const float v21 = SHUFFLE_XOR(v20, 16);
  const float v22 = v20 + v21;
  SHARED float shared0[256];
  shared0[item] = v22;
  const int v23 = item / 32 % 8;
  SYNCHRONISE;
  if (v23 < 4) {
    shared0[item] = shared0[item] + shared0[item + 128];
  }
  SYNCHRONISE;
  if (v23 < 2) {
    shared0[item] = shared0[item] + shared0[item + 64];
  }
  SYNCHRONISE;
  if (v23 < 1) {
    shared0[item] = shared0[item] + shared0[item + 32];
  }
  const float v24 = shared0[item];
  if (item0 == 0) result[v0 * 1 + 0] = v24;
}
// unroll(r0, 4) items(r0, 64)
KERNEL(64) kernel1(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(64) / 64);
  const int item0 = item;
  float sum0 = (float)(as_float(0x00000000u));
  float sum1 = (float)(as_float(0x00000000u));
  float sum2 = (float)(as_float(0x00000000u));
  float sum3 = (float)(as_float(0x00000000u));
  LOOP (int k0 = 0 + item0; k0 < 256; k0 += 64) {
    const int v0 = k0 * 4 + 0;
    const WORDS4 v1 = LOAD_WORDS4(read0 + (v0));
    const float v2 = as_float(v1.x);
    sum0 = sum0 + v2;
    const float v3 = as_float(v1.y);
    sum1 = sum1 + v3;
    const float v4 = as_float(v1.z);
    sum2 = sum2 + v4;
    const float v5 = as_float(v1.w);
    sum3 = sum3 + v5;
  }
  const float v6 = sum0 + sum1;
  const float v7 = sum2 + sum3;
  const float v8 = v6 + v7;
  const float v9 = SHUFFLE_XOR(v8, 1);
  const float v10 = v8 + v9;
  const float v11 = SHUFFLE_XOR(v10, 2);
  const float v12 = v10 + v11;
  const float v13 = SHUFFLE_XOR(v12, 4);
  const float v14 = v12 + v13;
  const float v15 = SHUFFLE_XOR(v14, 8);
  const float v16 = v14 + v15;
  const float v17 = SHUFFLE_XOR(v16, 16);
  const float v18 = v16 + v17;
  SHARED float shared0[64];
  shared0[item] = v18;
  const int v19 = item / 32 % 2;
  SYNCHRONISE;
  if (v19 < 1) {
    shared0[item] = shared0[item] + shared0[item + 32];
  }
  const float v20 = shared0[item];
  if (item0 == 0) result[0] = v20;
}

// transposition, f32
// items(r1, 32) spread(r1, 2) items(r0, 8) spread(r0, 8) stage(r0)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = tile % 64;
  const int v1 = tile / 64;
  const int item1 = item % 32;
  const int item0 = item / 32;
  SHARED float stage0[4160];
  const int v2 = item % 64;
  const int v3 = item / 64;
  const int v4 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 0 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 0] = read0[v4];
  const int v5 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 1 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 4] = read0[v5];
  const int v6 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 2 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 8] = read0[v6];
  const int v7 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 3 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 12] = read0[v7];
  const int v8 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 4 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 16] = read0[v8];
  const int v9 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 5 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 20] = read0[v9];
  const int v10 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 6 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 24] = read0[v10];
  const int v11 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 7 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 28] = read0[v11];
  const int v12 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 8 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 32] = read0[v12];
  const int v13 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 9 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 36] = read0[v13];
  const int v14 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 10 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 40] = read0[v14];
  const int v15 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 11 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 44] = read0[v15];
  const int v16 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 12 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 48] = read0[v16];
  const int v17 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 13 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 52] = read0[v17];
  const int v18 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 14 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 56] = read0[v18];
  const int v19 = v1 * 64 + v0 * 262144 + v2 + v3 * 4096 + 15 * 16384;
  stage0[(v2 * 1 + 0) * 65 + v3 + 60] = read0[v19];
  SYNCHRONISE;
  const int v20 = 0 * 8 + item0;
  const int v21 = 0 * 32 + item1;
  const float v22 = stage0[v20 * 65 + v21];
  const int v23 = 1 * 32 + item1;
  const float v24 = stage0[v20 * 65 + v23];
  const int v25 = 1 * 8 + item0;
  const float v26 = stage0[v25 * 65 + v21];
  const float v27 = stage0[v25 * 65 + v23];
  const int v28 = 2 * 8 + item0;
  const float v29 = stage0[v28 * 65 + v21];
  const float v30 = stage0[v28 * 65 + v23];
  const int v31 = 3 * 8 + item0;
  const float v32 = stage0[v31 * 65 + v21];
  const float v33 = stage0[v31 * 65 + v23];
  const int v34 = 4 * 8 + item0;
  const float v35 = stage0[v34 * 65 + v21];
  const float v36 = stage0[v34 * 65 + v23];
  const int v37 = 5 * 8 + item0;
  const float v38 = stage0[v37 * 65 + v21];
  const float v39 = stage0[v37 * 65 + v23];
  const int v40 = 6 * 8 + item0;
  const float v41 = stage0[v40 * 65 + v21];
  const float v42 = stage0[v40 * 65 + v23];
  const int v43 = 7 * 8 + item0;
  const float v44 = stage0[v43 * 65 + v21];
  const float v45 = stage0[v43 * 65 + v23];
  const int v46 = v1 * 262144 + 0 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v46] = v22;
  const int v47 = v1 * 262144 + 0 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v47] = v24;
  const int v48 = v1 * 262144 + 1 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v48] = v26;
  const int v49 = v1 * 262144 + 1 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v49] = v27;
  const int v50 = v1 * 262144 + 2 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v50] = v29;
  const int v51 = v1 * 262144 + 2 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v51] = v30;
  const int v52 = v1 * 262144 + 3 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v52] = v32;
  const int v53 = v1 * 262144 + 3 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v53] = v33;
  const int v54 = v1 * 262144 + 4 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v54] = v35;
  const int v55 = v1 * 262144 + 4 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v55] = v36;
  const int v56 = v1 * 262144 + 5 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v56] = v38;
  const int v57 = v1 * 262144 + 5 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v57] = v39;
  const int v58 = v1 * 262144 + 6 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v58] = v41;
  const int v59 = v1 * 262144 + 6 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v59] = v42;
  const int v60 = v1 * 262144 + 7 * 32768 + item0 * 4096 + v0 * 64 + 0 * 32 + item1;
  result[v60] = v44;
  const int v61 = v1 * 262144 + 7 * 32768 + item0 * 4096 + v0 * 64 + 1 * 32 + item1;
  result[v61] = v45;
}

// transposition, bf16
HELPER float q_from_bf16_ushort(ushort h) { return as_float(convert_uint(h) << (uint)(16)); }
HELPER ushort q_to_bf16_float(float x) { return convert_ushort(as_uint(x) >> (uint)(16)); }
// unroll(r1, 2) items(r1, 32) items(r0, 8) spread(r0, 8) stage(r0)
KERNEL(256) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = tile % 64;
  const int v1 = tile / 64;
  const int item1 = item % 32;
  const int item0 = item / 32;
  SHARED ushort stage0[4160];
  const int v2 = item % 32;
  const int v3 = item / 32;
  const int v4 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 0 * 32768;
  const uint v5 = LOAD_WORDS1(read0 + (v4));
  stage0[(v2 * 2 + 0) * 65 + v3 + 0] = (ushort)(v5);
  stage0[(v2 * 2 + 1) * 65 + v3 + 0] = (ushort)(v5 >> 16);
  const int v6 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 1 * 32768;
  const uint v7 = LOAD_WORDS1(read0 + (v6));
  stage0[(v2 * 2 + 0) * 65 + v3 + 8] = (ushort)(v7);
  stage0[(v2 * 2 + 1) * 65 + v3 + 8] = (ushort)(v7 >> 16);
  const int v8 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 2 * 32768;
  const uint v9 = LOAD_WORDS1(read0 + (v8));
  stage0[(v2 * 2 + 0) * 65 + v3 + 16] = (ushort)(v9);
  stage0[(v2 * 2 + 1) * 65 + v3 + 16] = (ushort)(v9 >> 16);
  const int v10 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 3 * 32768;
  const uint v11 = LOAD_WORDS1(read0 + (v10));
  stage0[(v2 * 2 + 0) * 65 + v3 + 24] = (ushort)(v11);
  stage0[(v2 * 2 + 1) * 65 + v3 + 24] = (ushort)(v11 >> 16);
  const int v12 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 4 * 32768;
  const uint v13 = LOAD_WORDS1(read0 + (v12));
  stage0[(v2 * 2 + 0) * 65 + v3 + 32] = (ushort)(v13);
  stage0[(v2 * 2 + 1) * 65 + v3 + 32] = (ushort)(v13 >> 16);
  const int v14 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 5 * 32768;
  const uint v15 = LOAD_WORDS1(read0 + (v14));
  stage0[(v2 * 2 + 0) * 65 + v3 + 40] = (ushort)(v15);
  stage0[(v2 * 2 + 1) * 65 + v3 + 40] = (ushort)(v15 >> 16);
  const int v16 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 6 * 32768;
  const uint v17 = LOAD_WORDS1(read0 + (v16));
  stage0[(v2 * 2 + 0) * 65 + v3 + 48] = (ushort)(v17);
  stage0[(v2 * 2 + 1) * 65 + v3 + 48] = (ushort)(v17 >> 16);
  const int v18 = v1 * 64 + v0 * 262144 + v2 * 2 + 0 + v3 * 4096 + 7 * 32768;
  const uint v19 = LOAD_WORDS1(read0 + (v18));
  stage0[(v2 * 2 + 0) * 65 + v3 + 56] = (ushort)(v19);
  stage0[(v2 * 2 + 1) * 65 + v3 + 56] = (ushort)(v19 >> 16);
  SYNCHRONISE;
  const int v20 = 0 * 8 + item0;
  const int v21 = item1 * 2 + 0;
  const float v22 = q_from_bf16_ushort(stage0[v20 * 65 + v21]);
  const int v23 = item1 * 2 + 1;
  const float v24 = q_from_bf16_ushort(stage0[v20 * 65 + v23]);
  const int v25 = 1 * 8 + item0;
  const float v26 = q_from_bf16_ushort(stage0[v25 * 65 + v21]);
  const float v27 = q_from_bf16_ushort(stage0[v25 * 65 + v23]);
  const int v28 = 2 * 8 + item0;
  const float v29 = q_from_bf16_ushort(stage0[v28 * 65 + v21]);
  const float v30 = q_from_bf16_ushort(stage0[v28 * 65 + v23]);
  const int v31 = 3 * 8 + item0;
  const float v32 = q_from_bf16_ushort(stage0[v31 * 65 + v21]);
  const float v33 = q_from_bf16_ushort(stage0[v31 * 65 + v23]);
  const int v34 = 4 * 8 + item0;
  const float v35 = q_from_bf16_ushort(stage0[v34 * 65 + v21]);
  const float v36 = q_from_bf16_ushort(stage0[v34 * 65 + v23]);
  const int v37 = 5 * 8 + item0;
  const float v38 = q_from_bf16_ushort(stage0[v37 * 65 + v21]);
  const float v39 = q_from_bf16_ushort(stage0[v37 * 65 + v23]);
  const int v40 = 6 * 8 + item0;
  const float v41 = q_from_bf16_ushort(stage0[v40 * 65 + v21]);
  const float v42 = q_from_bf16_ushort(stage0[v40 * 65 + v23]);
  const int v43 = 7 * 8 + item0;
  const float v44 = q_from_bf16_ushort(stage0[v43 * 65 + v21]);
  const float v45 = q_from_bf16_ushort(stage0[v43 * 65 + v23]);
  const int v46 = v1 * 262144 + 0 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v46), (uint)as_ushort(q_to_bf16_float(v22)) | (uint)as_ushort(q_to_bf16_float(v24)) << 16);
  const int v47 = v1 * 262144 + 1 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v47), (uint)as_ushort(q_to_bf16_float(v26)) | (uint)as_ushort(q_to_bf16_float(v27)) << 16);
  const int v48 = v1 * 262144 + 2 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v48), (uint)as_ushort(q_to_bf16_float(v29)) | (uint)as_ushort(q_to_bf16_float(v30)) << 16);
  const int v49 = v1 * 262144 + 3 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v49), (uint)as_ushort(q_to_bf16_float(v32)) | (uint)as_ushort(q_to_bf16_float(v33)) << 16);
  const int v50 = v1 * 262144 + 4 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v50), (uint)as_ushort(q_to_bf16_float(v35)) | (uint)as_ushort(q_to_bf16_float(v36)) << 16);
  const int v51 = v1 * 262144 + 5 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v51), (uint)as_ushort(q_to_bf16_float(v38)) | (uint)as_ushort(q_to_bf16_float(v39)) << 16);
  const int v52 = v1 * 262144 + 6 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v52), (uint)as_ushort(q_to_bf16_float(v41)) | (uint)as_ushort(q_to_bf16_float(v42)) << 16);
  const int v53 = v1 * 262144 + 7 * 32768 + item0 * 4096 + v0 * 64 + item1 * 2 + 0;
  STORE_WORDS1(result + (v53), (uint)as_ushort(q_to_bf16_float(v44)) | (uint)as_ushort(q_to_bf16_float(v45)) << 16);
}

// matmul, f32
HELPER float q_fma_float(float a, float b, float c) { return fma(a, b, c); }
// unroll(r1, 4) unroll(r0, 4) items(r1, 16) items(r0, 16) unroll(r2, 4)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset,
    GLOBAL const float* RESTRICT read1, long read1_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = tile % 16;
  const int v1 = tile / 16;
  const int item1 = item % 16;
  const int item0 = item / 16;
  float sum0 = (float)(as_float(0x00000000u));
  float sum1 = (float)(as_float(0x00000000u));
  float sum2 = (float)(as_float(0x00000000u));
  float sum3 = (float)(as_float(0x00000000u));
  float sum4 = (float)(as_float(0x00000000u));
  float sum5 = (float)(as_float(0x00000000u));
  float sum6 = (float)(as_float(0x00000000u));
  float sum7 = (float)(as_float(0x00000000u));
  float sum8 = (float)(as_float(0x00000000u));
  float sum9 = (float)(as_float(0x00000000u));
  float sum10 = (float)(as_float(0x00000000u));
  float sum11 = (float)(as_float(0x00000000u));
  float sum12 = (float)(as_float(0x00000000u));
  float sum13 = (float)(as_float(0x00000000u));
  float sum14 = (float)(as_float(0x00000000u));
  float sum15 = (float)(as_float(0x00000000u));
  LOOP (int k0 = 0; k0 < 256; k0 += 1) {
    const int v2 = v1 * 65536 + item0 * 4096 + 0 * 1024 + k0 * 4 + 0;
    const WORDS4 v3 = LOAD_WORDS4(read0 + (v2));
    const float v4 = as_float(v3.x);
    const int v5 = v0 * 64 + item1 * 4 + 0 + k0 * 4096 + 0 * 1024;
    const WORDS4 v6 = LOAD_WORDS4(read1 + (v5));
    const float v7 = as_float(v6.x);
    sum0 = q_fma_float(v4, v7, sum0);
    const float v8 = as_float(v6.y);
    sum1 = q_fma_float(v4, v8, sum1);
    const float v9 = as_float(v6.z);
    sum2 = q_fma_float(v4, v9, sum2);
    const float v10 = as_float(v6.w);
    sum3 = q_fma_float(v4, v10, sum3);
    const int v11 = v1 * 65536 + item0 * 4096 + 1 * 1024 + k0 * 4 + 0;
    const WORDS4 v12 = LOAD_WORDS4(read0 + (v11));
    const float v13 = as_float(v12.x);
    sum4 = q_fma_float(v13, v7, sum4);
    sum5 = q_fma_float(v13, v8, sum5);
    sum6 = q_fma_float(v13, v9, sum6);
    sum7 = q_fma_float(v13, v10, sum7);
    const int v14 = v1 * 65536 + item0 * 4096 + 2 * 1024 + k0 * 4 + 0;
    const WORDS4 v15 = LOAD_WORDS4(read0 + (v14));
    const float v16 = as_float(v15.x);
    sum8 = q_fma_float(v16, v7, sum8);
    sum9 = q_fma_float(v16, v8, sum9);
    sum10 = q_fma_float(v16, v9, sum10);
    sum11 = q_fma_float(v16, v10, sum11);
    const int v17 = v1 * 65536 + item0 * 4096 + 3 * 1024 + k0 * 4 + 0;
    const WORDS4 v18 = LOAD_WORDS4(read0 + (v17));
    const float v19 = as_float(v18.x);
    sum12 = q_fma_float(v19, v7, sum12);
    sum13 = q_fma_float(v19, v8, sum13);
    sum14 = q_fma_float(v19, v9, sum14);
    sum15 = q_fma_float(v19, v10, sum15);
    const float v20 = as_float(v3.y);
    const int v21 = v0 * 64 + item1 * 4 + 0 + k0 * 4096 + 1 * 1024;
    const WORDS4 v22 = LOAD_WORDS4(read1 + (v21));
    const float v23 = as_float(v22.x);
    sum0 = q_fma_float(v20, v23, sum0);
    const float v24 = as_float(v22.y);
    sum1 = q_fma_float(v20, v24, sum1);
    const float v25 = as_float(v22.z);
    sum2 = q_fma_float(v20, v25, sum2);
    const float v26 = as_float(v22.w);
    sum3 = q_fma_float(v20, v26, sum3);
    const float v27 = as_float(v12.y);
    sum4 = q_fma_float(v27, v23, sum4);
    sum5 = q_fma_float(v27, v24, sum5);
    sum6 = q_fma_float(v27, v25, sum6);
    sum7 = q_fma_float(v27, v26, sum7);
    const float v28 = as_float(v15.y);
    sum8 = q_fma_float(v28, v23, sum8);
    sum9 = q_fma_float(v28, v24, sum9);
    sum10 = q_fma_float(v28, v25, sum10);
    sum11 = q_fma_float(v28, v26, sum11);
    const float v29 = as_float(v18.y);
    sum12 = q_fma_float(v29, v23, sum12);
    sum13 = q_fma_float(v29, v24, sum13);
    sum14 = q_fma_float(v29, v25, sum14);
    sum15 = q_fma_float(v29, v26, sum15);
    const float v30 = as_float(v3.z);
    const int v31 = v0 * 64 + item1 * 4 + 0 + k0 * 4096 + 2 * 1024;
    const WORDS4 v32 = LOAD_WORDS4(read1 + (v31));
    const float v33 = as_float(v32.x);
    sum0 = q_fma_float(v30, v33, sum0);
    const float v34 = as_float(v32.y);
    sum1 = q_fma_float(v30, v34, sum1);
    const float v35 = as_float(v32.z);
    sum2 = q_fma_float(v30, v35, sum2);
    const float v36 = as_float(v32.w);
    sum3 = q_fma_float(v30, v36, sum3);
    const float v37 = as_float(v12.z);
    sum4 = q_fma_float(v37, v33, sum4);
    sum5 = q_fma_float(v37, v34, sum5);
    sum6 = q_fma_float(v37, v35, sum6);
    sum7 = q_fma_float(v37, v36, sum7);
    const float v38 = as_float(v15.z);
    sum8 = q_fma_float(v38, v33, sum8);
    sum9 = q_fma_float(v38, v34, sum9);
    sum10 = q_fma_float(v38, v35, sum10);
    sum11 = q_fma_float(v38, v36, sum11);
    const float v39 = as_float(v18.z);
    sum12 = q_fma_float(v39, v33, sum12);
    sum13 = q_fma_float(v39, v34, sum13);
    sum14 = q_fma_float(v39, v35, sum14);
    sum15 = q_fma_float(v39, v36, sum15);
    const float v40 = as_float(v3.w);
    const int v41 = v0 * 64 + item1 * 4 + 0 + k0 * 4096 + 3 * 1024;
    const WORDS4 v42 = LOAD_WORDS4(read1 + (v41));
    const float v43 = as_float(v42.x);
    sum0 = q_fma_float(v40, v43, sum0);
    const float v44 = as_float(v42.y);
    sum1 = q_fma_float(v40, v44, sum1);
    const float v45 = as_float(v42.z);
    sum2 = q_fma_float(v40, v45, sum2);
    const float v46 = as_float(v42.w);
    sum3 = q_fma_float(v40, v46, sum3);
    const float v47 = as_float(v12.w);
    sum4 = q_fma_float(v47, v43, sum4);
    sum5 = q_fma_float(v47, v44, sum5);
    sum6 = q_fma_float(v47, v45, sum6);
    sum7 = q_fma_float(v47, v46, sum7);
    const float v48 = as_float(v15.w);
    sum8 = q_fma_float(v48, v43, sum8);
    sum9 = q_fma_float(v48, v44, sum9);
    sum10 = q_fma_float(v48, v45, sum10);
    sum11 = q_fma_float(v48, v46, sum11);
    const float v49 = as_float(v18.w);
    sum12 = q_fma_float(v49, v43, sum12);
    sum13 = q_fma_float(v49, v44, sum13);
    sum14 = q_fma_float(v49, v45, sum14);
    sum15 = q_fma_float(v49, v46, sum15);
  }
  const int v50 = v1 * 65536 + item0 * 4096 + 0 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v50), (uint)as_uint(sum0), (uint)as_uint(sum1), (uint)as_uint(sum2), (uint)as_uint(sum3));
  const int v51 = v1 * 65536 + item0 * 4096 + 1 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v51), (uint)as_uint(sum4), (uint)as_uint(sum5), (uint)as_uint(sum6), (uint)as_uint(sum7));
  const int v52 = v1 * 65536 + item0 * 4096 + 2 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v52), (uint)as_uint(sum8), (uint)as_uint(sum9), (uint)as_uint(sum10), (uint)as_uint(sum11));
  const int v53 = v1 * 65536 + item0 * 4096 + 3 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v53), (uint)as_uint(sum12), (uint)as_uint(sum13), (uint)as_uint(sum14), (uint)as_uint(sum15));
}

// matmul with the right operand transposed, f32
HELPER float q_fma_float(float a, float b, float c) { return fma(a, b, c); }
// unroll(r1, 4) unroll(r0, 4) items(r1, 16) items(r0, 16) unroll(r2, 4)
KERNEL(256) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset,
    GLOBAL const float* RESTRICT read1, long read1_offset, uint first_group) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int item = (int)GROUP_ITEM;
  const int tile = (int)(GRID_ITEM(256) / 256);
  const int v0 = tile % 16;
  const int v1 = tile / 16;
  const int item1 = item % 16;
  const int item0 = item / 16;
  float sum0 = (float)(as_float(0x00000000u));
  float sum1 = (float)(as_float(0x00000000u));
  float sum2 = (float)(as_float(0x00000000u));
  float sum3 = (float)(as_float(0x00000000u));
  float sum4 = (float)(as_float(0x00000000u));
  float sum5 = (float)(as_float(0x00000000u));
  float sum6 = (float)(as_float(0x00000000u));
  float sum7 = (float)(as_float(0x00000000u));
  float sum8 = (float)(as_float(0x00000000u));
  float sum9 = (float)(as_float(0x00000000u));
  float sum10 = (float)(as_float(0x00000000u));
  float sum11 = (float)(as_float(0x00000000u));
  float sum12 = (float)(as_float(0x00000000u));
  float sum13 = (float)(as_float(0x00000000u));
  float sum14 = (float)(as_float(0x00000000u));
  float sum15 = (float)(as_float(0x00000000u));
  LOOP (int k0 = 0; k0 < 256; k0 += 1) {
    const int v2 = v1 * 65536 + item0 * 4096 + 0 * 1024 + k0 * 4 + 0;
    const WORDS4 v3 = LOAD_WORDS4(read0 + (v2));
    const float v4 = as_float(v3.x);
    const int v5 = v0 * 65536 + item1 * 4096 + 0 * 1024 + k0 * 4 + 0;
    const WORDS4 v6 = LOAD_WORDS4(read1 + (v5));
    const float v7 = as_float(v6.x);
    sum0 = q_fma_float(v4, v7, sum0);
    const int v8 = v0 * 65536 + item1 * 4096 + 1 * 1024 + k0 * 4 + 0;
    const WORDS4 v9 = LOAD_WORDS4(read1 + (v8));
    const float v10 = as_float(v9.x);
    sum1 = q_fma_float(v4, v10, sum1);
    const int v11 = v0 * 65536 + item1 * 4096 + 2 * 1024 + k0 * 4 + 0;
    const WORDS4 v12 = LOAD_WORDS4(read1 + (v11));
    const float v13 = as_float(v12.x);
    sum2 = q_fma_float(v4, v13, sum2);
    const int v14 = v0 * 65536 + item1 * 4096 + 3 * 1024 + k0 * 4 + 0;
    const WORDS4 v15 = LOAD_WORDS4(read1 + (v14));
    const float v16 = as_float(v15.x);
    sum3 = q_fma_float(v4, v16, sum3);
    const int v17 = v1 * 65536 + item0 * 4096 + 1 * 1024 + k0 * 4 + 0;
    const WORDS4 v18 = LOAD_WORDS4(read0 + (v17));
    const float v19 = as_float(v18.x);
    sum4 = q_fma_float(v19, v7, sum4);
    sum5 = q_fma_float(v19, v10, sum5);
    sum6 = q_fma_float(v19, v13, sum6);
    sum7 = q_fma_float(v19, v16, sum7);
    const int v20 = v1 * 65536 + item0 * 4096 + 2 * 1024 + k0 * 4 + 0;
    const WORDS4 v21 = LOAD_WORDS4(read0 + (v20));
    const float v22 = as_float(v21.x);
    sum8 = q_fma_float(v22, v7, sum8);
    sum9 = q_fma_float(v22, v10, sum9);
    sum10 = q_fma_float(v22, v13, sum10);
    sum11 = q_fma_float(v22, v16, sum11);
    const int v23 = v1 * 65536 + item0 * 4096 + 3 * 1024 + k0 * 4 + 0;
    const WORDS4 v24 = LOAD_WORDS4(read0 + (v23));
    const float v25 = as_float(v24.x);
    sum12 = q_fma_float(v25, v7, sum12);
    sum13 = q_fma_float(v25, v10, sum13);
    sum14 = q_fma_float(v25, v13, sum14);
    sum15 = q_fma_float(v25, v16, sum15);
    const float v26 = as_float(v3.y);
    const float v27 = as_float(v6.y);
    sum0 = q_fma_float(v26, v27, sum0);
    const float v28 = as_float(v9.y);
    sum1 = q_fma_float(v26, v28, sum1);
    const float v29 = as_float(v12.y);
    sum2 = q_fma_float(v26, v29, sum2);
    const float v30 = as_float(v15.y);
    sum3 = q_fma_float(v26, v30, sum3);
    const float v31 = as_float(v18.y);
    sum4 = q_fma_float(v31, v27, sum4);
    sum5 = q_fma_float(v31, v28, sum5);
    sum6 = q_fma_float(v31, v29, sum6);
    sum7 = q_fma_float(v31, v30, sum7);
    const float v32 = as_float(v21.y);
    sum8 = q_fma_float(v32, v27, sum8);
    sum9 = q_fma_float(v32, v28, sum9);
    sum10 = q_fma_float(v32, v29, sum10);
    sum11 = q_fma_float(v32, v30, sum11);
    const float v33 = as_float(v24.y);
    sum12 = q_fma_float(v33, v27, sum12);
    sum13 = q_fma_float(v33, v28, sum13);
    sum14 = q_fma_float(v33, v29, sum14);
    sum15 = q_fma_float(v33, v30, sum15);
    const float v34 = as_float(v3.z);
    const float v35 = as_float(v6.z);
    sum0 = q_fma_float(v34, v35, sum0);
    const float v36 = as_float(v9.z);
    sum1 = q_fma_float(v34, v36, sum1);
    const float v37 = as_float(v12.z);
    sum2 = q_fma_float(v34, v37, sum2);
    const float v38 = as_float(v15.z);
    sum3 = q_fma_float(v34, v38, sum3);
    const float v39 = as_float(v18.z);
    sum4 = q_fma_float(v39, v35, sum4);
    sum5 = q_fma_float(v39, v36, sum5);
    sum6 = q_fma_float(v39, v37, sum6);
    sum7 = q_fma_float(v39, v38, sum7);
    const float v40 = as_float(v21.z);
    sum8 = q_fma_float(v40, v35, sum8);
    sum9 = q_fma_float(v40, v36, sum9);
    sum10 = q_fma_float(v40, v37, sum10);
    sum11 = q_fma_float(v40, v38, sum11);
    const float v41 = as_float(v24.z);
    sum12 = q_fma_float(v41, v35, sum12);
    sum13 = q_fma_float(v41, v36, sum13);
    sum14 = q_fma_float(v41, v37, sum14);
    sum15 = q_fma_float(v41, v38, sum15);
    const float v42 = as_float(v3.w);
    const float v43 = as_float(v6.w);
    sum0 = q_fma_float(v42, v43, sum0);
    const float v44 = as_float(v9.w);
    sum1 = q_fma_float(v42, v44, sum1);
    const float v45 = as_float(v12.w);
    sum2 = q_fma_float(v42, v45, sum2);
    const float v46 = as_float(v15.w);
    sum3 = q_fma_float(v42, v46, sum3);
    const float v47 = as_float(v18.w);
    sum4 = q_fma_float(v47, v43, sum4);
    sum5 = q_fma_float(v47, v44, sum5);
    sum6 = q_fma_float(v47, v45, sum6);
    sum7 = q_fma_float(v47, v46, sum7);
    const float v48 = as_float(v21.w);
    sum8 = q_fma_float(v48, v43, sum8);
    sum9 = q_fma_float(v48, v44, sum9);
    sum10 = q_fma_float(v48, v45, sum10);
    sum11 = q_fma_float(v48, v46, sum11);
    const float v49 = as_float(v24.w);
    sum12 = q_fma_float(v49, v43, sum12);
    sum13 = q_fma_float(v49, v44, sum13);
    sum14 = q_fma_float(v49, v45, sum14);
    sum15 = q_fma_float(v49, v46, sum15);
  }
  const int v50 = v1 * 65536 + item0 * 4096 + 0 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v50), (uint)as_uint(sum0), (uint)as_uint(sum1), (uint)as_uint(sum2), (uint)as_uint(sum3));
  const int v51 = v1 * 65536 + item0 * 4096 + 1 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v51), (uint)as_uint(sum4), (uint)as_uint(sum5), (uint)as_uint(sum6), (uint)as_uint(sum7));
  const int v52 = v1 * 65536 + item0 * 4096 + 2 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v52), (uint)as_uint(sum8), (uint)as_uint(sum9), (uint)as_uint(sum10), (uint)as_uint(sum11));
  const int v53 = v1 * 65536 + item0 * 4096 + 3 * 1024 + v0 * 64 + item1 * 4 + 0;
  STORE_WORDS4(result + (v53), (uint)as_uint(sum12), (uint)as_uint(sum13), (uint)as_uint(sum14), (uint)as_uint(sum15));
}

