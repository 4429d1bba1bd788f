// Tariff 2 by small examples: its weights, copies, checkpoints and index work. What it has in common with tariff 1 is
// in count_test.cpp.
#include <catch2/catch.hpp>

#include "engine/meter/index_work.h"
#include "tests/meter/hostile.h"

namespace quarry::testing {
namespace {

using meter::StepCount;
using meter::Tariff;
using meter::Usage;

UInt128 index_work(const graph::Graph& graph, const Usage& usage = {}) {
  const StepCount count = counted(graph, usage);
  CHECK(counted(graph, usage, Tariff::One).index_work == 0);
  return count.index_work;
}
UInt128 copied(const graph::Graph& graph, const Usage& usage) {
  CHECK(counted(graph, usage, Tariff::One).copied_bytes == 0);
  return counted(graph, usage).copied_bytes;
}

TEST_CASE("what processors are slow at weighs more in tariff 2") {
  const auto weighted = [](DType dtype, auto make) {
    Pen pen;
    const StepCount count = counted(pen.done(make(pen, pen.in("x", {10}, dtype), pen.in("y", {10}, dtype))));
    return count.weighted_total().count - count.index_work;
  };
  const auto div = [](Pen& pen, NodeId x, NodeId y) { return pen.div(x, y); };
  const auto pow = [](Pen& pen, NodeId x, NodeId y) { return pen.pow(x, y); };
  const auto add = [](Pen& pen, NodeId x, NodeId y) { return pen.add(x, y); };
  const auto cast = [](DType to) { return [to](Pen& pen, NodeId x, NodeId) { return pen.cast(x, to); }; };
  CHECK(weighted(DType::F32, div) == 10 * 2 * 4);
  CHECK(weighted(DType::I32, div) == 10 * 2 * 32);
  CHECK(weighted(DType::F64, pow) == 10 * 4 * 64);
  CHECK(weighted(DType::U8, pow) == 10 * 64);
  const auto exp = [](Pen& pen, NodeId x, NodeId) { return pen.exp(x); };
  CHECK(weighted(DType::F32, exp) == 10 * 2 * 12);
  CHECK(weighted(DType::F64, exp) == 10 * 4 * 20);
  CHECK(weighted(DType::F32, [](Pen& pen, NodeId, NodeId) { return pen.rand(DType::F32, Shape{10}, 1); }) ==
        10 * 2 * 64);
  CHECK(weighted(DType::F32, add) == 10 * 2);
  CHECK(weighted(DType::BF16, add) == 10 * 2 * 3);  // in f32, and rounded
  CHECK(weighted(DType::F16, cast(DType::I64)) == 10 * 4 * 6);
  CHECK(weighted(DType::F32, cast(DType::BF16)) == 10 * 2 * 3);
  CHECK(weighted(DType::BF16, cast(DType::F32)) == 10 * 2);
}

TEST_CASE("contractions of 16 bits count at 16 bits, with CASTs or without") {
  for (const bool widened : {false, true}) {
    Pen pen;
    const auto operand = [&](const std::string& name) {
      const NodeId x = pen.in(name, {64, 64}, DType::BF16);
      return widened ? pen.cast(x, DType::F32) : x;
    };
    const StepCount count = counted(pen.done(pen.matmul(operand("a"), operand("b"))));
    CHECK(count.weighted[0].count == 2 * 64 * 64 * 64);
    CHECK(count.weighted[1].count == 0);
  }
}

TEST_CASE("copies count twice their bytes") {
  constexpr uint64_t kBytes = 1 << 20;
  Pen pen;
  const NodeId x = pen.in("x", {kBytes}, DType::U8), y = pen.in("y", {kBytes}, DType::U8);
  pen.output("x_out", x);
  pen.output("y_out", y);
  pen.output("twice", pen.add(x, x));
  const graph::Graph graph = pen.done();
  SECTION("a swap of carries") {
    CHECK(copied(graph, {.carry = {{"x", "y_out"}, {"y", "x_out"}}}) == 4 * kBytes);
  }
  SECTION("a feed, also one that goes straight to an output") {
    CHECK(copied(graph, {.feed = {"x"}}) == 2 * kBytes);
  }
  SECTION("an output of each step") {
    CHECK(copied(graph, {.keep_each = {"x_out", "twice"}}) == 4 * kBytes);
  }
  SECTION("two inputs carried from one output: one is written in place") {
    CHECK(copied(graph, {.carry = {{"x", "twice"}, {"y", "twice"}}}) == 2 * kBytes);
  }
  SECTION("nothing for a carry that a kernel writes, that never changes, or an output that is kept once") {
    CHECK(copied(graph, {.carry = {{"x", "twice"}, {"y", "y_out"}}}) == 0);
  }
  SECTION("all of it is in the bytes") {
    const Usage usage{.carry = {{"x", "y_out"}, {"y", "x_out"}}};
    CHECK(counted(graph, usage).bytes == counted(graph, usage, Tariff::One).bytes + 4 * kBytes);
  }
}

TEST_CASE("a small copy counts 128 KiB, and so does a step that does nothing") {
  Pen pen;
  pen.output("y", pen.in("x", {4}));
  const graph::Graph graph = pen.done();
  CHECK(counted(graph, {.feed = {"x"}}).bytes == 128 << 10);
  CHECK(counted(graph, {.carry = {{"x", "y"}}}).bytes == 128 << 10);
  CHECK(counted(graph).metered().count == 64 * (128 << 10));
}

TEST_CASE("each segment after the first costs 10^10 and the bytes of its checkpoint") {
  Pen pen;
  const NodeId carried = pen.in("carried", {1'000}), plain = pen.in("plain", {1'000}), fed = pen.in("fed", {1'000});
  pen.output("next", pen.add(pen.add(carried, plain), fed));
  const graph::Graph graph = pen.done();
  const Usage usage{.carry = {{"carried", "next"}}, .feed = {"fed"}};
  const StepCount count = counted(graph, usage);
  CHECK(count.checkpoint_bytes == 2 * 4'000 + 4'000);
  const UInt128 steps = 100 * count.metered().count;
  CHECK(meter::metered_job(count, 100, 1)->count == steps + 10'000'000'000);
  CHECK(meter::metered_job(count, 100, 7)->count == steps + 7 * 10'000'000'000 + 6 * 64 * 12'000);
  const StepCount by_1 = counted(graph, usage, Tariff::One);
  CHECK(meter::metered_job(by_1, 100, 7)->count == 100 * by_1.metered().count + 10'000'000'000);
  CHECK(meter::steps_per_segment(count, 100, std::nullopt) == 100);
  CHECK(meter::steps_per_segment(count, 100, 30) == 30);
  CHECK(meter::steps_per_segment(count, int64_t{1} << 30, std::nullopt) ==
        static_cast<int64_t>((meter::kMostSegmentFlops - meter::kFlopsPerJob) / count.metered().count));
}

constexpr UInt128 kDivision = meter::kFlopsPerDivision, kJump = meter::kFlopsPerJump;

TEST_CASE("movement without a carry needs no division") {
  Pen pen;
  SECTION("joined and split axes") {
    const NodeId heads = pen.turned(pen.as(pen.in("x", {64, 128, 128}), {64, 128, 8, 16}), {0, 2, 1, 3});
    CHECK(index_work(pen.done(pen.exp(pen.as(heads, {512, 128 * 16})))) == 0);
  }
  SECTION("windows") {
    const int64_t size = 100, k = 7, out = 94;
    NodeId y = pen.as(pen.to(pen.as(pen.in("x", {64, size}), {64, 1, size}), {64, 8, size}), {64, 8 * size});
    y = pen.as(pen.cut(y, {{0, 64}, {0, k * (size + 1)}}), {64, k, size + 1});
    CHECK(index_work(pen.done(pen.greatest(pen.cut(y, {{0, 64}, {0, k}, {0, out}}), {1}))) == 0);
  }
  SECTION("to another shape and back, turned round in between") {
    const NodeId line = pen.as(pen.in("x", {61, 67}), {61 * 67});
    const NodeId back = pen.as(pen.strided(pen.strided(line, {-1}), {-1}), {67, 61});
    CHECK(index_work(pen.done(pen.exp(pen.as(back, {61, 67})))) == 0);
  }
  SECTION("a mirrored axis is cut like the axis") {
    const NodeId x = pen.strided(pen.as(pen.in("x", {6, 64}), {6 * 64}), {-1});
    CHECK(index_work(pen.done(pen.exp(pen.turned(pen.as(x, {6, 64}), {0, 1})))) == 0);
  }
}

TEST_CASE("each digit that may carry is a division, once for all that read through it") {
  const auto turned_round = [](Pen& pen, NodeId x) {  // [64, 67] read in rows of 61 of its transpose
    return pen.as(pen.cut(pen.as(pen.turned(x, {1, 0}), {67 * 64}), {{0, 61 * 70}}), {70, 61});
  };
  const UInt128 points = 70 * 61;
  Pen one;
  CHECK(index_work(one.done(one.exp(turned_round(one, one.in("x", {64, 67}))))) == points * (kDivision + kJump));
  Pen two;
  const NodeId sum = two.add(two.in("x", {64, 67}), two.in("y", {64, 67}));
  CHECK(index_work(two.done(two.exp(turned_round(two, sum)))) == points * (kDivision + 2 * kJump));
  Pen counting;
  CHECK(index_work(counting.done(counting.exp(
            counting.cast(turned_round(counting, counting.counting({64, 67}, 0)), DType::F32)))) == points * kDivision);
}

TEST_CASE("zeros of a PAD count as points") {
  Pen pen;
  const NodeId x = pen.as(pen.turned(pen.in("x", {64, 67}), {1, 0}), {67 * 64});
  const NodeId rows = pen.as(pen.cut(x, {{0, 61 * 70}}), {70, 61});
  CHECK(index_work(pen.done(pen.exp(pen.padded(rows, {{70, 0}, {0, 0}})))) == 140 * 61 * (kDivision + kJump));
}

TEST_CASE("reads that agree on no axis jump") {
  const auto of = [](auto write) {
    Pen pen;
    const NodeId x = pen.in("x", {128, 128}), y = pen.in("y", {128, 128});
    return index_work(pen.done(write(pen, x, y)));
  };
  const UInt128 points = 128 * 128;
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.add(x, y); }) == 0);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.exp(pen.turned(x, {1, 0})); }) == 0);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.add(x, pen.turned(y, {1, 0})); }) == points * kJump);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) {
          return pen.sum(pen.add(x, pen.turned(y, {1, 0})), {0});
        }) == points * kJump);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.matmul(x, y); }) == 0);
  CHECK(of([](Pen& pen, NodeId x, NodeId y) { return pen.matmul(pen.turned(x, {1, 0}), y); }) == 0);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.exp(pen.strided(x, {1, 2})); }) == 0);
  CHECK(of([](Pen& pen, NodeId x, NodeId) { return pen.exp(pen.strided(x, {1, 3})); }) == 128 * 43 * kJump);
}

TEST_CASE("an axis of fewer than 16 points is no walk, unless it joins its neighbour") {
  const auto of = [](const Shape& shape, bool turned) {
    Pen pen;
    const NodeId x = pen.in("x", shape);
    return index_work(pen.done(pen.exp(turned ? pen.turned(x, {1, 0, 2}) : x)));
  };
  CHECK(of({8, 8, 8}, false) == 0);
  CHECK(of({8, 8, 8}, true) == 512 * kJump);
  CHECK(of({8, 8, 16}, true) == 0);
}

TEST_CASE("a row update in place finds its row alone, a gather its result") {
  Pen pen;
  const Shape shape{1'000, 48};
  const NodeId at = pen.to(pen.in("at", {1, 1}, DType::I32), shape);
  const NodeId mask = pen.cast(pen.equal(pen.counting(shape, 0), at), DType::F32);
  const NodeId row = pen.to(pen.as(pen.turned(pen.in("row", {6, 8}), {1, 0}), {1, 48}), shape);
  const graph::Graph graph = pen.done(pen.select(mask, row, pen.in("table", shape)));
  CHECK(index_work(graph, {.carry = {{"table", "y"}}}) == 48 * kJump);
}

TEST_CASE("a kernel of too many divisions is refused by name") {
  const auto chain = [](int length) {
    Pen pen;
    NodeId x = pen.in("x", {251, 67});
    for (int i = 0; i < length; ++i) {
      const int64_t rows = 250 - i, columns = 67;
      x = pen.exp(pen.as(pen.cut(pen.as(pen.turned(x, {1, 0}), {pen.shape(x)[0] * columns}), {{0, rows * columns}}),
                         {rows, columns}));
    }
    return meter::count(graph::normalise(pen.done(pen.sum(x, {0, 1}))), {});
  };
  CHECK(chain(2).ok());
  const auto refused = chain(200);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().code == "kernel_too_large");
  CHECK(refused.problem().detail.find("REDUCE_SUM") != std::string::npos);
}

TEST_CASE("no hostile job of the search is cheaper by tariff 2, and each is counted or refused by name") {
  std::mt19937_64 random(20'261'130);
  for (const std::string& family : hostile_families()) {
    for (int i = 0; i < 25; ++i) {
      const HostileJob job = hostile_job(random_words(random, 200), 1 << 16, family);
      const graph::NormalGraph normal = graph::normalise(job.graph);
      const auto first = meter::count(normal, job.usage, Tariff::One), second = meter::count(normal, job.usage);
      INFO(family << " " << i);
      REQUIRE(first.ok());
      if (!second.ok()) {
        CHECK(second.problem().code == "kernel_too_large");
        continue;
      }
      CHECK(second->metered() >= first->metered());
      CHECK(second->memory_bound_bytes == first->memory_bound_bytes);
      CHECK(second->stored_values == first->stored_values);
    }
  }
}

}  // namespace
}  // namespace quarry::testing
