// What is billed as an idiom is run as one: the printed loop nest and source show it, and the values are the
// interpreter's.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/codegen/codegen.h"
#include "engine/lower/lower.h"
#include "tests/device/opencl/graph_runner.h"

namespace quarry::test {

using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

namespace {

Tensor integers(const std::vector<int32_t>& values) {
  Tensor tensor(values.size() * sizeof(int32_t));
  std::memcpy(tensor.data(), values.data(), tensor.size());
  return tensor;
}

// One-hot of `index` [n] against `rows` rows, as [n, rows, width].
NodeId mask(Builder& b, NodeId index, int64_t n, int64_t rows, int64_t width, DType dtype) {
  const Shape whole{n, rows, width};
  const NodeId wide = b.expand(b.reshape(index, Shape{n, 1, 1}), whole);
  return b.cast(b.binary(Op::CmpEq, b.iota(DType::I32, whole, 1), wide), dtype);
}

NodeId gather(Builder& b, int64_t n, int64_t rows, int64_t width) {
  const NodeId index = b.input("index", DType::I32, Shape{n}), table = b.input("table", DType::F32, Shape{rows, width});
  const NodeId wide = b.expand(b.reshape(table, Shape{1, rows, width}), Shape{n, rows, width});
  return b.reduce(Op::ReduceSum, b.binary(Op::Mul, mask(b, index, n, rows, width, DType::F32), wide), Shape{1});
}

void check_equal(const std::shared_ptr<const graph::NormalGraph>& graph, const Tensors& inputs,
                 const std::vector<std::pair<std::string, std::string>>& carry = {}) {
  auto oracle = open("interpreter"), tested = open("opencl");
  CHECK(run_graph(*oracle, graph, inputs, {}, carry) == run_graph(*tested, graph, inputs, {}, carry));
}

std::string source_of(const lower::Kernel& kernel) {
  return codegen::generate(lower::lower_kernel(kernel), codegen::Target{.compute_units = 2}).source;
}

}  // namespace

TEST_CASE("a gather loads table[index]: nothing in its kernel runs over the table's rows") {
  Builder b;
  b.output("y", gather(b, 70, 1'000, 33));
  const auto graph = finish(b);
  const auto kernels = lower::partition(graph, {});
  REQUIRE(kernels.size() == 1);
  const lower::LoopNest nest = lower::lower_kernel(kernels[0]);
  CHECK(lower::verify(nest) == "");
  CHECK_FALSE(nest.reduce.has_value());
  CHECK(nest.points(lower::AxisKind::Output) == 70 * 33);
  CHECK(to_string(nest).find("position") != std::string::npos);
}

TEST_CASE("a gather outside the table gives 0, and infinities elsewhere in the table do not matter") {
  Builder b;
  b.output("y", gather(b, 6, 5, 33));
  const Tensors inputs{{"index", integers({0, 4, 5, -1, INT32_MAX, INT32_MIN})},
                       {"table", random_tensor(DType::F32, 5 * 33, 3)}};
  const auto graph = finish(b);
  auto oracle = open("interpreter"), tested = open("opencl");
  const auto expected = as_doubles(run_graph(*oracle, graph, inputs).at("y"), DType::F32);
  const auto actual = as_doubles(run_graph(*tested, graph, inputs).at("y"), DType::F32);
  for (size_t i = 0; i < expected.size(); ++i) CHECK(distance_in_ulps(expected[i], actual[i], DType::F32) == 0);
  for (size_t i = 2 * 33; i < actual.size(); ++i) CHECK(actual[i] == 0);
}

TEST_CASE("a select takes one branch whole: infinities and NaN of the other do not leak") {
  for (DType dtype : {DType::F32, DType::F16, DType::I8}) {
    Builder b;
    const Shape shape{301};
    const NodeId x = b.input("x", dtype, shape), y = b.input("y", dtype, shape), k = b.input("k", DType::I32, shape);
    const NodeId c = b.cast(b.binary(Op::CmpEq, k, b.constant_f64(DType::I32, shape, 1)), dtype);
    const NodeId one = b.constant_f64(dtype, shape, 1);
    b.output("z", b.binary(Op::Mul, b.binary(Op::Pow, x, c), b.binary(Op::Pow, y, b.binary(Op::Sub, one, c))));
    const auto graph = finish(b);
    CHECK(lower::to_string(lower::lower_kernel(lower::partition(graph, {})[0])).find("choose") != std::string::npos);
    check_equal(graph, {{"x", random_tensor(dtype, 301, 1)},
                        {"y", random_tensor(dtype, 301, 2)},
                        {"k", random_tensor(DType::I32, 301, 4)}});
  }
}

TEST_CASE("a row update of a carried value writes its rows in place and loads nothing of the old value") {
  constexpr int64_t kRows = 50, kWidth = 37;
  Builder b;
  const Shape shape{kRows, kWidth};
  const NodeId old_value = b.input("cache", DType::F32, shape), row = b.input("row", DType::F32, Shape{1, kWidth});
  const NodeId at = b.input("at", DType::I32, Shape{1, 1});
  const NodeId c = b.cast(b.binary(Op::CmpEq, b.iota(DType::I32, shape, 0), b.expand(at, shape)), DType::F32);
  const NodeId one = b.constant_f64(DType::F32, shape, 1);
  b.output("cache_next", b.binary(Op::Mul, b.binary(Op::Pow, b.expand(row, shape), c),
                                  b.binary(Op::Pow, old_value, b.binary(Op::Sub, one, c))));
  const auto graph = finish(b);
  const std::vector<std::pair<std::string, std::string>> carry{{"cache", "cache_next"}};
  const auto kernels = lower::partition(graph, carry);
  REQUIRE(kernels.size() == 1);
  REQUIRE(kernels[0].row_update.has_value());
  const lower::LoopNest nest = lower::lower_kernel(kernels[0]);
  CHECK(lower::verify(nest) == "");
  CHECK(nest.points(lower::AxisKind::Output) == kWidth);
  const size_t slot = static_cast<size_t>(
      std::find(kernels[0].reads.begin(), kernels[0].reads.end(), kernels[0].row_update->old_value) -
      kernels[0].reads.begin());
  for (lower::ExprId id : lower::reachable(nest.arena, std::vector<lower::ExprId>{nest.value, nest.store_condition})) {
    CHECK_FALSE((nest.arena[id].kind == lower::Kind::Load && nest.arena[id].x == static_cast<int64_t>(slot)));
  }
  for (int32_t place : {0, 49, 50, -1}) {
    Tensors inputs{{"cache", random_tensor(DType::F32, kRows * kWidth, 1)},
                   {"row", random_tensor(DType::F32, kWidth, 2)},
                   {"at", integers({place})}};
    check_equal(graph, inputs, carry);
    check_equal(graph, inputs);
  }
}

TEST_CASE("the same graph gives the same source bytes") {
  const auto build = [] {
    Builder b;
    b.output("y", gather(b, 70, 100, 33));
    const NodeId x = b.input("x", DType::F16, Shape{65, 40});
    b.output("z", b.reduce(Op::ReduceMax, b.binary(Op::Mul, x, b.unary(Op::Exp, x)), Shape{1}));
    std::string all;
    for (const lower::Kernel& kernel : lower::partition(finish(b), {})) all += source_of(kernel);
    return all;
  };
  CHECK(build() == build());
}

}  // namespace quarry::test
