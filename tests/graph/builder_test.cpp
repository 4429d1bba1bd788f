#include <catch2/catch.hpp>
#include <limits>

#include "engine/graph/graph.h"
#include "engine/graph/limits.h"

using namespace quarry;
using namespace quarry::graph;

namespace {

using Shape = std::vector<int64_t>;

Shape shape_of(const Builder& b, NodeId id) {
  return {b.shape(id).begin(), b.shape(id).end()};
}

}  // namespace

TEST_CASE("elementwise ops keep shape and dtype; CAST changes the dtype") {
  Builder b;
  const NodeId x = b.input("x", DType::F16, Shape{2, 3});
  for (Op op : {Op::Exp, Op::Log}) {
    const NodeId y = b.unary(op, x);
    CHECK(shape_of(b, y) == Shape{2, 3});
    CHECK(b.dtype(y) == DType::F16);
  }
  for (Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Pow, Op::CmpEq, Op::Max}) {
    const NodeId y = b.binary(op, x, x);
    CHECK(shape_of(b, y) == Shape{2, 3});
    CHECK(b.dtype(y) == DType::F16);
  }
  CHECK(b.dtype(b.cast(x, DType::Bool)) == DType::Bool);
  CHECK_FALSE(b.failed());
}

TEST_CASE("a reduce keeps its axes with size 1, also those of size 0") {
  Builder b;
  const NodeId x = b.input("x", DType::I64, Shape{2, 0, 4});
  CHECK(shape_of(b, b.reduce(Op::ReduceSum, x, Shape{1})) == Shape{2, 1, 4});
  CHECK(shape_of(b, b.reduce(Op::ReduceMax, x, Shape{2, 0})) == Shape{1, 0, 1});
}

TEST_CASE("movement ops give the shapes of their attributes") {
  Builder b;
  const NodeId x = b.input("x", DType::F32, Shape{2, 3, 1});
  CHECK(shape_of(b, b.reshape(x, Shape{6})) == Shape{6});
  CHECK(shape_of(b, b.reshape(x, Shape{3, 1, 2, 1})) == Shape{3, 1, 2, 1});
  CHECK(shape_of(b, b.permute(x, Shape{2, 0, 1})) == Shape{1, 2, 3});
  CHECK(shape_of(b, b.expand(x, Shape{2, 3, 5})) == Shape{2, 3, 5});
  CHECK(shape_of(b, b.expand(x, Shape{2, 3, 0})) == Shape{2, 3, 0});
  CHECK(shape_of(b, b.pad(x, std::vector<Pair>{{1, 2}, {0, 0}, {0, 4}})) == Shape{5, 3, 5});
  CHECK(shape_of(b, b.shrink(x, std::vector<Pair>{{1, 2}, {3, 3}, {0, 1}})) == Shape{1, 0, 1});
  CHECK_FALSE(b.failed());
}

TEST_CASE("STRIDE m leaves ceil(size / |m|) elements, whatever the sign and however large m is") {
  Builder b;
  const NodeId x = b.input("x", DType::F32, Shape{0, 1, 5, 6});
  CHECK(shape_of(b, b.stride(x, Shape{2, 2, 2, 2})) == Shape{0, 1, 3, 3});
  CHECK(shape_of(b, b.stride(x, Shape{-3, -3, -3, -3})) == Shape{0, 1, 2, 2});
  CHECK(shape_of(b, b.stride(x, Shape{1, 1, -1, kMaxVirtualElements})) == Shape{0, 1, 5, 1});
  CHECK_FALSE(b.failed());
}

TEST_CASE("rank 0 goes through every op that takes it") {
  Builder b;
  const NodeId x = b.input("x", DType::F32, {});
  NodeId y = b.reshape(b.reshape(x, Shape{1, 1}), {});
  y = b.stride(b.shrink(b.pad(b.expand(b.permute(y, {}), {}), {}), {}), {});
  y = b.binary(Op::Add, y, b.cast(b.step(), DType::F32));
  b.output("y", y);
  auto graph = b.finish();
  REQUIRE(graph.ok());
  CHECK(graph->elements(graph->find_output("y")) == 1);
}

TEST_CASE("attributes are read back as they were given, axes in ascending order") {
  Builder b;
  const NodeId x = b.input("x", DType::F32, Shape{2, 3});
  const NodeId reduced = b.reduce(Op::ReduceSum, x, Shape{1, 0});
  const NodeId turned = b.permute(x, Shape{1, 0});
  const NodeId padded = b.pad(x, std::vector<Pair>{{1, 2}, {3, 4}});
  const NodeId strided = b.stride(x, Shape{-1, 2});
  const NodeId constant = b.constant_f64(DType::F16, Shape{2}, 1.0 / 3);
  const NodeId iota = b.iota(DType::I64, Shape{4, 5}, 1);
  const NodeId random = b.rand(DType::I32, Shape{4}, 4'000'000'000);
  b.label(turned, "turned");
  b.label_next("last");
  b.output("y", b.step());
  const auto graph = std::move(b.finish()).value();
  CHECK(std::ranges::equal(graph.axes(reduced), Shape{0, 1}));
  CHECK(std::ranges::equal(graph.axes(turned), Shape{1, 0}));
  CHECK(graph.pairs(padded)[1].before == 3);
  CHECK(graph.pairs(padded)[1].after == 4);
  CHECK(std::ranges::equal(graph.strides(strided), Shape{-1, 2}));
  CHECK(graph.const_bits(constant) == 0x3555);
  CHECK(graph.iota_axis(iota) == 1);
  CHECK(graph.rand_stream(random) == 4'000'000'000);
  CHECK(graph.label(turned) == "turned");
  CHECK(graph.label(random + 1) == "last");
  CHECK(graph.label(x).empty());
}

TEST_CASE("inputs and outputs are found by name and stand in the order of their names") {
  Builder b;
  const NodeId second = b.input("b", DType::F32, {});
  const NodeId first = b.input("a", DType::F32, {});
  b.output("z", first);
  b.output("y", second);
  const auto graph = std::move(b.finish()).value();
  CHECK(graph.inputs() == std::vector<NodeId>{first, second});
  CHECK(graph.outputs()[0].name == "y");
  CHECK(graph.find_input("a") == first);
  CHECK(graph.find_output("z") == first);
  CHECK(graph.find_input("c") == kNoNode);
  CHECK(graph.find_output("a") == kNoNode);
}

TEST_CASE("the first error sticks: later calls do nothing and finish() reports it") {
  Builder b;
  const NodeId x = b.input("x", DType::I32, Shape{2});
  const NodeId bad = b.unary(Op::Exp, x);
  CHECK(bad == kNoNode);
  const NodeId after = b.binary(Op::Add, b.reshape(bad, Shape{7}), x);
  b.output("y", after);
  CHECK(after == kNoNode);
  CHECK(b.shape(after).empty());
  CHECK(b.size() == 1);
  auto graph = b.finish();
  REQUIRE_FALSE(graph.ok());
  CHECK(graph.problem().code == "dtype_refused");
  CHECK(graph.problem().pointer == "/nodes/1");
}

TEST_CASE("messages name the node and its operands by their labels") {
  Builder b;
  b.label_next("weights");
  const NodeId w = b.input("w", DType::F32, Shape{2, 3});
  const NodeId x = b.input("x", DType::F32, Shape{3});
  b.label_next("first layer");
  b.binary(Op::Mul, w, x);
  CHECK(b.problem().detail ==
        "node 2 \"first layer\": MUL needs operands of equal shapes, but they are [2, 3] (node 0 \"weights\") and [3] "
        "(node 1): "
        "RESHAPE and EXPAND one of them");
}

TEST_CASE("a builder refuses node ids that it did not give") {
  Builder b;
  b.input("x", DType::F32, {});
  b.binary(Op::Add, 0, 7);
  CHECK(b.problem().code == "forward_reference");
  CHECK(b.problem().pointer == "/nodes/1/src/1");
}

TEST_CASE("constants: bits past the dtype are refused, doubles are converted") {
  Builder wide;
  wide.constant(DType::F16, {}, 0x10000);
  CHECK(wide.problem().code == "invalid_value");
  Builder boolean;
  boolean.constant(DType::Bool, {}, 2);
  CHECK(boolean.failed());
  Builder b;
  const NodeId x = b.constant_f64(DType::U8, {}, 300);
  b.output("y", x);
  CHECK(std::move(b.finish()).value().const_bits(x) == 255);
}

TEST_CASE("64 movement ops in a row are taken, the 65th is refused; an op between them starts anew") {
  Builder b;
  NodeId x = b.input("x", DType::F32, Shape{2, 2});
  for (int i = 0; i < kMaxMovementInARow; ++i) x = b.permute(x, Shape{1, 0});
  x = b.cast(x, DType::F64);
  for (int i = 0; i < kMaxMovementInARow; ++i) x = b.permute(x, Shape{1, 0});
  REQUIRE_FALSE(b.failed());
  b.permute(x, Shape{1, 0});
  CHECK(b.problem().code == "limit_exceeded");
  CHECK(b.problem().pointer == "/nodes/130");
}

TEST_CASE("16,384 reduces are taken, one more is refused") {
  Builder b;
  NodeId x = b.input("x", DType::F32, Shape{1});
  for (size_t i = 0; i < kMaxReduces; ++i) x = b.reduce(Op::ReduceSum, x, Shape{0});
  REQUIRE_FALSE(b.failed());
  b.reduce(Op::ReduceMax, x, Shape{0});
  CHECK(b.problem().code == "limit_exceeded");
}

TEST_CASE("1,000,000 nodes are taken, one more is refused") {
  Builder b;
  NodeId x = b.input("x", DType::F32, {});
  while (b.size() < kMaxNodes) x = b.unary(Op::Exp, x);
  REQUIRE_FALSE(b.failed());
  b.unary(Op::Exp, x);
  CHECK(b.problem().code == "limit_exceeded");
  CHECK(b.problem().pointer == "/nodes/1000000");
}

TEST_CASE("sizes up to 2^62 elements are taken where nothing is stored, and never overflow") {
  const int64_t half = int64_t{1} << 31;
  Builder b;
  NodeId x = b.constant(DType::F32, Shape{1, 1, 1}, 0);
  x = b.expand(x, Shape{half, half, 1});
  REQUIRE_FALSE(b.failed());
  SECTION("twice as many are refused") {
    b.expand(x, Shape{half, half, 2});
  }
  SECTION("and 2^64, which is 0 in 64 bits") {
    b.expand(x, Shape{half, half, 4});
  }
  SECTION("also behind an axis of size 0") {
    b.constant(DType::F32, Shape{0, kMaxVirtualElements, 2}, 0);
  }
  SECTION("also by padding") {
    b.pad(x, std::vector<Pair>{{kMaxVirtualElements, kMaxVirtualElements}, {0, 0}, {0, 0}});
  }
  SECTION("also by the greatest pads") {
    const int64_t most = std::numeric_limits<int64_t>::max();
    b.pad(x, std::vector<Pair>{{most, most}, {0, 0}, {0, 0}});
  }
  CHECK(b.problem().code == "limit_exceeded");
}

TEST_CASE("an INPUT, a reduce result and an output hold at most 2^40 elements") {
  const int64_t over = kMaxStoredElements + 1;
  Builder b;
  const NodeId big = b.constant(DType::U8, Shape{over, 2}, 1);
  const NodeId small = b.reduce(Op::ReduceSum, big, Shape{0, 1});
  REQUIRE_FALSE(b.failed());
  SECTION("INPUT") {
    b.input("x", DType::U8, Shape{over});
  }
  SECTION("reduce result") {
    b.reduce(Op::ReduceSum, big, Shape{1});
  }
  SECTION("output") {
    b.output("small", small);
    b.output("big", big);
    CHECK(b.problem().pointer == "/outputs/big");
  }
  CHECK(b.problem().code == "limit_exceeded");
}

TEST_CASE("16,384 outputs are taken, one more is refused") {
  Builder b;
  const NodeId x = b.step();
  for (size_t i = 0; i < kMaxOutputs; ++i) b.output("y" + std::to_string(i), x);
  REQUIRE_FALSE(b.failed());
  b.output("one more", x);
  CHECK(b.problem().code == "limit_exceeded");
}
