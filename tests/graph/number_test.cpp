#include "engine/graph/number.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

using namespace quarry::graph;

namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNaN = std::nan("");
}  // namespace

TEST_CASE("every f16 and bf16 keeps its bits through f64") {
  for (DType dtype : {DType::F16, DType::BF16}) {
    for (uint64_t bits = 0; bits < 65536; ++bits) {
      const double value = to_double(dtype, bits);
      REQUIRE(std::isnan(value) == is_nan(dtype, bits));
      if (!std::isnan(value)) REQUIRE(from_double(dtype, value) == bits);
    }
  }
}

TEST_CASE("narrow floats have the values of IEEE 754 and bfloat16") {
  CHECK(to_double(DType::F16, 0x3c00) == 1);
  CHECK(to_double(DType::F16, 0xc000) == -2);
  CHECK(to_double(DType::F16, 0x7bff) == 65504);
  CHECK(to_double(DType::F16, 0x0400) == std::ldexp(1, -14));
  CHECK(to_double(DType::F16, 0x0001) == std::ldexp(1, -24));
  CHECK(to_double(DType::F16, 0x03ff) == std::ldexp(1023, -24));
  CHECK(to_double(DType::F16, 0xfc00) == -kInfinity);
  CHECK(std::signbit(to_double(DType::F16, 0x8000)));
  CHECK(to_double(DType::BF16, 0x3f80) == 1);
  CHECK(to_double(DType::BF16, 0x0001) == std::ldexp(1, -133));
  CHECK(to_double(DType::BF16, 0x7f80) == kInfinity);
  CHECK(to_double(DType::F32, 0x00000001) == std::ldexp(1, -149));
  CHECK(to_double(DType::F64, 0x3ff8000000000000) == 1.5);
}

TEST_CASE("a double rounds to the nearest narrow float, ties to even, also among subnormals and up to infinity") {
  std::mt19937_64 random(11);
  for (DType dtype : {DType::F16, DType::BF16}) {
    const uint64_t infinity = infinity_bits(dtype, false);
    for (int i = 0; i < 200'000; ++i) {
      // Between two neighbours: at, below and above the middle.
      const uint64_t low = random() % (infinity - 1);
      const double a = to_double(dtype, low), b = to_double(dtype, low + 1);
      const double middle = (a + b) / 2;
      const double sign = random() & 1 ? -1 : 1;
      const uint64_t sign_bit = sign < 0 ? 0x8000 : 0;
      REQUIRE(from_double(dtype, sign * middle) == (sign_bit | (low & 1 ? low + 1 : low)));
      REQUIRE(from_double(dtype, sign * std::nextafter(middle, 0)) == (sign_bit | low));
      REQUIRE(from_double(dtype, sign * std::nextafter(middle, kInfinity)) == (sign_bit | (low + 1)));
    }
    const double greatest = to_double(dtype, infinity - 1);
    const double step = greatest - to_double(dtype, infinity - 2);
    CHECK(from_double(dtype, greatest + step / 2) == infinity);
    CHECK(from_double(dtype, std::nextafter(greatest + step / 2, 0)) == infinity - 1);
    CHECK(from_double(dtype, 1e300) == infinity);
    CHECK(from_double(dtype, -1e300) == infinity_bits(dtype, true));
    CHECK(from_double(dtype, -1e-300) == 0x8000);
    CHECK(from_double(dtype, std::numeric_limits<double>::denorm_min()) == 0);
  }
}

TEST_CASE("a NaN becomes the canonical quiet NaN of the new dtype") {
  CHECK(from_double(DType::F16, kNaN) == 0x7e00);
  CHECK(from_double(DType::BF16, -kNaN) == 0x7fc0);
  CHECK(from_double(DType::F32, kNaN) == 0x7fc00000);
  CHECK(cast_bits(DType::F32, DType::F64, 0xff800001) == 0x7ff8000000000000);
  CHECK(cast_bits(DType::F64, DType::F16, 0x7ff0000000000001) == 0x7e00);
}

TEST_CASE("CAST to the same dtype keeps every bit, payloads of NaN too") {
  CHECK(cast_bits(DType::F32, DType::F32, 0xff800001) == 0xff800001);
  CHECK(cast_bits(DType::F16, DType::F16, 0x7c01) == 0x7c01);
  CHECK(cast_bits(DType::I8, DType::I8, 0x80) == 0x80);
}

TEST_CASE("CAST from float to integer truncates towards zero and saturates; NaN gives 0") {
  const auto cast = [](double value, DType to) { return to_integer(to, from_double(to, value)); };
  CHECK(cast(2.9, DType::I32) == 2);
  CHECK(cast(-2.9, DType::I32) == -2);
  CHECK(cast(-0.9, DType::U8) == 0);
  CHECK(cast(-1, DType::U8) == 0);
  CHECK(cast(255.9, DType::U8) == 255);
  CHECK(cast(256, DType::U8) == 255);
  CHECK(cast(1e300, DType::I8) == 127);
  CHECK(cast(-kInfinity, DType::I8) == -128);
  CHECK(cast(2147483648.0, DType::I32) == 2147483647);
  CHECK(cast(kInfinity, DType::I64) == std::numeric_limits<int64_t>::max());
  CHECK(cast(9223372036854775807.0, DType::I64) == std::numeric_limits<int64_t>::max());
  CHECK(cast(-9223372036854775808.0, DType::I64) == std::numeric_limits<int64_t>::min());
  CHECK(cast(9223372036854774784.0, DType::I64) == 9223372036854774784);
  for (DType to : {DType::I8, DType::U8, DType::I32, DType::I64}) CHECK(cast(kNaN, to) == 0);
}

TEST_CASE("CAST from integer to integer wraps") {
  CHECK(cast_bits(DType::I64, DType::I8, 0x1ff) == 0xff);
  CHECK(to_integer(DType::I8, cast_bits(DType::U8, DType::I8, 200)) == -56);
  CHECK(cast_bits(DType::I8, DType::U8, 0xff) == 255);
  CHECK(to_integer(DType::I64, cast_bits(DType::I8, DType::I64, 0x80)) == -128);
  CHECK(to_integer(DType::I32, cast_bits(DType::I64, DType::I32, 0x80000000)) == std::numeric_limits<int32_t>::min());
}

TEST_CASE("CAST to bool is whether the value differs from 0; from bool it is 0 or 1") {
  CHECK(cast_bits(DType::F32, DType::Bool, 0x80000000) == 0);
  CHECK(cast_bits(DType::F32, DType::Bool, 0x00000001) == 1);
  CHECK(cast_bits(DType::F32, DType::Bool, 0x7fc00000) == 1);
  CHECK(cast_bits(DType::I64, DType::Bool, 0x100000000) == 1);
  CHECK(cast_bits(DType::Bool, DType::F32, 1) == 0x3f800000);
  CHECK(cast_bits(DType::Bool, DType::I8, 1) == 1);
}

TEST_CASE("an integer is rounded once, to nearest even, whatever the float") {
  // Rounded to f64 first these would be a tie, and fall to even.
  const int64_t above_tie = (int64_t{1} << 62) + (int64_t{1} << 54) + 1;
  CHECK(from_integer(DType::BF16, above_tie) == from_double(DType::BF16, std::ldexp(1, 62)) + 1);
  CHECK(from_integer(DType::BF16, above_tie - 1) == from_double(DType::BF16, std::ldexp(1, 62)));
  const int64_t above_f32_tie = (int64_t{1} << 62) + (int64_t{1} << 38) + 1;
  CHECK(from_integer(DType::F32, above_f32_tie) == std::bit_cast<uint32_t>(std::ldexp(1.0f, 62)) + 1);
  CHECK(from_integer(DType::F16, 65519) == 0x7bff);
  CHECK(from_integer(DType::F16, 65520) == 0x7c00);
  CHECK(from_integer(DType::F16, -65520) == 0xfc00);
  CHECK(from_integer(DType::BF16, std::numeric_limits<int64_t>::min()) == from_double(DType::BF16, -std::ldexp(1, 63)));
  CHECK(from_integer(DType::F16, 0) == 0);
}

TEST_CASE("the limits of the integer dtypes") {
  CHECK(lowest_integer(DType::I8) == -128);
  CHECK(highest_integer(DType::U8) == 255);
  CHECK(highest_integer(DType::Bool) == 1);
  CHECK(bit_mask(DType::Bool) == 1);
  CHECK(bit_mask(DType::BF16) == 0xffff);
  CHECK(bit_mask(DType::I64) == ~uint64_t{0});
}
