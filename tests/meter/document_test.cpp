// The worked examples of docs/metering.md: the page shows what the meter counts.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

graph::Graph matrix_product(DType dtype) {
  Pen pen;
  const auto wide = [&](NodeId node) { return dtype == DType::F32 ? node : pen.cast(node, DType::F32); };
  const NodeId left = wide(pen.as(pen.in("a", {1'024, 1'024}, dtype), {1'024, 1, 1'024}));
  const NodeId right = wide(pen.as(pen.turned(pen.in("b", {1'024, 1'024}, dtype), {1, 0}), {1, 1'024, 1'024}));
  const Shape cube{1'024, 1'024, 1'024};
  return pen.done(pen.sum(pen.mul(pen.to(left, cube), pen.to(right, cube)), {2}));
}

/// Rows `index` of the table, one after the other, as [rows, 1, width].
NodeId gathered(Pen& pen, NodeId table, NodeId index) {
  const int64_t rows = pen.shape(index)[0], entries = pen.shape(table)[0], width = pen.shape(table)[1];
  const Shape cube{rows, entries, width};
  const NodeId mask =
      pen.equal(pen.counting({rows, entries, 1}, 1), pen.to(pen.as(index, {rows, 1, 1}), {rows, entries, 1}));
  return pen.sum(pen.mul(pen.to(pen.cast(mask, DType::F32), cube), pen.to(pen.as(table, {1, entries, width}), cube)),
                 {1});
}

graph::Graph embedding() {
  Pen pen;
  return pen.done(gathered(pen, pen.in("table", {50'000, 512}), pen.in("index", {128}, DType::I32)));
}

/// One step of softmax regression: from the one-hot previous letter to the next, a batch of 32,768 pairs.
graph::Graph softmax_regression() {
  constexpr int64_t kBatch = 32'768, kLetters = 26;
  const Shape wide{kBatch, kLetters}, cube{kBatch, kLetters, kLetters};
  Pen pen;
  const NodeId weights = pen.in("w", {kLetters, kLetters});
  const NodeId pairs = pen.in("pairs", {kBatch, 2}, DType::I32);
  const NodeId previous = pen.cut(pairs, {{0, kBatch}, {0, 1}});
  const NodeId next = pen.cut(pairs, {{0, kBatch}, {1, 2}});
  const auto one_hot = [&](NodeId letter) {
    return pen.cast(pen.equal(pen.counting(wide, 1), pen.to(letter, wide)), DType::F32);
  };
  const NodeId logits = pen.as(gathered(pen, weights, pen.as(previous, {kBatch})), wide);
  const NodeId e = pen.exp(pen.sub(logits, pen.to(pen.greatest(logits, {1}), wide)));
  const NodeId p = pen.div(e, pen.to(pen.sum(e, {1}), wide));
  const NodeId y = one_hot(next);
  pen.output("loss", pen.mul(pen.sum(pen.mul(y, pen.log(p)), {0, 1}), pen.full({1, 1}, -1.0 / kBatch)));
  const NodeId left = pen.to(pen.as(one_hot(previous), {kBatch, kLetters, 1}), cube);
  const NodeId right = pen.to(pen.as(pen.sub(p, y), {kBatch, 1, kLetters}), cube);
  const NodeId gradient = pen.as(pen.sum(pen.mul(left, right), {0}), {kLetters, kLetters});
  pen.output("w_next", pen.sub(weights, pen.mul(gradient, pen.like(gradient, 1.0 / kBatch))));
  return pen.done();
}

graph::Graph swapped() {
  Pen pen;
  const Shape shape{1 << 26};
  pen.output("a_next", pen.in("b", shape, DType::U8));
  pen.output("b_next", pen.in("a", shape, DType::U8));
  return pen.done();
}

/// Rows that cut across a value which is repeated and turned round.
graph::Graph hard_to_find() {
  Pen pen;
  const NodeId x = pen.to(pen.as(pen.in("x", {61, 67}, DType::U8), {61, 67, 1}), {61, 67, 1'000});
  return pen.done(pen.greatest(pen.as(pen.turned(x, {1, 2, 0}), {61'000, 67}), {1}));
}

std::string grouped(UInt128 value) {
  std::string digits = to_decimal(value);
  for (size_t i = digits.size(); i > 3;) digits.insert(i -= 3, ",");
  return digits;
}

std::string row(const std::string& name, const graph::Graph& graph, const meter::Usage& usage = {}) {
  const meter::StepCount count = counted(graph, usage);
  std::string out = "| " + name;
  for (UInt128 value : {count.flops.count, count.weighted_total().count, count.bytes, UInt128{count.stored_values},
                        count.metered().count, UInt128{count.memory_bound_bytes}}) {
    out += " | " + grouped(value);
  }
  return out + " |\n";
}

TEST_CASE("docs/metering.md shows what the meter counts") {
  std::ifstream file(QUARRY_METERING_DOCUMENT);
  std::stringstream text;
  text << file.rdbuf();
  const std::string document = text.str();
  const std::string rows =
      row("A. f32 matrix product, 1,024 cubed", matrix_product(DType::F32)) +
      row("B. the same of bf16 widened to f32", matrix_product(DType::BF16)) +
      row("C. 128 rows of a 50,000 x 512 table", embedding()) +
      row("D. softmax regression, one step", softmax_regression(), {.carry = {{"w", "w_next"}}, .feed = {"pairs"}}) +
      row("E. two u8[2^26] that swap each step", swapped(), {.carry = {{"a", "a_next"}, {"b", "b_next"}}}) +
      row("F. u8[61, 67], 1,000 times over, turned and read in rows of 67, the greatest of each", hard_to_find());
  INFO("replace the rows of the worked examples in docs/metering.md by these:\n" << rows);
  CHECK(document.find(rows) != std::string::npos);
}

}  // namespace
}  // namespace quarry::testing
