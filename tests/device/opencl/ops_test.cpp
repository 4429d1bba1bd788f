// Every op on every dtype gives what the interpreter, the oracle, gives.
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/device/opencl/graph_runner.h"

namespace quarry::test {

using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;

namespace {

constexpr DType kAll[] = {DType::Bool, DType::I8,   DType::U8,  DType::I32, DType::I64,
                          DType::F16,  DType::BF16, DType::F32, DType::F64};

struct Devices {
  std::unique_ptr<device::Device> oracle = open("interpreter"), tested = open("opencl");
};
Devices& devices() {
  static Devices both;  // opened once for the whole program
  return both;
}

// Both devices' outputs, at most `ulps` apart.
void check_same(Builder& builder, const Tensors& inputs, DType dtype, double ulps, const std::string& what) {
  const auto graph = finish(builder);
  const device::LaunchScalars scalars{.step = 3, .seed = 0x1234567890abcdef};
  const Tensors expected = run_graph(*devices().oracle, graph, inputs, scalars);
  const Tensors actual = run_graph(*devices().tested, graph, inputs, scalars);
  for (const auto& [name, bytes] : expected) {
    const auto a = as_doubles(bytes, dtype), b = as_doubles(actual.at(name), dtype);
    for (size_t i = 0; i < a.size(); ++i) {
      if (distance_in_ulps(a[i], b[i], dtype) <= ulps) continue;
      INFO(what << " output " << name << " element " << i << ": expected " << a[i] << ", got " << b[i]);
      REQUIRE(distance_in_ulps(a[i], b[i], dtype) <= ulps);
    }
  }
}

double tolerance(Op op, DType dtype) {
  if (!graph::is_float(dtype)) return 0;
  const bool narrow = dtype == DType::F16 || dtype == DType::BF16;
  if (op == Op::Exp || op == Op::Log) return narrow ? 1 : 4;
  if (op == Op::Pow) return narrow ? 1 : 16;
  return 0;
}

bool is_allowed(Op op, DType dtype) {
  if (op == Op::Exp || op == Op::Log) return graph::is_float(dtype);
  return op != Op::Div || dtype != DType::Bool;
}

}  // namespace

TEST_CASE("every elementwise op on every dtype equals the interpreter, at sizes that do and do not fill vectors") {
  for (DType dtype : kAll) {
    for (int64_t n : {3, 1003}) {
      for (Op op : {Op::Exp, Op::Log, Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Pow, Op::CmpEq, Op::Max}) {
        if (!is_allowed(op, dtype)) continue;
        Builder builder;
        const int64_t shape[] = {n};
        const NodeId x = builder.input("x", dtype, shape);
        const NodeId y = graph::is_binary(op) ? builder.input("y", dtype, shape) : x;
        builder.output("z", graph::is_binary(op) ? builder.binary(op, x, y) : builder.unary(op, x));
        const Tensors inputs{{"x", random_tensor(dtype, static_cast<size_t>(n), 1)},
                             {"y", random_tensor(dtype, static_cast<size_t>(n), 2)}};
        check_same(builder, inputs, dtype, tolerance(op, dtype),
                   std::string(graph::name(op)) + " " + std::string(graph::name(dtype)) + " n=" + std::to_string(n));
      }
    }
  }
}

TEST_CASE("CAST between all dtypes truncates, saturates, wraps and rounds as the interpreter does") {
  for (DType from : kAll) {
    for (DType to : kAll) {
      Builder builder;
      const int64_t shape[] = {517};
      builder.output("z", builder.cast(builder.input("x", from, shape), to));
      check_same(builder, {{"x", random_tensor(from, 517, 7)}}, to, 0,
                 std::string(graph::name(from)) + " -> " + std::string(graph::name(to)));
    }
  }
}

TEST_CASE("constant exponents keep pow's special values") {
  for (DType dtype : {DType::F16, DType::BF16, DType::F32, DType::F64}) {
    for (double exponent : {0.0, 1.0, 2.0, -1.0, 0.5, -0.5, 3.0}) {
      Builder builder;
      const int64_t shape[] = {203};
      const NodeId x = builder.input("x", dtype, shape);
      builder.output("z", builder.binary(Op::Pow, x, builder.constant_f64(dtype, shape, exponent)));
      const bool narrow = dtype == DType::F16 || dtype == DType::BF16;
      check_same(builder, {{"x", random_tensor(dtype, 203, 11)}}, dtype, narrow ? 1 : 16,
                 "x^" + std::to_string(exponent) + " " + std::string(graph::name(dtype)));
    }
  }
}

TEST_CASE("reductions over inner, outer, middle and all axes equal the interpreter on every dtype") {
  const std::vector<std::vector<int64_t>> all_axes{{2}, {0}, {1}, {0, 2}, {0, 1, 2}, {0, 1}};
  for (DType dtype : kAll) {
    for (Op op : {Op::ReduceSum, Op::ReduceMax}) {
      for (const auto& axes : all_axes) {
        if (axes.size() == 2 && axes[0] == 0 && byte_size(dtype) == 1) continue;  // each compile costs 0.1 s
        for (const auto& shape : std::vector<std::vector<int64_t>>{{3, 5, 7}, {4, 33, 70}}) {
          Builder builder;
          const NodeId x = builder.input("x", dtype, shape);
          builder.output("z", builder.reduce(op, x, axes));
          const size_t n = static_cast<size_t>(shape[0] * shape[1] * shape[2]);
          // Sums of floats in any order: exact ones, of small integers.
          Tensor values = random_tensor(dtype, n, 5);
          if (op == Op::ReduceSum && graph::is_float(dtype)) {
            Builder cast;
            const int64_t flat[] = {static_cast<int64_t>(n)};
            cast.output("z", cast.cast(cast.cast(cast.input("x", DType::U8, flat), DType::Bool), dtype));
            values = run_graph(*devices().oracle, finish(cast), {{"x", random_tensor(DType::U8, n, 6)}}).at("z");
          }
          check_same(builder, {{"x", values}}, dtype, 0,
                     std::string(graph::name(op)) + " " + std::string(graph::name(dtype)));
        }
      }
    }
  }
}

TEST_CASE("a reduction of nothing is its identity, and a result without elements is no launch") {
  for (DType dtype : kAll) {
    Builder builder;
    const int64_t shape[] = {3, 0}, none[] = {0, 2};
    const int64_t axes[] = {1};
    const NodeId x = builder.input("x", dtype, shape);
    builder.output("sum", builder.reduce(Op::ReduceSum, x, axes));
    builder.output("max", builder.reduce(Op::ReduceMax, x, axes));
    const NodeId y = builder.input("y", dtype, none);
    builder.output("none", builder.binary(Op::Add, y, y));
    check_same(builder, {{"x", {}}, {"y", {}}}, dtype, 0, "empty");
  }
}

TEST_CASE("PAD gives zeros at the PAD, whatever op comes after it") {
  for (DType dtype : {DType::F32, DType::F16, DType::I32}) {
    for (int64_t n : {5, 40}) {
      Builder builder;
      const int64_t shape[] = {3, n};
      const graph::Pair pads[] = {{1, 2}, {2, 19}};
      const NodeId x = builder.input("x", dtype, shape);
      const NodeId y = builder.pad(builder.binary(Op::Mul, x, x), pads);
      const int64_t padded[] = {6, n + 21};
      const NodeId zero = builder.constant_f64(dtype, padded, 0), two = builder.constant_f64(dtype, padded, 2);
      if (graph::is_float(dtype)) {
        builder.output("exp", builder.unary(Op::Exp, y));
        builder.output("log", builder.unary(Op::Log, y));
      }
      builder.output("pow", builder.binary(Op::Pow, y, zero));
      builder.output("div", builder.binary(Op::Div, two, y));
      builder.output("eq", builder.binary(Op::CmpEq, y, zero));
      builder.output("both", builder.binary(Op::Add, builder.binary(Op::CmpEq, y, zero), y));
      check_same(builder, {{"x", random_tensor(dtype, static_cast<size_t>(3 * n), 13)}}, dtype, 4, "PAD");
    }
  }
}

TEST_CASE("a value padded, strided and turned round is read right up to both ends of its buffer") {
  const int64_t rows = 3;
  for (DType dtype : {DType::F32, DType::F16, DType::I64}) {
    for (int64_t columns : {5, 70}) {
      for (int64_t step : {1, 2, -1}) {
        Builder builder;
        const int64_t shape[] = {rows, columns}, strides[] = {1, step};
        const graph::Pair pads[] = {{0, 0}, {3, 9}};
        const NodeId x = builder.input("x", dtype, shape);
        const NodeId moved = builder.stride(builder.pad(x, pads), strides);
        builder.output("y", builder.binary(Op::Max, moved, moved));
        builder.output("z", builder.binary(Op::Max, builder.stride(x, strides), builder.stride(x, strides)));
        check_same(builder, {{"x", random_tensor(dtype, static_cast<size_t>(rows * columns), 4)}}, dtype, 0,
                   "stride " + std::to_string(step) + " of " + std::to_string(columns) + " padded columns " +
                       std::string(graph::name(dtype)));
      }
    }
  }
}

TEST_CASE("a fused chain rounds to its dtype after every op") {
  for (DType dtype : {DType::F16, DType::BF16, DType::F32}) {
    Builder builder;
    const int64_t shape[] = {999};
    const NodeId x = builder.input("x", dtype, shape), y = builder.input("y", dtype, shape);
    NodeId z = builder.binary(Op::Add, builder.binary(Op::Mul, x, y), x);  // would be contracted
    z = builder.binary(Op::Sub, builder.binary(Op::Mul, z, y), builder.binary(Op::Div, z, y));
    builder.output("z", builder.cast(builder.cast(z, DType::BF16), dtype));
    builder.output("w", z);
    check_same(builder, {{"x", random_tensor(dtype, 999, 17)}, {"y", random_tensor(dtype, 999, 18)}}, dtype, 0,
               "chain");
  }
}

TEST_CASE("RAND, IOTA and STEP are the interpreter's") {
  Builder builder;
  const int64_t shape[] = {7, 33};
  builder.output("uniform", builder.rand(DType::F32, shape, 9));
  const int64_t flipped[] = {-1, 2};
  builder.output("strided", builder.stride(builder.rand(DType::F32, shape, 10), flipped));
  check_same(builder, {}, DType::F32, 0, "RAND f32");
  Builder integers;
  integers.output("words", integers.rand(DType::I32, shape, 9));
  integers.output("rows", integers.iota(DType::I32, shape, 0));
  integers.output("step", integers.step());
  check_same(integers, {}, DType::I32, 0, "RAND i32");
}

TEST_CASE("integers that the compiler knows, zeros among them, divide like any others") {
  for (const DType dtype : {DType::U8, DType::I32, DType::I64}) {
    for (const int64_t size : {4, 16}) {
      Builder b;
      const int64_t shape[] = {size};
      const NodeId counted = b.cast(b.iota(DType::I32, shape, 0), dtype);
      const NodeId shifted = b.binary(Op::Sub, counted, b.constant_f64(dtype, shape, 2));
      b.output("by itself", b.binary(Op::Div, counted, counted));
      b.output("by -2, -1, 0, ...", b.binary(Op::Div, counted, shifted));
      b.output("power", b.binary(Op::Pow, counted, shifted));
      check_same(b, {}, dtype, 0, std::string(graph::name(dtype)));
    }
  }
}

TEST_CASE("contractions of odd sizes, transposed and not, equal the interpreter") {
  struct Sizes {
    int64_t m, k, n;
  };
  for (DType dtype : {DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32}) {
    for (const Sizes& s :
         {Sizes{1, 5, 1}, Sizes{3, 40, 5}, Sizes{26, 100, 26}, Sizes{65, 33, 47}, Sizes{17, 513, 90}}) {
      for (bool transposed : {false, true}) {
        Builder builder;
        const int64_t left[] = {s.m, s.k, 1}, right_plain[] = {1, s.k, s.n}, right_transposed[] = {1, s.n, s.k};
        const int64_t swap[] = {0, 2, 1}, whole[] = {s.m, s.k, s.n}, axis[] = {1};
        const NodeId a = builder.expand(builder.input("a", dtype, left), whole);
        const NodeId b = transposed ? builder.permute(builder.input("b", dtype, right_transposed), swap)
                                    : builder.input("b", dtype, right_plain);
        builder.output("c", builder.reduce(Op::ReduceSum, builder.binary(Op::Mul, a, builder.expand(b, whole)), axis));
        // Small integers: exact in any order.
        Builder small;
        const int64_t flat[] = {s.m * s.k + s.k * s.n};
        small.output(
            "z", small.cast(small.cast(small.cast(small.input("x", DType::U8, flat), DType::Bool), DType::I8), dtype));
        const Tensor ones = run_graph(*devices().oracle, finish(small),
                                      {{"x", random_tensor(DType::U8, static_cast<size_t>(flat[0]), 3)}})
                                .at("z");
        const auto at = ones.begin() + s.m * s.k * graph::byte_size(dtype);
        check_same(builder, {{"a", Tensor(ones.begin(), at)}, {"b", Tensor(at, ones.end())}}, dtype, 0,
                   "contraction " + std::string(graph::name(dtype)) + " " + std::to_string(s.m) + "x" +
                       std::to_string(s.k) + "x" + std::to_string(s.n) + (transposed ? " transposed" : ""));
      }
    }
  }
}

}  // namespace quarry::test
