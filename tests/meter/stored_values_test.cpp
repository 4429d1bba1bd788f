// What is stored, as small graphs. The rule is in docs/metering.md, Stored values.
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

using Ops = std::vector<std::string>;

/// The ops of the stored values, in order.
Ops stored(const graph::Graph& graph) {
  const auto normal = graph::normalise(graph);
  Ops ops;
  for (const meter::StoredValue& value : meter::stored_values(normal))
    ops.emplace_back(graph::name(normal.graph[value.node].op));
  return ops;
}

NodeId shifted(Pen& pen, NodeId x) {
  const int64_t size = pen.shape(x)[0];
  return pen.padded(pen.cut(x, {{1, size}}), {{0, 1}});
}

TEST_CASE("an elementwise chain is one stored value") {
  Pen pen;
  const NodeId x = pen.in("x", {8});
  CHECK(stored(pen.done(pen.exp(pen.add(pen.mul(x, x), x)))) == Ops{"EXP"});
}

TEST_CASE("inputs, and outputs that are inputs, are not stored again") {
  Pen pen;
  CHECK(stored(pen.done(pen.in("x", {8}))) == Ops{});
}

TEST_CASE("an output that only moves another value is stored, and so is a constant") {
  Pen pen;
  pen.output("turned", pen.turned(pen.in("x", {2, 3}), {1, 0}));
  pen.output("one", pen.full({4}, 1));
  CHECK(stored(pen.done()) == Ops{"CONST", "PERMUTE"});
}

TEST_CASE("movement and widening casts of a value are never stored for their many readers; what they show is") {
  Pen pen;
  const NodeId x = pen.exp(pen.in("x", {8}, DType::F16));
  const NodeId wide = pen.cast(x, DType::F32);
  for (int64_t i = 0; i < 5; ++i) {
    pen.output("y" + std::to_string(i), pen.exp(pen.cut(wide, {{i, i + 3}})));
  }
  CHECK(stored(pen.done()) == Ops{"EXP", "EXP", "EXP", "EXP", "EXP", "EXP"});
}

TEST_CASE("a value reached through three index maps is stored, through two it is not") {
  Pen pen;
  const NodeId x = pen.mul(pen.in("x", {8}), pen.in("z", {8}));
  const NodeId twice = pen.add(x, shifted(pen, x));
  SECTION("two") {
    CHECK(stored(pen.done(twice)) == Ops{"ADD"});
  }
  SECTION("three") {
    CHECK(stored(pen.done(pen.add(twice, shifted(pen, shifted(pen, x))))) == Ops{"MUL", "ADD"});
  }
}

TEST_CASE("sixty rounds of y + shift(y) stay linear") {
  Pen pen;
  NodeId y = pen.exp(pen.in("x", {100}));
  for (int i = 0; i < 60; ++i) y = pen.add(y, shifted(pen, y));
  CHECK(stored(pen.done(y)).size() == 30 + 1);
}

TEST_CASE("a dear value that is read again and again is stored, a cheap one is computed again") {
  Pen pen;
  const NodeId x = pen.in("x", {6, 4});
  SECTION("exp(x - 1) weighs 9") {
    const NodeId dear = pen.exp(pen.sub(x, pen.like(x, 1)));
    CHECK(stored(pen.done(pen.matmul(dear, pen.in("w", {4, 5})))) == Ops{"EXP", "REDUCE_SUM", "RESHAPE"});
    Pen narrow;
    const NodeId few = narrow.exp(narrow.sub(narrow.in("x", {6, 4}), narrow.full({6, 4}, 1)));
    CHECK(stored(narrow.done(narrow.matmul(few, narrow.in("w", {4, 4})))) == Ops{"REDUCE_SUM", "RESHAPE"});
  }
  SECTION("exp(x) weighs 8") {
    CHECK(stored(pen.done(pen.matmul(pen.exp(x), pen.in("w", {4, 50})))) == Ops{"REDUCE_SUM", "RESHAPE"});
  }
}

TEST_CASE("a value used many times at the same place of one kernel is computed once and not stored") {
  Pen pen;
  NodeId y = pen.exp(pen.exp(pen.in("x", {8})));
  for (int i = 0; i < 8; ++i) y = pen.add(pen.mul(y, y), y);
  CHECK(stored(pen.done(y)) == Ops{"ADD"});
}

TEST_CASE("an expression of more than 512 nodes is cut") {
  Pen pen;
  NodeId y = pen.in("x", {8});
  const NodeId z = pen.in("z", {8});
  SECTION("a chain") {
    for (int i = 0; i < 1'000; ++i) y = pen.add(y, z);
    CHECK(stored(pen.done(y)).size() == 2);
  }
  SECTION("a chain of exactly 512") {
    for (int i = 0; i < 512; ++i) y = pen.add(y, z);
    CHECK(stored(pen.done(y)).size() == 1);
  }
  SECTION("a chain whose nodes share parts is counted node by node") {
    for (int i = 0; i < 250; ++i) y = pen.add(pen.mul(y, z), y);
    CHECK(stored(pen.done(y)).size() == 1);
  }
}

TEST_CASE("what a select and a gather absorb is not stored") {
  Pen pen;
  const NodeId table = pen.in("table", {10, 4});
  const NodeId index = pen.in("index", {6}, DType::I32);
  const NodeId mask = pen.equal(pen.counting({6, 10, 4}, 1), pen.to(pen.as(index, {6, 1, 1}), {6, 10, 4}));
  const NodeId spread = pen.to(pen.as(table, {1, 10, 4}), {6, 10, 4});
  CHECK(stored(pen.done(pen.sum(pen.mul(pen.cast(mask, DType::F32), spread), {1}))) == Ops{"REDUCE_SUM"});
}

TEST_CASE("softmax stores its two reduces and its output") {
  Pen pen;
  const NodeId x = pen.in("x", {32, 100});
  const NodeId e = pen.exp(pen.sub(x, pen.to(pen.greatest(x, {1}), {32, 100})));
  CHECK(stored(pen.done(pen.div(e, pen.to(pen.sum(e, {1}), {32, 100})))) == Ops{"REDUCE_MAX", "REDUCE_SUM", "DIV"});
}

/// How many values one kernel computes, each counted once for every way in which it is reached.
size_t kernel_size(const graph::Graph& graph, NodeId result, const std::set<NodeId>& stored) {
  using Way = std::pair<NodeId, std::vector<NodeId>>;  // a node and the movement between it and the result
  std::set<Way> seen{{result, {}}};
  std::vector<Way> pending(seen.begin(), seen.end());
  size_t values = 0;
  while (!pending.empty()) {
    auto [id, moves] = std::move(pending.back());
    pending.pop_back();
    if (graph::is_movement(graph[id].op)) moves.push_back(id);
    values += graph::is_binary(graph[id].op) ? 1 : 0;
    for (int i = 0; i < graph.operand_count(id); ++i) {
      const NodeId operand = graph[id].operands[i];
      if (!stored.contains(operand) && seen.emplace(operand, moves).second) pending.emplace_back(operand, moves);
    }
  }
  return values;
}

TEST_CASE("no kernel computes more than 512 values, each in at most two ways") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    Pen pen;
    std::vector<NodeId> nodes{pen.in("x", {1'000}), pen.in("z", {1'000})};
    while (nodes.size() < 2'000) {
      const auto recent = [&] { return nodes[nodes.size() - 1 - random() % std::min<size_t>(nodes.size(), 1 + seed)]; };
      const NodeId other = random() % (1 + 10 * seed) == 0 ? shifted(pen, recent()) : recent();
      nodes.push_back(random() % 2 == 0 ? pen.add(recent(), other) : pen.mul(other, recent()));
    }
    const auto normal = graph::normalise(pen.done(nodes.back()));
    const auto values = meter::stored_values(normal);
    std::set<NodeId> stored;
    for (const meter::StoredValue& value : values) stored.insert(value.node);
    for (const NodeId result : stored) REQUIRE(kernel_size(normal.graph, result, stored) <= 2 * 512);
  }
}

TEST_CASE("graphs of 10,000 and of 900,000 nodes are counted") {
  for (const int nodes : {10'000, 900'000}) {
    Pen pen;
    const NodeId z = pen.in("z", {64, 64});
    NodeId y = pen.in("x", {64, 64});
    while (pen.size() + 20 < static_cast<size_t>(nodes)) {
      y = pen.add(pen.mul(y, z), pen.turned(pen.add(y, z), {1, 0}));
      y = pen.max(y, pen.padded(pen.cut(y, {{1, 64}, {0, 64}}), {{0, 1}, {0, 0}}));
      if (nodes < 16'000) y = pen.mul(pen.to(pen.sum(y, {1}), {64, 64}), z);
    }
    const auto normal = graph::normalise(pen.done(y));
    const auto count = meter::count(normal, {});
    REQUIRE(count.ok());
    CHECK(count->flops.count > static_cast<UInt128>(nodes));
  }
}

}  // namespace
}  // namespace quarry::testing
