// The spellings in which idioms are found, and those that look like one and are not.
#include <catch2/catch.hpp>

#include "engine/graph/idioms.h"
#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

using graph::Graph;

std::optional<graph::Gather> gather_in(const Graph& graph) {
  const NodeId sum = graph.find_output("y");
  return graph::match_gather(graph, sum);
}

std::optional<graph::RowUpdate> row_update_in(const Graph& graph) {
  return graph::match_row_update(graph, graph::zero_or_one_values(graph), graph.find_output("y"));
}

bool is_select(const Graph& graph) {
  return graph::match_select(graph, graph::zero_or_one_values(graph), graph.find_output("y")).has_value();
}

/// A gather of 6 rows of [10, 4] from a mask of shape [6, 10, 4].
struct Lookup : Pen {
  NodeId table = to(as(in("table", {10, 4}), {1, 10, 4}), {6, 10, 4});
  NodeId index = in("index", {6}, DType::I32);
  NodeId spread_index = to(as(index, {6, 1, 1}), {6, 10, 4});
  NodeId rows(NodeId mask) { return sum(mul(cast(mask, DType::F32), table), {1}); }
};

TEST_CASE("a gather is found with an IOTA of the full shape") {
  Lookup pen;
  const auto gather = gather_in(pen.done(pen.rows(pen.equal(pen.counting({6, 10, 4}, 1), pen.spread_index))));
  REQUIRE(gather);
  CHECK(gather->axis == 1);
  CHECK(gather->offset == 0);
}

TEST_CASE("a gather is found however the IOTA comes to run along the axis") {
  Lookup pen;
  NodeId iota = graph::kNoNode;
  int64_t offset = 0;
  SECTION("reshaped and expanded") {
    iota = pen.to(pen.as(pen.counting({10}, 0), {1, 10, 1}), {6, 10, 4});
  }
  SECTION("permuted") {
    iota = pen.to(pen.turned(pen.counting({10, 1, 1}, 0), {1, 0, 2}), {6, 10, 4});
  }
  SECTION("a part of a longer one") {
    iota = pen.to(pen.as(pen.cut(pen.counting({100}, 0), {{30, 40}}), {1, 10, 1}), {6, 10, 4});
    offset = 30;
  }
  SECTION("turned around twice") {
    const NodeId backwards = pen.strided(pen.counting({10}, 0), {-1});
    iota = pen.to(pen.as(pen.strided(backwards, {-1}), {1, 10, 1}), {6, 10, 4});
  }
  SECTION("through a flat shape and back") {
    iota = pen.as(pen.as(pen.counting({6, 10, 4}, 1), {240}), {6, 10, 4});
  }
  SECTION("counted in two digits") {
    const NodeId flat = pen.as(pen.as(pen.counting({10}, 0), {2, 5}), {1, 10, 1});
    iota = pen.to(flat, {6, 10, 4});
  }
  SECTION("every seventh of a longer one at a pace of one") {
    iota = pen.to(
        pen.as(pen.strided(pen.as(pen.to(pen.as(pen.counting({10}, 0), {10, 1}), {10, 7}), {70}), {7}), {1, 10, 1}),
        {6, 10, 4});
  }
  SECTION("cast between integers that hold it") {
    iota = pen.cast(pen.cast(pen.counting({6, 10, 4}, 1, DType::I64), DType::I8), DType::I32);
  }
  const auto gather = gather_in(pen.done(pen.rows(pen.equal(iota, pen.spread_index))));
  REQUIRE(gather);
  CHECK(gather->axis == 1);
  CHECK(gather->offset == offset);
}

TEST_CASE("a gather is found with the operands of MUL and CMPEQ either way round") {
  Lookup pen;
  const NodeId iota = pen.counting({6, 10, 4}, 1);
  const NodeId mask = pen.cast(pen.equal(pen.spread_index, iota), DType::F32);
  const Graph graph = pen.done(pen.sum(pen.mul(pen.table, mask), {1}));
  const auto gather = gather_in(graph);
  REQUIRE(gather);
  CHECK(graph[gather->table].op == Op::Expand);
  CHECK(graph[gather->comparison].op == Op::CmpEq);
  CHECK(graph[gather->mask].op == Op::Cast);
}

TEST_CASE("a gather is found when the comparison is small and its mask is moved into place") {
  Lookup pen;
  const NodeId small =
      pen.equal(pen.to(pen.as(pen.counting({10}, 0), {1, 10}), {6, 10}), pen.to(pen.as(pen.index, {6, 1}), {6, 10}));
  const NodeId mask = pen.to(pen.as(pen.cast(small, DType::F32), {6, 10, 1}), {6, 10, 4});
  CHECK(gather_in(pen.done(pen.sum(pen.mul(mask, pen.table), {1}))));
}

TEST_CASE("a gather is found when the index is computed after it was spread") {
  Lookup pen;
  const NodeId later = pen.max(pen.add(pen.spread_index, pen.like(pen.spread_index, 1)), pen.like(pen.spread_index, 0));
  CHECK(gather_in(pen.done(pen.rows(pen.equal(pen.counting({6, 10, 4}, 1), later)))));
}

TEST_CASE("what only looks like a gather is none") {
  Lookup pen;
  NodeId iota = pen.counting({6, 10, 4}, 1);
  NodeId index = pen.spread_index;
  SECTION("the IOTA runs along another axis") {
    iota = pen.counting({6, 10, 4}, 2);
  }
  SECTION("the IOTA runs backwards") {
    iota = pen.strided(iota, {1, -1, 1});
  }
  SECTION("the IOTA skips") {
    iota = pen.strided(pen.counting({6, 19, 4}, 1), {1, 2, 1});
  }
  SECTION("the IOTA is padded") {
    iota = pen.padded(pen.counting({6, 9, 4}, 1), {{0, 0}, {0, 1}, {0, 0}});
  }
  SECTION("the IOTA wraps in its dtype") {
    iota = pen.cast(pen.cast(pen.cut(pen.counting({6, 300, 4}, 1), {{0, 6}, {0, 10}, {0, 4}}), DType::I8), DType::I32);
  }
  SECTION("the index varies along the axis") {
    index = pen.to(pen.as(pen.in("i", {10}, DType::I32), {1, 10, 1}), {6, 10, 4});
  }
  SECTION("the index varies along the axis below arithmetic") {
    index = pen.add(index, pen.counting({6, 10, 4}, 1));
  }
  SECTION("two axes share the IOTA") {
    iota = pen.as(pen.counting({60, 4}, 0), {6, 10, 4});
  }
  CHECK_FALSE(gather_in(pen.done(pen.rows(pen.equal(iota, index)))));
}

TEST_CASE("a comparison of floats is no gather: large numbers would collide") {
  Lookup pen;
  const NodeId iota = pen.cast(pen.counting({6, 10, 4}, 1), DType::F32);
  CHECK_FALSE(gather_in(pen.done(pen.rows(pen.equal(iota, pen.cast(pen.spread_index, DType::F32))))));
}

TEST_CASE("a select is found in both orders and with its mask moved and cast after the complement") {
  Pen pen;
  const NodeId x = pen.in("x", {4, 6});
  const NodeId y = pen.in("y", {4, 6});
  const NodeId bit = pen.in("bit", {4, 1}, DType::Bool);
  const auto moved = [&](NodeId mask) { return pen.to(pen.cast(mask, DType::F32), {4, 6}); };
  SECTION("in the order of the design") {
    CHECK(is_select(pen.done(pen.select(moved(bit), x, y))));
  }
  SECTION("the other way round") {
    const NodeId mask = moved(bit);
    CHECK(is_select(pen.done(pen.mul(pen.pow(y, pen.inverse(mask)), pen.pow(x, mask)))));
  }
  SECTION("a complement below movement and CAST") {
    CHECK(is_select(pen.done(pen.mul(pen.pow(x, moved(bit)), pen.pow(y, moved(pen.inverse(bit)))))));
  }
  SECTION("a < b as a condition") {
    const NodeId less = pen.mul(pen.inverse(pen.equal(x, y)), pen.equal(pen.max(x, y), y));
    CHECK(is_select(pen.done(pen.select(less, x, y))));
  }
  SECTION("a one that is expanded and cast") {
    const NodeId mask = moved(bit);
    const NodeId one = pen.to(pen.cast(pen.full({1, 1}, 1, DType::I32), DType::F32), {4, 6});
    CHECK(is_select(pen.done(pen.mul(pen.pow(x, mask), pen.pow(y, pen.sub(one, mask))))));
  }
}

TEST_CASE("what only looks like a select is none") {
  Pen pen;
  const NodeId x = pen.in("x", {4});
  const NodeId y = pen.in("y", {4});
  const NodeId mask = pen.cast(pen.in("bit", {4}, DType::Bool), DType::F32);
  SECTION("a condition that may be anything") {
    CHECK_FALSE(is_select(pen.done(pen.select(pen.in("c", {4}), x, y))));
  }
  SECTION("2 - c") {
    CHECK_FALSE(is_select(pen.done(pen.mul(pen.pow(x, mask), pen.pow(y, pen.sub(pen.like(mask, 2), mask))))));
  }
  SECTION("c - 1") {
    CHECK_FALSE(is_select(pen.done(pen.mul(pen.pow(x, mask), pen.pow(y, pen.sub(mask, pen.like(mask, 1)))))));
  }
  SECTION("another condition's complement") {
    const NodeId other = pen.cast(pen.in("other", {4}, DType::Bool), DType::F32);
    CHECK_FALSE(is_select(pen.done(pen.mul(pen.pow(x, mask), pen.pow(y, pen.inverse(other))))));
  }
  SECTION("a complement that was padded with zeros") {
    const NodeId bit = pen.cut(mask, {{0, 3}});
    const auto padded = [&](NodeId node) { return pen.padded(node, {{0, 1}}); };
    CHECK_FALSE(is_select(pen.done(pen.mul(pen.pow(x, padded(bit)), pen.pow(y, padded(pen.inverse(bit)))))));
  }
  SECTION("1.5 cast to an integer is not seen as 1") {
    const NodeId bit = pen.in("i", {4}, DType::Bool);
    const NodeId one = pen.cast(pen.cast(pen.full({4}, 1.5), DType::I32), DType::F32);
    CHECK_FALSE(is_select(pen.done(pen.mul(pen.pow(x, mask), pen.pow(y, pen.sub(one, pen.cast(bit, DType::F32)))))));
  }
}

TEST_CASE("zero or one: what is proved and what is not") {
  Pen pen;
  const NodeId x = pen.in("x", {4});
  const NodeId bit = pen.cast(pen.in("b", {4}, DType::Bool), DType::F32);
  const auto is_proved = [&](NodeId node) {
    pen.output("y", node);
    const Graph graph = pen.done();
    return static_cast<bool>(graph::zero_or_one_values(graph)[graph.find_output("y")]);
  };
  SECTION("comparison") {
    CHECK(is_proved(pen.equal(x, x)));
  }
  SECTION("product") {
    CHECK(is_proved(pen.mul(bit, pen.equal(x, bit))));
  }
  SECTION("maximum") {
    CHECK(is_proved(pen.max(bit, pen.equal(x, bit))));
  }
  SECTION("complement") {
    CHECK(is_proved(pen.inverse(bit)));
  }
  SECTION("padding") {
    CHECK(is_proved(pen.padded(bit, {{1, 2}})));
  }
  SECTION("greatest of some") {
    CHECK(is_proved(pen.greatest(bit, {0})));
  }
  SECTION("greatest of nothing") {
    CHECK_FALSE(is_proved(pen.greatest(pen.cut(bit, {{2, 2}}), {0})));
  }
  SECTION("sum") {
    CHECK_FALSE(is_proved(pen.add(bit, bit)));
  }
  SECTION("reduced sum") {
    CHECK_FALSE(is_proved(pen.sum(bit, {0})));
  }
  SECTION("input") {
    CHECK_FALSE(is_proved(x));
  }
  SECTION("minus zero") {
    CHECK_FALSE(is_proved(pen.full({4}, -0.0)));
  }
  SECTION("IOTA of two") {
    CHECK(is_proved(pen.counting({2}, 0)));
  }
  SECTION("IOTA of three") {
    CHECK_FALSE(is_proved(pen.counting({3}, 0)));
  }
  SECTION("1 - x") {
    CHECK_FALSE(is_proved(pen.inverse(x)));
  }
}

TEST_CASE("small constants are read from every dtype, through movement and CASTs that keep them") {
  for (DType dtype : {DType::F16, DType::BF16, DType::F32, DType::F64}) {
    for (double value : {0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 3.5, 64.0}) {
      Pen pen;
      const Graph graph = pen.done(pen.to(pen.full({1}, value, dtype), {3}));
      CHECK(graph::constant_in_halves(graph, graph.find_output("y")) == static_cast<int>(2 * value));
    }
    for (double value : {0.25, 1.25, 65.0, 1e30, -0.0}) {
      Pen pen;
      CHECK_FALSE(graph::constant_in_halves(pen.done(pen.full({3}, value, dtype)), 0));
    }
  }
  Pen pen;
  const NodeId kept = pen.cast(pen.full({3}, 2, DType::F16), DType::I8);
  const NodeId lost = pen.cast(pen.full({3}, -0.5), DType::I32);
  const NodeId flag = pen.cast(pen.full({3}, 2), DType::Bool);
  pen.output("kept", kept);
  pen.output("lost", lost);
  pen.output("flag", flag);
  const Graph graph = pen.done();
  CHECK(graph::constant_in_halves(graph, kept) == 4);
  CHECK_FALSE(graph::constant_in_halves(graph, lost));
  CHECK_FALSE(graph::constant_in_halves(graph, flag));
}

/// A cache of 16 rows of 8, of which row `at` is replaced.
struct Cache : Pen {
  NodeId old_rows = in("cache", {16, 8});
  NodeId at = in("at", {1, 1}, DType::I32);
  NodeId row = to(in("row", {1, 8}), {16, 8});
  NodeId is_row = cast(equal(counting({16, 8}, 0), to(at, {16, 8})), DType::F32);
};

TEST_CASE("a row update is found, also when the old value stands first") {
  Cache pen;
  SECTION("select(is row, new, old)") {
    const auto update = row_update_in(pen.done(pen.select(pen.is_row, pen.row, pen.old_rows)));
    REQUIRE(update);
    CHECK(update->axis == 0);
    CHECK(update->offset == 0);
  }
  SECTION("select(1 - is row, old, new)") {
    CHECK(
        row_update_in(pen.done(pen.mul(pen.pow(pen.old_rows, pen.inverse(pen.is_row)), pen.pow(pen.row, pen.is_row)))));
  }
  SECTION("not when the old value is computed") {
    CHECK_FALSE(row_update_in(pen.done(pen.select(pen.is_row, pen.row, pen.exp(pen.old_rows)))));
  }
  SECTION("not when the old value is kept in the row and replaced elsewhere") {
    CHECK_FALSE(row_update_in(pen.done(pen.select(pen.is_row, pen.old_rows, pen.row))));
  }
}

TEST_CASE("a row update is in place only when it is carried to its input and nothing else reads that input") {
  Cache pen;
  const std::vector<std::pair<std::string, std::string>> carry{{"cache", "y"}};
  const auto in_place = [&](const Graph& graph, const auto& carried) {
    return graph::in_place_row_updates(graph, graph::zero_or_one_values(graph), carried).size() == 1;
  };
  const NodeId updated = pen.select(pen.is_row, pen.row, pen.old_rows);
  SECTION("carried") {
    CHECK(in_place(pen.done(updated), carry));
  }
  SECTION("not carried") {
    CHECK_FALSE(in_place(pen.done(updated), std::vector<std::pair<std::string, std::string>>{}));
  }
  SECTION("read elsewhere") {
    pen.output("z", pen.exp(pen.old_rows));
    CHECK_FALSE(in_place(pen.done(updated), carry));
  }
  SECTION("an output itself") {
    pen.output("z", pen.old_rows);
    CHECK_FALSE(in_place(pen.done(updated), carry));
  }
}

TEST_CASE("a contraction counts at the width its operands had before they were widened") {
  const auto contraction_of = [](DType left, DType right) {
    Pen pen;
    const auto wide = [&](NodeId node) { return pen.dtype(node) == DType::F32 ? node : pen.cast(node, DType::F32); };
    const NodeId product = pen.matmul(wide(pen.in("a", {4, 5}, left)), wide(pen.in("b", {5, 6}, right)));
    const Graph graph = pen.done(product);
    return graph::match_contraction(graph, graph[graph.find_output("y")].operands[0]);
  };
  CHECK(contraction_of(DType::BF16, DType::F16)->width_bits == 16);
  CHECK(contraction_of(DType::BF16, DType::F16)->is_narrow);
  CHECK(contraction_of(DType::BF16, DType::F32)->width_bits == 32);
  CHECK_FALSE(contraction_of(DType::F32, DType::F32)->is_narrow);
}

}  // namespace
}  // namespace quarry::testing
