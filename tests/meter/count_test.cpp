// Tariff version 1 by small examples: what each op, width and idiom counts, bytes, the memory bound, and what is
// refused.
#include <catch2/catch.hpp>

#include "engine/meter/memory_layout.h"
#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

using meter::StepCount;
using meter::Usage;

StepCount counted_by_1(const graph::Graph& graph, const Usage& usage = {}) {
  return counted(graph, usage, meter::Tariff::One);
}

UInt128 weighted(const graph::Graph& graph) {
  return counted_by_1(graph).weighted_total().count;
}

/// The weighted count of one op on 10 elements.
template <class Make>
UInt128 weighted_op(DType dtype, Make make) {
  Pen pen;
  return weighted(pen.done(make(pen, pen.in("x", {10}, dtype), pen.in("y", {10}, dtype))));
}

TEST_CASE("each op has its weight") {
  const auto of = [](auto make) { return weighted_op(DType::F16, make); };
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.add(x, y); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.sub(x, y); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.mul(x, y); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.max(x, y); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.equal(x, y); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.div(x, y); }) == 40);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.exp(x); }) == 80);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.log(x); }) == 80);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.pow(x, y); }) == 160);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.cast(x, DType::BF16); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.sum(x, {0}); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.greatest(x, {0}); }) == 10);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.padded(x, {{1, 1}}); }) == 0);
}

TEST_CASE("constant exponents are cheaper, also seen through EXPAND and CAST") {
  const auto with = [](double exponent) {
    return weighted_op(DType::F16, [&](Pen& pen, NodeId x, NodeId) {
      return pen.pow(x, pen.to(pen.cast(pen.full({1}, exponent), DType::F16), {10}));
    });
  };
  CHECK(with(2) == 10);
  for (double exponent : {-1.0, 0.5, -0.5}) CHECK(with(exponent) == 40);
  CHECK(with(3) == 162);  // and the CAST of the exponent
  CHECK(with(1.25) == 162);
}

TEST_CASE("widths: 16 bits or less count once, 32 twice, 64 four times") {
  const auto add = [](Pen& pen, NodeId x, NodeId y) { return pen.add(x, y); };
  for (DType dtype : {DType::Bool, DType::I8, DType::U8, DType::F16, DType::BF16}) CHECK(weighted_op(dtype, add) == 10);
  for (DType dtype : {DType::I32, DType::F32}) CHECK(weighted_op(dtype, add) == 20);
  for (DType dtype : {DType::I64, DType::F64}) CHECK(weighted_op(dtype, add) == 40);
  const auto cast = [](DType to) { return [to](Pen& pen, NodeId x, NodeId) { return pen.cast(x, to); }; };
  CHECK(weighted_op(DType::F16, cast(DType::F64)) == 40);
  CHECK(weighted_op(DType::F64, cast(DType::F16)) == 40);
  Pen pen;
  const StepCount count = counted_by_1(
      pen.done(pen.cast(pen.add(pen.in("x", {10}, DType::F16), pen.in("y", {10}, DType::F16)), DType::F32)));
  CHECK(count.weighted[0].count == 10);
  CHECK(count.weighted[1].count == 20);
  CHECK(count.weighted[2].count == 0);
}

TEST_CASE("RAND counts 16, other sources nothing") {
  Pen pen;
  CHECK(weighted(pen.done(pen.rand(DType::F32, Shape{10}, 1))) == 320);
  Pen other;
  other.output("iota", other.counting({10}, 0));
  other.output("step", other.step());
  CHECK(weighted(other.done()) == 0);
}

TEST_CASE(
    "flops is the field's convention: reduces count their inputs, CAST, movement and sources nothing, idioms as "
    "spelt") {
  Pen pen;
  const NodeId x = pen.cast(pen.in("x", {4, 6}, DType::F16), DType::F32);
  CHECK(counted_by_1(pen.done(pen.sum(pen.exp(x), {1}))).flops.count == 24 + 24);
  Pen chosen;
  const NodeId bit = chosen.cast(chosen.in("bit", {10}, DType::Bool), DType::F32);
  CHECK(counted_by_1(chosen.done(chosen.select(bit, chosen.in("x", {10}), chosen.in("y", {10})))).flops.count == 40);
}

TEST_CASE("a matrix product is 2MNK flops; widened 16-bit operands count 2MNK weighted, f32 ones twice that") {
  const auto product = [](DType dtype) {
    Pen pen;
    const auto wide = [&](NodeId node) { return dtype == DType::F32 ? node : pen.cast(node, DType::F32); };
    return counted_by_1(pen.done(pen.matmul(wide(pen.in("a", {30, 40}, dtype)), wide(pen.in("b", {40, 50}, dtype)))));
  };
  const UInt128 mnk = 30 * 40 * 50;
  CHECK(product(DType::F32).flops.count == 2 * mnk);
  CHECK(product(DType::F32).weighted_total().count == 4 * mnk);
  CHECK(product(DType::BF16).flops.count == 2 * mnk);
  CHECK(product(DType::BF16).weighted[0].count == 2 * mnk);
  CHECK(product(DType::BF16).weighted[1].count == 0);  // the CASTs are part of it
}

TEST_CASE("a widened product that something else reads too counts in full") {
  Pen pen;
  const NodeId a = pen.cast(pen.in("a", {8, 16}, DType::F16), DType::F32);
  const NodeId product = pen.mul(a, pen.cast(pen.in("b", {8, 16}, DType::F16), DType::F32));
  pen.output("sum", pen.sum(product, {1}));
  pen.output("greatest", pen.greatest(product, {1}));
  const StepCount count = counted_by_1(pen.done());
  CHECK(count.weighted[0].count == 128);                        // the SUM
  CHECK(count.weighted[1].count == 2 * (128 + 128 + 2 * 128));  // MUL, MAX and two CASTs
}

TEST_CASE("a select counts 1, and what only it needs counts nothing") {
  Pen pen;
  const NodeId bit = pen.in("bit", {10}, DType::U8);
  const NodeId mask = pen.equal(bit, pen.like(bit, 1));
  CHECK(weighted(pen.done(pen.select(mask, pen.in("x", {10}, DType::U8), pen.in("y", {10}, DType::U8)))) == 20);
}

TEST_CASE("a gather counts 1 per element and reads the rows it gathers") {
  Pen pen;
  const NodeId table = pen.to(pen.as(pen.in("table", {1'000, 4}), {1, 1'000, 4}), {6, 1'000, 4});
  const NodeId index = pen.to(pen.as(pen.in("index", {6}, DType::I32), {6, 1, 1}), {6, 1'000, 4});
  const NodeId mask = pen.cast(pen.equal(pen.counting({6, 1'000, 4}, 1), index), DType::F32);
  const StepCount count = counted_by_1(pen.done(pen.sum(pen.mul(mask, table), {1})));
  CHECK(count.weighted_total().count == 2 * 24);
  CHECK(count.bytes == 24 * 4 + 24 * 4 + 6 * 4);
  CHECK(count.stored_values == 1);
}

TEST_CASE("a row update in place counts its rows, elsewhere all") {
  const auto cache = [](const Usage& usage) {
    Pen pen;
    const NodeId at = pen.to(pen.in("at", {1, 1}, DType::I32), {16, 8});
    const NodeId mask = pen.cast(pen.equal(pen.counting({16, 8}, 0), at), DType::F32);
    return counted_by_1(pen.done(pen.select(mask, pen.to(pen.in("row", {1, 8}), {16, 8}), pen.in("cache", {16, 8}))),
                        usage);
  };
  const StepCount in_place = cache({.carry = {{"cache", "y"}}, .feed = {}});
  CHECK(in_place.weighted_total().count == 2 * 8);
  CHECK(in_place.bytes == 8 * 4 + 8 * 4 + 4);
  const StepCount copied = cache({});
  CHECK(copied.weighted_total().count == 2 * (128 + 128 + 128));  // select, CMPEQ, CAST
  CHECK(copied.bytes == 128 * 4 + 128 * 4 + 8 * 4 + 4);
  CHECK(copied.stored_values == in_place.stored_values);
}

TEST_CASE("bytes: every stored value once, and of what it reads the part that its views reach") {
  Pen pen;
  const NodeId x = pen.in("x", {100});
  SECTION("elementwise") {
    CHECK(counted_by_1(pen.done(pen.exp(x))).bytes == 400 + 400);
  }
  SECTION("read twice through one map") {
    CHECK(counted_by_1(pen.done(pen.mul(x, x))).bytes == 400 + 400);
  }
  SECTION("a part") {
    CHECK(counted_by_1(pen.done(pen.exp(pen.cut(x, {{20, 30}})))).bytes == 40 + 40);
  }
  SECTION("every third") {
    CHECK(counted_by_1(pen.done(pen.exp(pen.strided(x, {3})))).bytes == 34 * 4 * 2);
  }
  SECTION("two parts") {
    CHECK(counted_by_1(pen.done(pen.add(pen.cut(x, {{20, 30}}), pen.cut(x, {{0, 10}})))).bytes == 40 + 80);
  }
  SECTION("two views that reach more than all") {
    CHECK(counted_by_1(pen.done(pen.add(pen.cut(x, {{0, 90}}), pen.cut(x, {{10, 100}})))).bytes == 360 + 400);
  }
  SECTION("spread") {
    CHECK(counted_by_1(pen.done(pen.exp(pen.to(pen.as(x, {1, 100}), {50, 100})))).bytes == 20'000 + 400);
  }
  SECTION("a part of a spread value") {
    const NodeId spread = pen.to(pen.as(x, {100, 1}), {100, 50});
    CHECK(counted_by_1(pen.done(pen.exp(pen.cut(spread, {{0, 3}, {0, 50}})))).bytes == 600 + 12);
  }
  SECTION("padded") {
    CHECK(counted_by_1(pen.done(pen.padded(x, {{50, 50}}))).bytes == 800 + 400);
  }
  SECTION("by two kernels") {
    pen.output("sum", pen.sum(x, {0}));
    CHECK(counted_by_1(pen.done(pen.exp(x))).bytes == 4 + 400 + 400 + 400);
  }
  SECTION("a stored value") {
    const NodeId sum = pen.sum(pen.as(x, {10, 10}), {1});
    CHECK(counted_by_1(pen.done(pen.exp(sum))).bytes == 40 + 400 + 40 + 40);
  }
}

TEST_CASE("metered FLOPs are F, 64 a byte and 10^8 a stored value; a job adds 10^10") {
  Pen pen;
  const StepCount count = counted_by_1(pen.done(pen.exp(pen.in("x", {100}))));
  CHECK(count.metered().count == 1'600 + 64 * 800 + 100'000'000);
  CHECK(meter::metered(count, 1, false)->count == count.metered().count);
  CHECK(meter::metered(count, 7, true)->count == 7 * count.metered().count + 10'000'000'000);
}

TEST_CASE("values without elements count nothing but their place") {
  Pen pen;
  const StepCount count = counted_by_1(pen.done(pen.sum(pen.exp(pen.in("x", {0, 5})), {0})));
  CHECK(count.flops.count == 0);
  CHECK(count.bytes == 20);
  CHECK(count.stored_values == 1);
}

TEST_CASE("counts that do not fit are refused by name") {
  SECTION("a stored value past 2^40 elements") {
    Pen pen;
    const int64_t side = int64_t{1} << 21;
    const NodeId wide =
        pen.add(pen.to(pen.in("x", {side, 1}), {side, side}), pen.to(pen.in("y", {1, side}), {side, side}));
    const auto corner = [&](int64_t from) { return pen.cut(wide, {{from, from + 1}, {0, 1}}); };
    const NodeId read = pen.add(pen.add(corner(0), corner(1)), corner(2));
    CHECK(meter::count(graph::normalise(pen.done(read)), {}).problem().code == "value_too_large");
  }
  SECTION("steps") {
    StepCount count;
    count.bytes = UInt128{1} << 105;
    CHECK(meter::metered(count, (int64_t{1} << 31) - 1, true).problem().code == "count_overflow");
    CHECK(meter::metered(count, int64_t{1} << 31, true).problem().code == "count_overflow");
    CHECK(meter::metered(count, -1, true).problem().code == "count_overflow");
  }
  SECTION("the greatest virtual values fit") {
    Pen pen;
    const int64_t side = int64_t{1} << 31;
    const NodeId x = pen.to(pen.in("x", {side, 1}, DType::F64), {side, side});
    const StepCount count = counted_by_1(pen.done(pen.sum(pen.exp(pen.exp(x)), {1})));
    CHECK(count.weighted[2].count == UInt128{17 * 4} << 62);
  }
}

/// What is held for the whole step or at one time, the workspace taken off.
uint64_t held(const graph::Graph& graph, const meter::Usage& usage = {}) {
  const auto layout = meter::lay_out_memory(graph::normalise(graph), usage);
  REQUIRE(layout.ok());
  REQUIRE(layout->bound_bytes() == counted_by_1(graph, usage).memory_bound_bytes);
  return layout->held_bytes();
}

TEST_CASE("the memory bound holds inputs, outputs and live values, aligned") {
  Pen pen;
  const NodeId x = pen.in("x", {100, 64});
  SECTION("one kernel") {
    CHECK(held(pen.done(pen.exp(x))) == 2 * 25'600);
  }
  SECTION("small values take 256 bytes") {
    CHECK(held(pen.done(pen.sum(x, {0, 1}))) == 25'600 + 256);
  }
  SECTION("values that are not needed any more make room, for outputs too") {
    NodeId y = x;  // sums of 100 elements (512 bytes aligned), each read by the next alone
    for (int i = 0; i < 9; ++i) y = pen.to(pen.sum(y, {1}), {100, 64});
    CHECK(held(pen.done(pen.sum(y, {1}))) == 25'600 + 2 * 512);
  }
}

TEST_CASE("carries are held twice, feeds in two slices") {
  Pen pen;
  pen.output("w_next", pen.exp(pen.add(pen.in("w", {64}), pen.in("x", {64}))));
  const graph::Graph graph = pen.done();
  CHECK(held(graph) == 3 * 256);
  CHECK(held(graph, {.carry = {{"w", "w_next"}}, .feed = {}}) == 3 * 256);
  CHECK(held(graph, {.carry = {{"w", "w_next"}}, .feed = {"x"}}) == 4 * 256);
}

TEST_CASE("a carry that is updated in place, or from itself, is held twice too") {
  Pen pen;
  pen.output("w_next", pen.in("w", {64}));
  CHECK(held(pen.done(), {.carry = {{"w", "w_next"}}, .feed = {}}) == 2 * 256);
}

TEST_CASE("workspace is an eighth more, and at least a MiB") {
  Pen small, large;
  CHECK(counted_by_1(small.done(small.exp(small.in("x", {64})))).memory_bound_bytes == 2 * 256 + (1 << 20));
  const uint64_t held_bytes = 2 * (uint64_t{64} << 20);
  CHECK(counted_by_1(large.done(large.exp(large.in("x", {16 << 20})))).memory_bound_bytes ==
        held_bytes + held_bytes / 8);
}

}  // namespace
}  // namespace quarry::testing
