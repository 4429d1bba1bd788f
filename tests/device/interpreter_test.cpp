// What only the interpreter can show: its own pieces, and that virtual values cost nothing.
#include <bit>
#include <catch2/catch.hpp>
#include <span>

#include "engine/device/interpreter/philox.h"
#include "engine/device/interpreter/view.h"
#include "tests/device/conformance/harness.h"

using namespace quarry;
using namespace quarry::device;
using namespace quarry::device::conformance;
using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;

TEST_CASE("Philox4x32-10 gives the known answers of its authors") {
  using interpreter::philox4x32_10;
  CHECK(philox4x32_10({0, 0, 0, 0}, {0, 0}) == std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a virtual value of 2^62 elements costs only the elements that are asked for") {
  Builder b;
  const int64_t wide[] = {int64_t{1} << 31, int64_t{1} << 31}, flat[] = {int64_t{1} << 62};
  const graph::Pair last_two[] = {{(int64_t{1} << 62) - 2, int64_t{1} << 62}};
  const int64_t every[] = {-(int64_t{1} << 61)};
  const NodeId rows = b.iota(DType::I64, wide, 0), columns = b.iota(DType::I64, wide, 1);
  const NodeId sum = b.reshape(
      b.binary(Op::Add, b.binary(Op::Mul, rows, b.constant_f64(DType::I64, wide, 4294967296.0)), columns), flat);
  b.output("end", b.shrink(sum, last_two));
  b.output("steps", b.stride(sum, every));
  const Values values = run_step(opened("interpreter"), finished(b), {});
  const uint64_t last = (uint64_t{0x7FFFFFFF} << 32) | 0x7FFFFFFF;
  CHECK(element(DType::I64, values.at("end"), 0) == last - 1);
  CHECK(element(DType::I64, values.at("end"), 1) == last);
  CHECK(element(DType::I64, values.at("steps"), 0) == last);
  CHECK(element(DType::I64, values.at("steps"), 1) == ((uint64_t{0x3FFFFFFF} << 32) | 0x7FFFFFFF));
}

TEST_CASE("sixty additions of a value to itself are sixty additions, not 2^60") {
  Builder b;
  const int64_t shape[] = {4};
  NodeId x = b.cast(b.iota(DType::I32, shape, 0), DType::I64);
  for (int i = 0; i < 60; ++i) x = b.binary(Op::Add, x, x);
  b.output("y", x);
  const Values values = run_step(opened("interpreter"), finished(b), {});
  CHECK(element(DType::I64, values.at("y"), 3) == uint64_t{3} << 60);
}

TEST_CASE("a matrix product is its rows times its columns, and its products are never stored") {
  Builder b;
  const int64_t matrix[] = {64, 64}, left[] = {64, 64, 1}, right[] = {1, 64, 64}, cube[] = {64, 64, 64}, axes[] = {1};
  const NodeId x = b.input("x", DType::F32, matrix);
  const NodeId product = b.binary(Op::Mul, b.expand(b.reshape(x, left), cube), b.expand(b.reshape(x, right), cube));
  b.output("y", b.reduce(Op::ReduceSum, product, axes));
  const graph::Graph graph = finished(b);
  std::vector<float> matrix_x(64 * 64);  // whole numbers, so that every order of summation gives the same
  for (size_t i = 0; i < matrix_x.size(); ++i) matrix_x[i] = static_cast<float>(i * 7 % 23) - 11;
  const auto bytes = std::as_bytes(std::span(matrix_x));
  const Values values = run_step(opened("interpreter"), graph, {{"x", {bytes.begin(), bytes.end()}}});
  for (size_t row = 0; row < 64; ++row) {
    for (size_t column = 0; column < 64; ++column) {
      float sum = 0;
      for (size_t k = 0; k < 64; ++k) sum += matrix_x[row * 64 + k] * matrix_x[k * 64 + column];
      REQUIRE(element(DType::F32, values.at("y"), row * 64 + column) == std::bit_cast<uint32_t>(sum));
    }
  }
}
