// What this library builds is recognised by the meter and by lowering: that keeps bills low and runs fast.
#include <catch2/catch.hpp>

#include "engine/graph/idioms.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/build.h"
#include "engine/tensor/gradient.h"
#include "engine/tensor/index.h"
#include "engine/tensor/nn.h"
#include "engine/tensor/reduce.h"

using namespace quarry;
using namespace quarry::tensor;

namespace {

struct Found {
  int gathers = 0, contractions = 0, narrow = 0, selects = 0;
};

/// The idioms in the normal form of a graph.
Found found_in(const std::vector<Tensor>& outputs) {
  std::vector<std::pair<std::string, Tensor>> named;
  for (size_t i = 0; i < outputs.size(); ++i) named.emplace_back("y" + std::to_string(i), outputs[i]);
  const graph::NormalGraph normal = graph::normalise(build(named).graph);
  const std::vector<bool> zero_or_one = graph::zero_or_one_values(normal.graph);
  Found found;
  for (graph::NodeId id = 0; id < normal.graph.size(); ++id) {
    const Op op = normal.graph[id].op;
    if (op == Op::Mul) found.selects += graph::match_select(normal.graph, zero_or_one, id).has_value();
    if (op != Op::ReduceSum) continue;
    if (graph::match_gather(normal.graph, id)) {
      ++found.gathers;
    } else if (const auto contraction = graph::match_contraction(normal.graph, id)) {
      ++found.contractions;
      found.narrow += contraction->is_narrow;
    }
  }
  return found;
}

Tensor f32(Shape shape) {
  return input("", DType::F32, std::move(shape));
}
Tensor bf16(Shape shape) {
  return input("", DType::BF16, std::move(shape));
}
Tensor i32(Shape shape) {
  return input("", DType::I32, std::move(shape));
}

Tensor squared(const Tensor& x) {
  return x * x;
}

}  // namespace

TEST_CASE("every way of reading at an index is a gather") {
  const Tensor x = f32({3, 50, 4});
  CHECK(found_in({take(x, i32({2, 5}), 1)}).gathers == 1);
  CHECK(found_in({take(x, i32({2, 5}), 0, Negative::Wrap)}).gathers == 1);
  CHECK(found_in({take(bf16({3, 50, 4}), i32({}), -1)}).gathers == 1);
  CHECK(found_in({embedding(i32({7}), f32({1000, 64}))}).gathers == 1);
  CHECK(found_in({gather_along_axis(x, 1, i32({3, 9, 4}))}).gathers == 1);
  CHECK(found_in({gather_nd(x, i32({6, 2}))}).gathers == 1);
  CHECK(found_in({gather_nd(x, i32({3, 5, 1}), 1)}).gathers == 1);
  CHECK(found_in({cross_entropy(f32({8, 10}), i32({8}))}).gathers == 1);
}

TEST_CASE("every product over an axis is one contraction, a narrow one on 16 bits") {
  CHECK(found_in({matmul(f32({2, 3, 4}), f32({4, 5}))}).contractions == 1);
  CHECK(found_in({matmul(bf16({2, 3, 4}), bf16({4, 5}))}).narrow == 1);
  CHECK(found_in({linear(bf16({3, 4}), bf16({5, 4}), bf16({5}))}).narrow == 1);
  CHECK(found_in({conv(bf16({1, 4, 8, 8}), bf16({6, 2, 3, 3}), {}, {.groups = 2})}).narrow == 1);
  CHECK(found_in({conv_transpose(f32({1, 4, 8, 8}), f32({4, 3, 3, 3}), {}, {.stride = {2}})}).contractions >= 1);
  const Tensor q = bf16({1, 4, 16, 8});
  CHECK(found_in({scaled_dot_product_attention(q, bf16({1, 2, 16, 8}), bf16({1, 2, 16, 8}))}).narrow == 2);
}

TEST_CASE("gradients of contractions are contractions") {
  const Tensor a = f32({6, 7}), b = f32({7, 5});
  const Tensor loss = sum(squared(matmul(a, b)));
  CHECK(found_in(gradient(loss, std::vector{a, b})).contractions >= 3);
  const Tensor x = f32({2, 3, 8, 8}), w = f32({4, 3, 3, 3});
  const Tensor convolved = sum(squared(conv(x, w, {}, {.padding = {{1, 1}}})));
  CHECK(found_in(gradient(convolved, std::vector{x, w})).contractions >= 3);
  const Tensor h = bf16({6, 7}), k = bf16({7, 5});
  const Tensor narrow = sum(squared(cast(matmul(h, k), DType::F32)));
  CHECK(found_in(gradient(narrow, std::vector{h, k})).contractions >= 3);
}

TEST_CASE("the gradient of an embedding is the product of its mask and what came of it") {
  const Tensor table = f32({1000, 64}), rows = embedding(i32({7}), table);
  const Found found = found_in(gradient(sum(squared(rows)), std::vector{table}));
  CHECK(found.gathers == 1);
  CHECK(found.contractions == 1);
}

TEST_CASE("where is one select, and so are its gradients") {
  const Tensor x = f32({5}), y = f32({5});
  const Tensor chosen = where(less(x, y), x, y);
  CHECK(found_in({chosen}).selects == 1);
  CHECK(found_in({gradient(sum(chosen), std::vector{x})[0]}).selects == 1);
}

TEST_CASE("a constant is a condition if it is 0 or 1; -0 is neither, for POW and for the recogniser") {
  for (double value : {0.0, 1.0}) CHECK(constant(value, DType::F32).node().is_zero_or_one);
  for (double value : {-0.0, 0.5, 2.0}) CHECK_FALSE(constant(value, DType::F32).node().is_zero_or_one);
}

TEST_CASE("a row written into a carried cache is updated in place") {
  const Tensor cache = input("cache", DType::F32, {2, 128, 8});
  const Tensor next = row_update(cache, 1, step(), f32({2, 1, 8}));
  const graph::NormalGraph normal = graph::normalise(build({{"next", next}}).graph);
  const auto updates =
      graph::in_place_row_updates(normal.graph, graph::zero_or_one_values(normal.graph), {{"cache", "next"}});
  CHECK(updates.size() == 1);
}
