// x + y, f32
// vector(r0, 16) unroll(r0, 2) chunk(6554) local(1)
KERNEL(1) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset,
    GLOBAL const float* RESTRICT read1, long read1_offset) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int first = (int)GRID_ITEM(1) * 6554;
  const int end = min(first + 6554, (int)32768);
  for (int tile = first; tile < end; ++tile) {
    const float16 v0 = vload16(0, read0 + (tile * 32 + 0 * 16));
    const float16 v1 = vload16(0, read1 + (tile * 32 + 0 * 16));
    const float16 v2 = v0 + v1;
    const float16 v3 = vload16(0, read0 + (tile * 32 + 1 * 16));
    const float16 v4 = vload16(0, read1 + (tile * 32 + 1 * 16));
    const float16 v5 = v3 + v4;
    vstore16(v2, 0, result + (tile * 32 + 0 * 16));
    vstore16(v5, 0, result + (tile * 32 + 1 * 16));
  }
}

// x + y, bf16
HELPER float16 q_from_bf16_ushort16(ushort16 h) { return as_float16(convert_uint16(h) << (uint16)(16)); }
HELPER float16 q_round_bf16_float16(float16 x) {
  const uint16 bits = as_uint16(x);
  const uint16 rounded = (bits + (uint16)(0x7fffu) + ((bits >> (uint16)(16)) & (uint16)(1))) & (uint16)(0xffff0000u);
  return as_float16(select(rounded, (uint16)(0x7fc00000u), convert_int16(x != x)));
}
HELPER ushort16 q_to_bf16_float16(float16 x) { return convert_ushort16(as_uint16(x) >> (uint16)(16)); }
// vector(r0, 16) unroll(r0, 2) chunk(2048) local(1)
KERNEL(1) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset,
    GLOBAL const ushort* RESTRICT read1, long read1_offset) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int first = (int)GRID_ITEM(1) * 2048;
  const int end = min(first + 2048, (int)32768);
  for (int tile = first; tile < end; ++tile) {
    const float16 v0 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 32 + 0 * 16)));
    const float16 v1 = q_from_bf16_ushort16(vload16(0, read1 + (tile * 32 + 0 * 16)));
    const float16 v2 = q_round_bf16_float16(v0 + v1);
    const float16 v3 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 32 + 1 * 16)));
    const float16 v4 = q_from_bf16_ushort16(vload16(0, read1 + (tile * 32 + 1 * 16)));
    const float16 v5 = q_round_bf16_float16(v3 + v4);
    vstore16(q_to_bf16_float16(v2), 0, result + (tile * 32 + 0 * 16));
    vstore16(q_to_bf16_float16(v5), 0, result + (tile * 32 + 1 * 16));
  }
}

// exp(x), f32
HELPER float16 q_exp_float16(float16 x) {
  const float16 c = clamp(x, (float16)(-104.0f), (float16)(89.0f));
  const float16 n = rint(c * (float16)(1.44269504f));
  const float16 r = fma(n, (float16)(2.12194440e-4f), fma(n, (float16)(-0.693359375f), c));
  float16 p = (float16)(1.9875691500e-4f);
  p = fma(p, r, (float16)(1.3981999507e-3f));
  p = fma(p, r, (float16)(8.3334519073e-3f));
  p = fma(p, r, (float16)(4.1665795894e-2f));
  p = fma(p, r, (float16)(1.6666665459e-1f));
  p = fma(p, r, (float16)(5.0000001201e-1f));
  p = fma(p, r * r, r) + (float16)(1.0f);
  const int16 whole = convert_int16(select(n, (float16)(0), convert_int16(x != x))), half_of_it = whole >> (int16)(1);
  const float16 scale = as_float16((half_of_it + (int16)(127)) << (int16)(23));
  const float16 rest = as_float16((whole - half_of_it + (int16)(127)) << (int16)(23));
  return select((p * scale) * rest, x, convert_int16(x != x));
}
// vector(r0, 16) unroll(r0, 2) chunk(2048) local(1)
KERNEL(1) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int first = (int)GRID_ITEM(1) * 2048;
  const int end = min(first + 2048, (int)32768);
  for (int tile = first; tile < end; ++tile) {
    const float16 v0 = vload16(0, read0 + (tile * 32 + 0 * 16));
    const float16 v1 = q_exp_float16(v0);
    const float16 v2 = vload16(0, read0 + (tile * 32 + 1 * 16));
    const float16 v3 = q_exp_float16(v2);
    vstore16(v1, 0, result + (tile * 32 + 0 * 16));
    vstore16(v3, 0, result + (tile * 32 + 1 * 16));
  }
}

// x / y, i32, of a length that no word divides
HELPER int16 q_div_int16(int16 a, int16 b) {
  const int16 zero = convert_int16(b == (int16)(0)), minus = convert_int16(b == (int16)(-1));
  int16 q = a / (b + (zero & (int16)(1)) + ((minus & (int16)(1)) << (int16)(1)));
  q = select(q, as_int16(convert_uint16((uint16)(0) - as_uint16(a))), minus);
  return select(q, (int16)(0), zero);
}
// vector(r0, 16) unroll(r0, 2) chunk(32) local(1)
KERNEL(1) kernel0(GLOBAL int* RESTRICT result, long result_offset,
    GLOBAL const int* RESTRICT read0, long read0_offset,
    GLOBAL const int* RESTRICT read1, long read1_offset) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int first = (int)GRID_ITEM(1) * 32;
  const int end = min(first + 32, (int)32);
  for (int tile = first; tile < end; ++tile) {
    const int v0 = min(tile * 32, (int)971);
    const int16 v1 = vload16(0, read0 + (v0 + 0 * 16));
    const int16 v2 = vload16(0, read1 + (v0 + 0 * 16));
    const int16 v3 = q_div_int16(v1, v2);
    const int16 v4 = vload16(0, read0 + (v0 + 1 * 16));
    const int16 v5 = vload16(0, read1 + (v0 + 1 * 16));
    const int16 v6 = q_div_int16(v4, v5);
    vstore16(v3, 0, result + (v0 + 0 * 16));
    vstore16(v6, 0, result + (v0 + 1 * 16));
  }
}

// f64 to f16
HELPER float8 q_odd_double_double8(double8 x) {
  const float8 f = convert_float8(x);
  const double8 back = convert_double8(f);
  const int8 inexact = convert_int8(back != x) & convert_int8(x == x) & convert_int8(fabs(x) < (double8)(1e300));
  const int8 away = convert_int8(fabs(back) > fabs(x));
  uint8 bits = as_uint8(f);
  bits = select(bits, bits - (uint8)(1), away);
  return as_float8(select(as_uint8(f), bits | (uint8)(1), inexact));
}
HELPER float8 q_round_f16_float8(float8 x) {
  const uint8 bits = as_uint8(x), magnitude = bits & (uint8)(0x7fffffffu);
  const uint8 rounded = (magnitude + (uint8)(0xfffu) + ((magnitude >> (uint8)(13)) & (uint8)(1))) & (uint8)(0xffffe000u);
  const uint8 tiny = as_uint8((as_float8(magnitude) + (float8)(0.5f)) - (float8)(0.5f));
  uint8 result = select(rounded, tiny, convert_int8(magnitude < (uint8)(0x38800000u)));
  result = select(result, (uint8)(0x7f800000u), convert_int8(rounded > (uint8)(0x477fe000u)));
  result = select(result, (uint8)(0x7fc00000u), convert_int8(magnitude > (uint8)(0x7f800000u)));
  return as_float8(result | (bits & (uint8)(0x80000000u)));
}
HELPER ushort8 q_to_f16_float8(float8 x) {
  const uint8 bits = as_uint8(x), magnitude = bits & (uint8)(0x7fffffffu);
  uint8 h = (magnitude - (uint8)(0x38000000u)) >> (uint8)(13);
  h = select(h, convert_uint8(fabs(x) * (float8)(0x1p24f)), convert_int8(magnitude < (uint8)(0x38800000u)));
  h = select(h, (uint8)(0x7c00u), convert_int8(magnitude >= (uint8)(0x7f800000u)));
  h |= select((uint8)(0), (uint8)(0x200u), convert_int8(magnitude > (uint8)(0x7f800000u)));
  return convert_ushort8(h | ((bits >> (uint8)(16)) & (uint8)(0x8000u)));
}
// vector(r0, 8) unroll(r0, 2) chunk(4096) local(1)
KERNEL(1) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const double* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int first = (int)GRID_ITEM(1) * 4096;
  const int end = min(first + 4096, (int)4096);
  for (int tile = first; tile < end; ++tile) {
    const double8 v0 = vload8(0, read0 + (tile * 16 + 0 * 8));
    const float8 v1 = q_round_f16_float8(q_odd_double_double8(v0));
    const double8 v2 = vload8(0, read0 + (tile * 16 + 1 * 8));
    const float8 v3 = q_round_f16_float8(q_odd_double_double8(v2));
    vstore8(q_to_f16_float8(v1), 0, result + (tile * 16 + 0 * 8));
    vstore8(q_to_f16_float8(v3), 0, result + (tile * 16 + 1 * 8));
  }
}

// sums of exp along rows, bf16
HELPER float16 q_from_bf16_ushort16(ushort16 h) { return as_float16(convert_uint16(h) << (uint16)(16)); }
HELPER float16 q_exp_float16(float16 x) {
  const float16 c = clamp(x, (float16)(-104.0f), (float16)(89.0f));
  const float16 n = rint(c * (float16)(1.44269504f));
  const float16 r = fma(n, (float16)(2.12194440e-4f), fma(n, (float16)(-0.693359375f), c));
  float16 p = (float16)(1.9875691500e-4f);
  p = fma(p, r, (float16)(1.3981999507e-3f));
  p = fma(p, r, (float16)(8.3334519073e-3f));
  p = fma(p, r, (float16)(4.1665795894e-2f));
  p = fma(p, r, (float16)(1.6666665459e-1f));
  p = fma(p, r, (float16)(5.0000001201e-1f));
  p = fma(p, r * r, r) + (float16)(1.0f);
  const int16 whole = convert_int16(select(n, (float16)(0), convert_int16(x != x))), half_of_it = whole >> (int16)(1);
  const float16 scale = as_float16((half_of_it + (int16)(127)) << (int16)(23));
  const float16 rest = as_float16((whole - half_of_it + (int16)(127)) << (int16)(23));
  return select((p * scale) * rest, x, convert_int16(x != x));
}
HELPER float16 q_exp_narrow_float16(float16 x) { return q_exp_float16(x); }
HELPER float16 q_round_bf16_float16(float16 x) {
  const uint16 bits = as_uint16(x);
  const uint16 rounded = (bits + (uint16)(0x7fffu) + ((bits >> (uint16)(16)) & (uint16)(1))) & (uint16)(0xffff0000u);
  return as_float16(select(rounded, (uint16)(0x7fc00000u), convert_int16(x != x)));
}
HELPER float q_round_bf16_float(float x) {
  const uint bits = as_uint(x);
  const uint rounded = (bits + (uint)(0x7fffu) + ((bits >> (uint)(16)) & (uint)(1))) & (uint)(0xffff0000u);
  return as_float(select(rounded, (uint)(0x7fc00000u), convert_int(x != x)));
}
HELPER ushort q_to_bf16_float(float x) { return convert_ushort(as_uint(x) >> (uint)(16)); }
// vector(r1, 16) unroll(r1, 4) chunk(2048) local(1)
KERNEL(1) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int first = (int)GRID_ITEM(1) * 2048;
  const int end = min(first + 2048, (int)32768);
  for (int tile = first; tile < end; ++tile) {
    float16 sum0 = (float16)(as_float(0x00000000u));
    float16 sum1 = (float16)(as_float(0x00000000u));
    float16 sum2 = (float16)(as_float(0x00000000u));
    float16 sum3 = (float16)(as_float(0x00000000u));
    LOOP (int k0 = 0; k0 < 64; k0 += 1) {
      const float16 v0 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 4096 + k0 * 64 + 0 * 16)));
      const float16 v1 = q_round_bf16_float16(q_exp_narrow_float16(v0));
      sum0 = sum0 + v1;
      const float16 v2 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 4096 + k0 * 64 + 1 * 16)));
      const float16 v3 = q_round_bf16_float16(q_exp_narrow_float16(v2));
      sum1 = sum1 + v3;
      const float16 v4 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 4096 + k0 * 64 + 2 * 16)));
      const float16 v5 = q_round_bf16_float16(q_exp_narrow_float16(v4));
      sum2 = sum2 + v5;
      const float16 v6 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 4096 + k0 * 64 + 3 * 16)));
      const float16 v7 = q_round_bf16_float16(q_exp_narrow_float16(v6));
      sum3 = sum3 + v7;
    }
    const float16 v8 = sum0 + sum1;
    const float16 v9 = sum2 + sum3;
    const float16 v10 = v8 + v9;
    const float8 v11 = v10.lo + v10.hi;
    const float4 v12 = v11.lo + v11.hi;
    const float2 v13 = v12.lo + v12.hi;
    const float v14 = v13.lo + v13.hi;
    const float v15 = q_round_bf16_float(v14);
    result[tile] = q_to_bf16_float(v15);
  }
}

// maxima of long rows, f32
HELPER float16 q_max_float16(float16 a, float16 b) {
  return select(select(b, a, convert_int16(a > b)), a, convert_int16(a != a));
}
HELPER float8 q_max_float8(float8 a, float8 b) {
  return select(select(b, a, convert_int8(a > b)), a, convert_int8(a != a));
}
HELPER float4 q_max_float4(float4 a, float4 b) {
  return select(select(b, a, convert_int4(a > b)), a, convert_int4(a != a));
}
HELPER float2 q_max_float2(float2 a, float2 b) {
  return select(select(b, a, convert_int2(a > b)), a, convert_int2(a != a));
}
HELPER float q_max_float(float a, float b) {
  return select(select(b, a, convert_int(a > b)), a, convert_int(a != a));
}
// vector(r1, 16) unroll(r1, 4) chunk(2) local(1)
KERNEL(1) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int first = (int)GRID_ITEM(1) * 2;
  const int end = min(first + 2, (int)16);
  for (int tile = first; tile < end; ++tile) {
    float16 sum0 = (float16)(as_float(0xff800000u));
    float16 sum1 = (float16)(as_float(0xff800000u));
    float16 sum2 = (float16)(as_float(0xff800000u));
    float16 sum3 = (float16)(as_float(0xff800000u));
    LOOP (int k0 = 0; k0 < 4096; k0 += 1) {
      const float16 v0 = vload16(0, read0 + (tile * 262144 + k0 * 64 + 0 * 16));
      sum0 = q_max_float16(sum0, v0);
      const float16 v1 = vload16(0, read0 + (tile * 262144 + k0 * 64 + 1 * 16));
      sum1 = q_max_float16(sum1, v1);
      const float16 v2 = vload16(0, read0 + (tile * 262144 + k0 * 64 + 2 * 16));
      sum2 = q_max_float16(sum2, v2);
      const float16 v3 = vload16(0, read0 + (tile * 262144 + k0 * 64 + 3 * 16));
      sum3 = q_max_float16(sum3, v3);
    }
    const float16 v4 = q_max_float16(sum0, sum1);
    const float16 v5 = q_max_float16(sum2, sum3);
    const float16 v6 = q_max_float16(v4, v5);
    const float8 v7 = q_max_float8(v6.lo, v6.hi);
    const float4 v8 = q_max_float4(v7.lo, v7.hi);
    const float2 v9 = q_max_float2(v8.lo, v8.hi);
    const float v10 = q_max_float(v9.lo, v9.hi);
    result[tile] = v10;
  }
}

// sums down columns, bf16
HELPER float16 q_from_bf16_ushort16(ushort16 h) { return as_float16(convert_uint16(h) << (uint16)(16)); }
HELPER float16 q_round_bf16_float16(float16 x) {
  const uint16 bits = as_uint16(x);
  const uint16 rounded = (bits + (uint16)(0x7fffu) + ((bits >> (uint16)(16)) & (uint16)(1))) & (uint16)(0xffff0000u);
  return as_float16(select(rounded, (uint16)(0x7fc00000u), convert_int16(x != x)));
}
HELPER ushort16 q_to_bf16_float16(float16 x) { return convert_ushort16(as_uint16(x) >> (uint16)(16)); }
// vector(r0, 16) unroll(r0, 8) chunk(2) local(1)
KERNEL(1) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int first = (int)GRID_ITEM(1) * 2;
  const int end = min(first + 2, (int)32);
  for (int tile = first; tile < end; ++tile) {
    float16 sum0 = (float16)(as_float(0x00000000u));
    float16 sum1 = (float16)(as_float(0x00000000u));
    float16 sum2 = (float16)(as_float(0x00000000u));
    float16 sum3 = (float16)(as_float(0x00000000u));
    float16 sum4 = (float16)(as_float(0x00000000u));
    float16 sum5 = (float16)(as_float(0x00000000u));
    float16 sum6 = (float16)(as_float(0x00000000u));
    float16 sum7 = (float16)(as_float(0x00000000u));
    LOOP (int k0 = 0; k0 < 32768; k0 += 1) {
      const float16 v0 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 0 * 16 + k0 * 4096)));
      sum0 = sum0 + v0;
      const float16 v1 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 1 * 16 + k0 * 4096)));
      sum1 = sum1 + v1;
      const float16 v2 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 2 * 16 + k0 * 4096)));
      sum2 = sum2 + v2;
      const float16 v3 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 3 * 16 + k0 * 4096)));
      sum3 = sum3 + v3;
      const float16 v4 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 4 * 16 + k0 * 4096)));
      sum4 = sum4 + v4;
      const float16 v5 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 5 * 16 + k0 * 4096)));
      sum5 = sum5 + v5;
      const float16 v6 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 6 * 16 + k0 * 4096)));
      sum6 = sum6 + v6;
      const float16 v7 = q_from_bf16_ushort16(vload16(0, read0 + (tile * 128 + 7 * 16 + k0 * 4096)));
      sum7 = sum7 + v7;
    }
    const float16 v8 = q_round_bf16_float16(sum0);
    const float16 v9 = q_round_bf16_float16(sum1);
    const float16 v10 = q_round_bf16_float16(sum2);
    const float16 v11 = q_round_bf16_float16(sum3);
    const float16 v12 = q_round_bf16_float16(sum4);
    const float16 v13 = q_round_bf16_float16(sum5);
    const float16 v14 = q_round_bf16_float16(sum6);
    const float16 v15 = q_round_bf16_float16(sum7);
    vstore16(q_to_bf16_float16(v8), 0, result + (tile * 128 + 0 * 16));
    vstore16(q_to_bf16_float16(v9), 0, result + (tile * 128 + 1 * 16));
    vstore16(q_to_bf16_float16(v10), 0, result + (tile * 128 + 2 * 16));
    vstore16(q_to_bf16_float16(v11), 0, result + (tile * 128 + 3 * 16));
    vstore16(q_to_bf16_float16(v12), 0, result + (tile * 128 + 4 * 16));
    vstore16(q_to_bf16_float16(v13), 0, result + (tile * 128 + 5 * 16));
    vstore16(q_to_bf16_float16(v14), 0, result + (tile * 128 + 6 * 16));
    vstore16(q_to_bf16_float16(v15), 0, result + (tile * 128 + 7 * 16));
  }
}

// the sum of everything, f32
// vector(r0, 16) unroll(r0, 4) split(r0, 11) chunk(1) local(1)
KERNEL(1) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int tile = (int)GRID_ITEM(1);
  if (tile < 11) {
    const int v0 = tile / 1;
    const int v1 = tile % 1;
    float16 sum0 = (float16)(as_float(0x00000000u));
    float16 sum1 = (float16)(as_float(0x00000000u));
    float16 sum2 = (float16)(as_float(0x00000000u));
    float16 sum3 = (float16)(as_float(0x00000000u));
    const int v2 = v0 * 5958;
    const int v3 = min(v2 + 5958, (int)65536);
    LOOP (int k0 = v2; k0 < v3; k0 += 1) {
      const float16 v4 = vload16(0, read0 + (k0 * 64 + 0 * 16));
      sum0 = sum0 + v4;
      const float16 v5 = vload16(0, read0 + (k0 * 64 + 1 * 16));
      sum1 = sum1 + v5;
      const float16 v6 = vload16(0, read0 + (k0 * 64 + 2 * 16));
      sum2 = sum2 + v6;
      const float16 v7 = vload16(0, read0 + (k0 * 64 + 3 * 16));
      sum3 = sum3 + v7;
    }
    const float16 v8 = sum0 + sum1;
    const float16 v9 = sum2 + sum3;
    const float16 v10 = v8 + v9;
    const float8 v11 = v10.lo + v10.hi;
    const float4 v12 = v11.lo + v11.hi;
    const float2 v13 = v12.lo + v12.hi;
    const float v14 = v13.lo + v13.hi;
    result[v0 * 1 + 0] = v14;
  }
}
// vector(r0, 8) chunk(1) local(1)
KERNEL(1) kernel1(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int tile = (int)GRID_ITEM(1);
  if (tile < 1) {
    float8 sum0 = (float8)(as_float(0x00000000u));
    LOOP (int k0 = 0; k0 < 1; k0 += 1) {
      const int v0 = k0 * 8;
      const float8 v1 = vload8(0, read0 + (v0));
      sum0 = sum0 + v1;
    }
     {
      const float8 v2 = vload8(0, read0 + (3));
      const float8 v3 = select((float8)(as_float(0x00000000u)), v2, (int8)(0, 0, 0, 0, 0, -1, -1, -1));
      sum0 = sum0 + v3;
    }
    const float4 v4 = sum0.lo + sum0.hi;
    const float2 v5 = v4.lo + v4.hi;
    const float v6 = v5.lo + v5.hi;
    result[0] = v6;
  }
}

// transposition, f32
// vector(r0, 16) unroll(r0, 2) chunk(32768) local(1)
KERNEL(1) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int first = (int)GRID_ITEM(1) * 32768;
  const int end = min(first + 32768, (int)524288);
  for (int tile = first; tile < end; ++tile) {
    const int v0 = tile % 4096;
    const int v1 = tile / 4096;
    const float16 v2 = vload16(0, read0 + (v1 * 32 + 0 * 16 + v0 * 4096));
    const float16 v3 = vload16(0, read0 + (v1 * 32 + 1 * 16 + v0 * 4096));
    const int16 v4 = v1 * 131072 + 0 * 65536 + (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * 4096 + v0;
    const float16 v5 = v2;
    result[v4.s0] = v5.s0;
    result[v4.s1] = v5.s1;
    result[v4.s2] = v5.s2;
    result[v4.s3] = v5.s3;
    result[v4.s4] = v5.s4;
    result[v4.s5] = v5.s5;
    result[v4.s6] = v5.s6;
    result[v4.s7] = v5.s7;
    result[v4.s8] = v5.s8;
    result[v4.s9] = v5.s9;
    result[v4.sa] = v5.sa;
    result[v4.sb] = v5.sb;
    result[v4.sc] = v5.sc;
    result[v4.sd] = v5.sd;
    result[v4.se] = v5.se;
    result[v4.sf] = v5.sf;
    const int16 v6 = v1 * 131072 + 1 * 65536 + (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * 4096 + v0;
    const float16 v7 = v3;
    result[v6.s0] = v7.s0;
    result[v6.s1] = v7.s1;
    result[v6.s2] = v7.s2;
    result[v6.s3] = v7.s3;
    result[v6.s4] = v7.s4;
    result[v6.s5] = v7.s5;
    result[v6.s6] = v7.s6;
    result[v6.s7] = v7.s7;
    result[v6.s8] = v7.s8;
    result[v6.s9] = v7.s9;
    result[v6.sa] = v7.sa;
    result[v6.sb] = v7.sb;
    result[v6.sc] = v7.sc;
    result[v6.sd] = v7.sd;
    result[v6.se] = v7.se;
    result[v6.sf] = v7.sf;
  }
}

// transposition, bf16
HELPER float16 q_from_bf16_ushort16(ushort16 h) { return as_float16(convert_uint16(h) << (uint16)(16)); }
HELPER ushort16 q_to_bf16_float16(float16 x) { return convert_ushort16(as_uint16(x) >> (uint16)(16)); }
// vector(r0, 16) unroll(r0, 2) chunk(32768) local(1)
KERNEL(1) kernel0(GLOBAL ushort* RESTRICT result, long result_offset,
    GLOBAL const ushort* RESTRICT read0, long read0_offset) {
  result += result_offset;
  read0 += read0_offset;
  const int first = (int)GRID_ITEM(1) * 32768;
  const int end = min(first + 32768, (int)524288);
  for (int tile = first; tile < end; ++tile) {
    const int v0 = tile % 4096;
    const int v1 = tile / 4096;
    const float16 v2 = q_from_bf16_ushort16(vload16(0, read0 + (v1 * 32 + 0 * 16 + v0 * 4096)));
    const float16 v3 = q_from_bf16_ushort16(vload16(0, read0 + (v1 * 32 + 1 * 16 + v0 * 4096)));
    const int16 v4 = v1 * 131072 + 0 * 65536 + (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * 4096 + v0;
    const ushort16 v5 = q_to_bf16_float16(v2);
    result[v4.s0] = v5.s0;
    result[v4.s1] = v5.s1;
    result[v4.s2] = v5.s2;
    result[v4.s3] = v5.s3;
    result[v4.s4] = v5.s4;
    result[v4.s5] = v5.s5;
    result[v4.s6] = v5.s6;
    result[v4.s7] = v5.s7;
    result[v4.s8] = v5.s8;
    result[v4.s9] = v5.s9;
    result[v4.sa] = v5.sa;
    result[v4.sb] = v5.sb;
    result[v4.sc] = v5.sc;
    result[v4.sd] = v5.sd;
    result[v4.se] = v5.se;
    result[v4.sf] = v5.sf;
    const int16 v6 = v1 * 131072 + 1 * 65536 + (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * 4096 + v0;
    const ushort16 v7 = q_to_bf16_float16(v3);
    result[v6.s0] = v7.s0;
    result[v6.s1] = v7.s1;
    result[v6.s2] = v7.s2;
    result[v6.s3] = v7.s3;
    result[v6.s4] = v7.s4;
    result[v6.s5] = v7.s5;
    result[v6.s6] = v7.s6;
    result[v6.s7] = v7.s7;
    result[v6.s8] = v7.s8;
    result[v6.s9] = v7.s9;
    result[v6.sa] = v7.sa;
    result[v6.sb] = v7.sb;
    result[v6.sc] = v7.sc;
    result[v6.sd] = v7.sd;
    result[v6.se] = v7.se;
    result[v6.sf] = v7.sf;
  }
}

// matmul, f32
HELPER float16 q_fma_float16(float16 a, float16 b, float16 c) { return fma(a, b, c); }
// vector(r1, 16) unroll(r1, 4) unroll(r0, 6) outer(r1) chunk(171) local(1)
KERNEL(1) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset,
    GLOBAL const float* RESTRICT read1, long read1_offset) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int first = (int)GRID_ITEM(1) * 171;
  const int end = min(first + 171, (int)2736);
  for (int tile = first; tile < end; ++tile) {
    const int v0 = tile % 171;
    const int v1 = min(v0 * 6, (int)1018);
    const int v2 = tile / 171;
    float16 sum0 = (float16)(as_float(0x00000000u));
    float16 sum1 = (float16)(as_float(0x00000000u));
    float16 sum2 = (float16)(as_float(0x00000000u));
    float16 sum3 = (float16)(as_float(0x00000000u));
    float16 sum4 = (float16)(as_float(0x00000000u));
    float16 sum5 = (float16)(as_float(0x00000000u));
    float16 sum6 = (float16)(as_float(0x00000000u));
    float16 sum7 = (float16)(as_float(0x00000000u));
    float16 sum8 = (float16)(as_float(0x00000000u));
    float16 sum9 = (float16)(as_float(0x00000000u));
    float16 sum10 = (float16)(as_float(0x00000000u));
    float16 sum11 = (float16)(as_float(0x00000000u));
    float16 sum12 = (float16)(as_float(0x00000000u));
    float16 sum13 = (float16)(as_float(0x00000000u));
    float16 sum14 = (float16)(as_float(0x00000000u));
    float16 sum15 = (float16)(as_float(0x00000000u));
    float16 sum16 = (float16)(as_float(0x00000000u));
    float16 sum17 = (float16)(as_float(0x00000000u));
    float16 sum18 = (float16)(as_float(0x00000000u));
    float16 sum19 = (float16)(as_float(0x00000000u));
    float16 sum20 = (float16)(as_float(0x00000000u));
    float16 sum21 = (float16)(as_float(0x00000000u));
    float16 sum22 = (float16)(as_float(0x00000000u));
    float16 sum23 = (float16)(as_float(0x00000000u));
    LOOP (int k0 = 0; k0 < 1024; k0 += 1) {
      const int v3 = v1 * 1024 + 0 * 1024 + k0;
      const float v4 = read0[v3];
      const float16 v5 = vload16(0, read1 + (v2 * 64 + 0 * 16 + k0 * 1024));
      sum0 = q_fma_float16((float16)(v4), v5, sum0);
      const int v6 = v1 * 1024 + 1 * 1024 + k0;
      const float v7 = read0[v6];
      sum1 = q_fma_float16((float16)(v7), v5, sum1);
      const int v8 = v1 * 1024 + 2 * 1024 + k0;
      const float v9 = read0[v8];
      sum2 = q_fma_float16((float16)(v9), v5, sum2);
      const int v10 = v1 * 1024 + 3 * 1024 + k0;
      const float v11 = read0[v10];
      sum3 = q_fma_float16((float16)(v11), v5, sum3);
      const int v12 = v1 * 1024 + 4 * 1024 + k0;
      const float v13 = read0[v12];
      sum4 = q_fma_float16((float16)(v13), v5, sum4);
      const int v14 = v1 * 1024 + 5 * 1024 + k0;
      const float v15 = read0[v14];
      sum5 = q_fma_float16((float16)(v15), v5, sum5);
      const float16 v16 = vload16(0, read1 + (v2 * 64 + 1 * 16 + k0 * 1024));
      sum6 = q_fma_float16((float16)(v4), v16, sum6);
      sum7 = q_fma_float16((float16)(v7), v16, sum7);
      sum8 = q_fma_float16((float16)(v9), v16, sum8);
      sum9 = q_fma_float16((float16)(v11), v16, sum9);
      sum10 = q_fma_float16((float16)(v13), v16, sum10);
      sum11 = q_fma_float16((float16)(v15), v16, sum11);
      const float16 v17 = vload16(0, read1 + (v2 * 64 + 2 * 16 + k0 * 1024));
      sum12 = q_fma_float16((float16)(v4), v17, sum12);
      sum13 = q_fma_float16((float16)(v7), v17, sum13);
      sum14 = q_fma_float16((float16)(v9), v17, sum14);
      sum15 = q_fma_float16((float16)(v11), v17, sum15);
      sum16 = q_fma_float16((float16)(v13), v17, sum16);
      sum17 = q_fma_float16((float16)(v15), v17, sum17);
      const float16 v18 = vload16(0, read1 + (v2 * 64 + 3 * 16 + k0 * 1024));
      sum18 = q_fma_float16((float16)(v4), v18, sum18);
      sum19 = q_fma_float16((float16)(v7), v18, sum19);
      sum20 = q_fma_float16((float16)(v9), v18, sum20);
      sum21 = q_fma_float16((float16)(v11), v18, sum21);
      sum22 = q_fma_float16((float16)(v13), v18, sum22);
      sum23 = q_fma_float16((float16)(v15), v18, sum23);
    }
    vstore16(sum0, 0, result + (v1 * 1024 + 0 * 1024 + v2 * 64 + 0 * 16));
    vstore16(sum1, 0, result + (v1 * 1024 + 1 * 1024 + v2 * 64 + 0 * 16));
    vstore16(sum2, 0, result + (v1 * 1024 + 2 * 1024 + v2 * 64 + 0 * 16));
    vstore16(sum3, 0, result + (v1 * 1024 + 3 * 1024 + v2 * 64 + 0 * 16));
    vstore16(sum4, 0, result + (v1 * 1024 + 4 * 1024 + v2 * 64 + 0 * 16));
    vstore16(sum5, 0, result + (v1 * 1024 + 5 * 1024 + v2 * 64 + 0 * 16));
    vstore16(sum6, 0, result + (v1 * 1024 + 0 * 1024 + v2 * 64 + 1 * 16));
    vstore16(sum7, 0, result + (v1 * 1024 + 1 * 1024 + v2 * 64 + 1 * 16));
    vstore16(sum8, 0, result + (v1 * 1024 + 2 * 1024 + v2 * 64 + 1 * 16));
    vstore16(sum9, 0, result + (v1 * 1024 + 3 * 1024 + v2 * 64 + 1 * 16));
    vstore16(sum10, 0, result + (v1 * 1024 + 4 * 1024 + v2 * 64 + 1 * 16));
    vstore16(sum11, 0, result + (v1 * 1024 + 5 * 1024 + v2 * 64 + 1 * 16));
    vstore16(sum12, 0, result + (v1 * 1024 + 0 * 1024 + v2 * 64 + 2 * 16));
    vstore16(sum13, 0, result + (v1 * 1024 + 1 * 1024 + v2 * 64 + 2 * 16));
    vstore16(sum14, 0, result + (v1 * 1024 + 2 * 1024 + v2 * 64 + 2 * 16));
    vstore16(sum15, 0, result + (v1 * 1024 + 3 * 1024 + v2 * 64 + 2 * 16));
    vstore16(sum16, 0, result + (v1 * 1024 + 4 * 1024 + v2 * 64 + 2 * 16));
    vstore16(sum17, 0, result + (v1 * 1024 + 5 * 1024 + v2 * 64 + 2 * 16));
    vstore16(sum18, 0, result + (v1 * 1024 + 0 * 1024 + v2 * 64 + 3 * 16));
    vstore16(sum19, 0, result + (v1 * 1024 + 1 * 1024 + v2 * 64 + 3 * 16));
    vstore16(sum20, 0, result + (v1 * 1024 + 2 * 1024 + v2 * 64 + 3 * 16));
    vstore16(sum21, 0, result + (v1 * 1024 + 3 * 1024 + v2 * 64 + 3 * 16));
    vstore16(sum22, 0, result + (v1 * 1024 + 4 * 1024 + v2 * 64 + 3 * 16));
    vstore16(sum23, 0, result + (v1 * 1024 + 5 * 1024 + v2 * 64 + 3 * 16));
  }
}

// matmul with the right operand transposed, f32
HELPER float16 q_fma_float16(float16 a, float16 b, float16 c) { return fma(a, b, c); }
// vector(r2, 16) unroll(r0, 5) unroll(r1, 5) chunk(2627) local(1)
KERNEL(1) kernel0(GLOBAL float* RESTRICT result, long result_offset,
    GLOBAL const float* RESTRICT read0, long read0_offset,
    GLOBAL const float* RESTRICT read1, long read1_offset) {
  result += result_offset;
  read0 += read0_offset;
  read1 += read1_offset;
  const int first = (int)GRID_ITEM(1) * 2627;
  const int end = min(first + 2627, (int)42025);
  for (int tile = first; tile < end; ++tile) {
    const int v0 = tile % 205;
    const int v1 = min(v0 * 5, (int)1019);
    const int v2 = tile / 205;
    const int v3 = min(v2 * 5, (int)1019);
    float16 sum0 = (float16)(as_float(0x00000000u));
    float16 sum1 = (float16)(as_float(0x00000000u));
    float16 sum2 = (float16)(as_float(0x00000000u));
    float16 sum3 = (float16)(as_float(0x00000000u));
    float16 sum4 = (float16)(as_float(0x00000000u));
    float16 sum5 = (float16)(as_float(0x00000000u));
    float16 sum6 = (float16)(as_float(0x00000000u));
    float16 sum7 = (float16)(as_float(0x00000000u));
    float16 sum8 = (float16)(as_float(0x00000000u));
    float16 sum9 = (float16)(as_float(0x00000000u));
    float16 sum10 = (float16)(as_float(0x00000000u));
    float16 sum11 = (float16)(as_float(0x00000000u));
    float16 sum12 = (float16)(as_float(0x00000000u));
    float16 sum13 = (float16)(as_float(0x00000000u));
    float16 sum14 = (float16)(as_float(0x00000000u));
    float16 sum15 = (float16)(as_float(0x00000000u));
    float16 sum16 = (float16)(as_float(0x00000000u));
    float16 sum17 = (float16)(as_float(0x00000000u));
    float16 sum18 = (float16)(as_float(0x00000000u));
    float16 sum19 = (float16)(as_float(0x00000000u));
    float16 sum20 = (float16)(as_float(0x00000000u));
    float16 sum21 = (float16)(as_float(0x00000000u));
    float16 sum22 = (float16)(as_float(0x00000000u));
    float16 sum23 = (float16)(as_float(0x00000000u));
    float16 sum24 = (float16)(as_float(0x00000000u));
    LOOP (int k0 = 0; k0 < 64; k0 += 1) {
      const float16 v4 = vload16(0, read0 + (v3 * 1024 + 0 * 1024 + k0 * 16));
      const float16 v5 = vload16(0, read1 + (v1 * 1024 + 0 * 1024 + k0 * 16));
      sum0 = q_fma_float16(v4, v5, sum0);
      const float16 v6 = vload16(0, read1 + (v1 * 1024 + 1 * 1024 + k0 * 16));
      sum1 = q_fma_float16(v4, v6, sum1);
      const float16 v7 = vload16(0, read1 + (v1 * 1024 + 2 * 1024 + k0 * 16));
      sum2 = q_fma_float16(v4, v7, sum2);
      const float16 v8 = vload16(0, read1 + (v1 * 1024 + 3 * 1024 + k0 * 16));
      sum3 = q_fma_float16(v4, v8, sum3);
      const float16 v9 = vload16(0, read1 + (v1 * 1024 + 4 * 1024 + k0 * 16));
      sum4 = q_fma_float16(v4, v9, sum4);
      const float16 v10 = vload16(0, read0 + (v3 * 1024 + 1 * 1024 + k0 * 16));
      sum5 = q_fma_float16(v10, v5, sum5);
      sum6 = q_fma_float16(v10, v6, sum6);
      sum7 = q_fma_float16(v10, v7, sum7);
      sum8 = q_fma_float16(v10, v8, sum8);
      sum9 = q_fma_float16(v10, v9, sum9);
      const float16 v11 = vload16(0, read0 + (v3 * 1024 + 2 * 1024 + k0 * 16));
      sum10 = q_fma_float16(v11, v5, sum10);
      sum11 = q_fma_float16(v11, v6, sum11);
      sum12 = q_fma_float16(v11, v7, sum12);
      sum13 = q_fma_float16(v11, v8, sum13);
      sum14 = q_fma_float16(v11, v9, sum14);
      const float16 v12 = vload16(0, read0 + (v3 * 1024 + 3 * 1024 + k0 * 16));
      sum15 = q_fma_float16(v12, v5, sum15);
      sum16 = q_fma_float16(v12, v6, sum16);
      sum17 = q_fma_float16(v12, v7, sum17);
      sum18 = q_fma_float16(v12, v8, sum18);
      sum19 = q_fma_float16(v12, v9, sum19);
      const float16 v13 = vload16(0, read0 + (v3 * 1024 + 4 * 1024 + k0 * 16));
      sum20 = q_fma_float16(v13, v5, sum20);
      sum21 = q_fma_float16(v13, v6, sum21);
      sum22 = q_fma_float16(v13, v7, sum22);
      sum23 = q_fma_float16(v13, v8, sum23);
      sum24 = q_fma_float16(v13, v9, sum24);
    }
    const float16 v14 = (float16)(sum0.s01234567, sum1.s01234567) + (float16)(sum0.s89abcdef, sum1.s89abcdef);
    const float16 v15 = (float16)(sum2.s01234567, sum3.s01234567) + (float16)(sum2.s89abcdef, sum3.s89abcdef);
    const float16 v16 = (float16)(sum4.s01234567, sum5.s01234567) + (float16)(sum4.s89abcdef, sum5.s89abcdef);
    const float16 v17 = (float16)(sum6.s01234567, sum7.s01234567) + (float16)(sum6.s89abcdef, sum7.s89abcdef);
    const float16 v18 = (float16)(sum8.s01234567, sum9.s01234567) + (float16)(sum8.s89abcdef, sum9.s89abcdef);
    const float16 v19 = (float16)(sum10.s01234567, sum11.s01234567) + (float16)(sum10.s89abcdef, sum11.s89abcdef);
    const float16 v20 = (float16)(sum12.s01234567, sum13.s01234567) + (float16)(sum12.s89abcdef, sum13.s89abcdef);
    const float16 v21 = (float16)(sum14.s01234567, sum15.s01234567) + (float16)(sum14.s89abcdef, sum15.s89abcdef);
    const float16 v22 = (float16)(v14.s012389ab, v15.s012389ab) + (float16)(v14.s4567cdef, v15.s4567cdef);
    const float16 v23 = (float16)(v16.s012389ab, v17.s012389ab) + (float16)(v16.s4567cdef, v17.s4567cdef);
    const float16 v24 = (float16)(v18.s012389ab, v19.s012389ab) + (float16)(v18.s4567cdef, v19.s4567cdef);
    const float16 v25 = (float16)(v20.s012389ab, v21.s012389ab) + (float16)(v20.s4567cdef, v21.s4567cdef);
    const float16 v26 = (float16)(v22.s01, v23.s01, v22.s45, v23.s45, v22.s89, v23.s89, v22.scd, v23.scd) + (float16)(v22.s23, v23.s23, v22.s67, v23.s67, v22.sab, v23.sab, v22.sef, v23.sef);
    const float16 v27 = (float16)(v24.s01, v25.s01, v24.s45, v25.s45, v24.s89, v25.s89, v24.scd, v25.scd) + (float16)(v24.s23, v25.s23, v24.s67, v25.s67, v24.sab, v25.sab, v24.sef, v25.sef);
    const float16 v28 = (float16)(v26.s02, v27.s02, v26.s46, v27.s46, v26.s8a, v27.s8a, v26.sce, v27.sce) + (float16)(v26.s13, v27.s13, v26.s57, v27.s57, v26.s9b, v27.s9b, v26.sdf, v27.sdf);
    const float16 v29 = (float16)(sum16.s01234567, sum17.s01234567) + (float16)(sum16.s89abcdef, sum17.s89abcdef);
    const float16 v30 = (float16)(sum18.s01234567, sum19.s01234567) + (float16)(sum18.s89abcdef, sum19.s89abcdef);
    const float16 v31 = (float16)(sum20.s01234567, sum21.s01234567) + (float16)(sum20.s89abcdef, sum21.s89abcdef);
    const float16 v32 = (float16)(sum22.s01234567, sum23.s01234567) + (float16)(sum22.s89abcdef, sum23.s89abcdef);
    const float16 v33 = (float16)(v29.s012389ab, v30.s012389ab) + (float16)(v29.s4567cdef, v30.s4567cdef);
    const float16 v34 = (float16)(v31.s012389ab, v32.s012389ab) + (float16)(v31.s4567cdef, v32.s4567cdef);
    const float16 v35 = (float16)(v33.s01, v34.s01, v33.s45, v34.s45, v33.s89, v34.s89, v33.scd, v34.scd) + (float16)(v33.s23, v34.s23, v33.s67, v34.s67, v33.sab, v34.sab, v33.sef, v34.sef);
    const float8 v36 = v35.even + v35.odd;
    const float8 v37 = sum24.lo + sum24.hi;
    const float4 v38 = v37.lo + v37.hi;
    const float2 v39 = v38.lo + v38.hi;
    const float v40 = v39.lo + v39.hi;
    const int v41 = v3 * 1024 + 0 * 1024 + v1 + 0;
    result[v41] = v28.s0;
    const int v42 = v3 * 1024 + 0 * 1024 + v1 + 1;
    result[v42] = v28.s4;
    const int v43 = v3 * 1024 + 0 * 1024 + v1 + 2;
    result[v43] = v28.s8;
    const int v44 = v3 * 1024 + 0 * 1024 + v1 + 3;
    result[v44] = v28.sc;
    const int v45 = v3 * 1024 + 0 * 1024 + v1 + 4;
    result[v45] = v28.s1;
    const int v46 = v3 * 1024 + 1 * 1024 + v1 + 0;
    result[v46] = v28.s5;
    const int v47 = v3 * 1024 + 1 * 1024 + v1 + 1;
    result[v47] = v28.s9;
    const int v48 = v3 * 1024 + 1 * 1024 + v1 + 2;
    result[v48] = v28.sd;
    const int v49 = v3 * 1024 + 1 * 1024 + v1 + 3;
    result[v49] = v28.s2;
    const int v50 = v3 * 1024 + 1 * 1024 + v1 + 4;
    result[v50] = v28.s6;
    const int v51 = v3 * 1024 + 2 * 1024 + v1 + 0;
    result[v51] = v28.sa;
    const int v52 = v3 * 1024 + 2 * 1024 + v1 + 1;
    result[v52] = v28.se;
    const int v53 = v3 * 1024 + 2 * 1024 + v1 + 2;
    result[v53] = v28.s3;
    const int v54 = v3 * 1024 + 2 * 1024 + v1 + 3;
    result[v54] = v28.s7;
    const int v55 = v3 * 1024 + 2 * 1024 + v1 + 4;
    result[v55] = v28.sb;
    const int v56 = v3 * 1024 + 3 * 1024 + v1 + 0;
    result[v56] = v28.sf;
    const int v57 = v3 * 1024 + 3 * 1024 + v1 + 1;
    result[v57] = v36.s0;
    const int v58 = v3 * 1024 + 3 * 1024 + v1 + 2;
    result[v58] = v36.s2;
    const int v59 = v3 * 1024 + 3 * 1024 + v1 + 3;
    result[v59] = v36.s4;
    const int v60 = v3 * 1024 + 3 * 1024 + v1 + 4;
    result[v60] = v36.s6;
    const int v61 = v3 * 1024 + 4 * 1024 + v1 + 0;
    result[v61] = v36.s1;
    const int v62 = v3 * 1024 + 4 * 1024 + v1 + 1;
    result[v62] = v36.s3;
    const int v63 = v3 * 1024 + 4 * 1024 + v1 + 2;
    result[v63] = v36.s5;
    const int v64 = v3 * 1024 + 4 * 1024 + v1 + 3;
    result[v64] = v36.s7;
    const int v65 = v3 * 1024 + 4 * 1024 + v1 + 4;
    result[v65] = v40;
  }
}

