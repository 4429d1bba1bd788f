// What tensors are: sources, the strict ops, movement, broadcasting, promotion, select; and how a graph is built of
// them.
#include "engine/tensor/tensor.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/graph/idioms.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/build.h"
#include "tests/tensor/evaluate.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Catch::Contains;

namespace {

Tensor of(DType dtype, Shape shape) {
  return input("", dtype, std::move(shape));
}

Elements where_of(const Elements& condition, const Elements& x, const Elements& y, DType dtype) {
  const Shape shape{static_cast<int64_t>(x.size())};
  const Tensor c = of(DType::Bool, shape), a = of(dtype, shape), b = of(dtype, shape);
  return evaluate(where(c, a, b), {{c, condition}, {a, x}, {b, y}});
}

}  // namespace

TEST_CASE("the twelve ops are strict, and errors name both operands") {
  const Tensor x = of(DType::F32, {2, 3}), y = of(DType::F32, {3, 2}), z = of(DType::F16, {2, 3});
  CHECK_THROWS_WITH(binary(Op::Add, x, y), Contains("f32[2, 3]") && Contains("f32[3, 2]"));
  CHECK_THROWS_WITH(binary(Op::Mul, x, z), Contains("f32[2, 3]") && Contains("f16[2, 3]"));
  CHECK_THROWS_WITH(exp(of(DType::I32, {4})), Contains("i32[4]"));
  CHECK_THROWS_WITH(binary(Op::Div, of(DType::Bool, {1}), of(DType::Bool, {1})), Contains("bool"));
  CHECK_THROWS_AS(reduce(Op::Add, x, {0}), TensorError);
  CHECK_THROWS_AS(binary(Op::Exp, x, x), TensorError);
}

TEST_CASE("movement says what does not fit") {
  const Tensor x = of(DType::F32, {2, 3});
  const Pair one[] = {{0, 1}}, outside[] = {{0, 3}, {0, 3}}, negative[] = {{-1, 0}, {0, 0}};
  const int64_t zero[] = {0, 1};
  CHECK_THROWS_WITH(reshape(x, {4}), Contains("f32[2, 3]") && Contains("[4]"));
  CHECK_THROWS_WITH(reshape(x, {-1, -1}), Contains("only one"));
  CHECK_THROWS_WITH(reshape(x, {-1, 4}), Contains("does not divide"));
  CHECK_THROWS_WITH(permute(x, {0}), Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(permute(x, {0, -2}), Contains("twice"));
  CHECK_THROWS_WITH(permute(x, {0, 2}), Contains("no axis 2"));
  CHECK_THROWS_WITH(expand(x, {4, 3}), Contains("f32[2, 3]") && Contains("[4, 3]"));
  CHECK_THROWS_WITH(expand(x, {3}), Contains("more axes"));
  CHECK_THROWS_WITH(pad(x, one), Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(pad(x, negative), Contains("shrink"));
  CHECK_THROWS_WITH(shrink(x, outside), Contains("[0, 3)") && Contains("axis 0"));
  CHECK_THROWS_WITH(stride(x, zero), Contains("not 0"));
}

TEST_CASE("sizes that no graph can have are refused before anything overflows") {
  CHECK_THROWS_WITH(of(DType::F32, {-1}), Contains("0 or more"));
  CHECK_THROWS_WITH(of(DType::F32, {int64_t{1} << 40, int64_t{1} << 40}), Contains("2^62"));
  CHECK_THROWS_WITH(of(DType::F32, Shape(17, 1)), Contains("16 axes"));
  CHECK_THROWS_WITH(iota(DType::F32, {3}, 0), Contains("i32 or i64"));
  CHECK_THROWS_WITH(rand({3}, 1, DType::F64), Contains("f32 or i32"));
  CHECK_NOTHROW(of(DType::F32, {0, int64_t{1} << 60}));
}

TEST_CASE("movement that changes nothing gives its operand back, and constants stay constants") {
  const Tensor x = of(DType::F32, {2, 3}), two = constant(2, DType::F32, {2, 1});
  const Pair none[] = {{0, 0}, {0, 0}}, all[] = {{0, 2}, {0, 3}};
  const int64_t ones[] = {1, 1};
  for (const Tensor& same : {reshape(x, {2, -1}), permute(x, {0, 1}), expand(x, {-1, 3}), pad(x, none), shrink(x, all),
                             stride(x, ones), cast(x, DType::F32)}) {
    CHECK(&same.node() == &x.node());
  }
  for (const Tensor& moved : {reshape(two, {2}), permute(two, {1, 0}), expand(two, {2, 5}), cast(two, DType::I8)}) {
    CHECK(is_constant(moved, 2));
  }
  CHECK(reshape(reshape(x, {6}), {3, 2}).node().operands[0].pointer() == x.pointer());
}

TEST_CASE("operands are broadcast from the last axis, and refused with both shapes") {
  CHECK(broadcast_shape({2, 1, 4}, {3, 1}, "test") == Shape{2, 3, 4});
  CHECK(broadcast_shape({}, {5}, "test") == Shape{5});
  CHECK(broadcast_shape({0, 1}, {1, 3}, "test") == Shape{0, 3});
  const Tensor x = of(DType::F32, {2, 3}), y = of(DType::F32, {2});
  CHECK_THROWS_WITH(x + y, Contains("[2, 3]") && Contains("[2]") && Contains("add"));
  const Tensor column = of(DType::F32, {2, 1}), row = of(DType::F32, {3});
  CHECK(evaluate(column - row, {{column, {10, 20}}, {row, {1, 2, 3}}}) == Elements{9, 8, 7, 19, 18, 17});
}

TEST_CASE("dtypes meet as users of array libraries expect") {
  using enum DType;
  CHECK(promoted(Bool, U8) == U8);
  CHECK(promoted(I64, F16) == F16);
  CHECK(promoted(F16, BF16) == F32);
  CHECK(promoted(I8, U8) == I32);
  CHECK(promoted(F32, F64) == F64);
  for (int i = 0; i < quarry::graph::kDTypes; ++i) {
    for (int j = 0; j < quarry::graph::kDTypes; ++j) {
      const auto a = static_cast<DType>(i), b = static_cast<DType>(j);
      CHECK(promoted(a, b) == promoted(b, a));
    }
  }
  CHECK((of(F16, {2}) + of(I32, {2})).dtype() == F16);
  CHECK((of(F16, {2}) * 2.0).dtype() == F16);
  CHECK((of(I8, {2}) * 2.0).dtype() == I8);
  CHECK((of(I8, {2}) * 2.5).dtype() == F32);
  CHECK((of(Bool, {2}) + 1.0).dtype() == I32);
  CHECK_THROWS_WITH(of(I8, {2}) + 200.0, Contains("200") && Contains("i8"));
}

TEST_CASE("comparisons of every kind are right, and false with NaN") {
  for (DType dtype : {DType::F32, DType::I8, DType::I64, DType::F16}) {
    const Elements x{1, 2, 3, -5, 0}, y{2, 2, 1, -4, 0};
    const Tensor a = of(dtype, {5}), b = of(dtype, {5});
    const std::vector<std::pair<Tensor, Elements>> in{{a, x}, {b, y}};
    CHECK(evaluate(less(a, b), in) == Elements{1, 0, 0, 1, 0});
    CHECK(evaluate(less_equal(a, b), in) == Elements{1, 1, 0, 1, 1});
    CHECK(evaluate(greater(a, b), in) == Elements{0, 0, 1, 0, 0});
    CHECK(evaluate(greater_equal(a, b), in) == Elements{0, 1, 1, 0, 1});
    CHECK(evaluate(equal(a, b), in) == Elements{0, 1, 0, 0, 1});
    CHECK(evaluate(not_equal(a, b), in) == Elements{1, 0, 1, 1, 0});
  }
  const Tensor a = of(DType::F32, {5}), b = of(DType::F32, {5});
  const std::vector<std::pair<Tensor, Elements>> in{{a, {kNaN, 1, kInf, -kInf, kInf}}, {b, {1, kNaN, kInf, kInf, 3}}};
  CHECK(evaluate(less(a, b), in) == Elements{0, 0, 0, 1, 0});
  CHECK(evaluate(less_equal(a, b), in) == Elements{0, 0, 1, 1, 0});
  CHECK(evaluate(greater(a, b), in) == Elements{0, 0, 0, 0, 1});
  CHECK(evaluate(equal(a, b), in) == Elements{0, 0, 1, 0, 0});
  CHECK(evaluate(not_equal(a, b), in) == Elements{1, 1, 0, 1, 1});
}

TEST_CASE("logic takes every number but 0 as true") {
  const Tensor a = of(DType::F32, {4}), b = of(DType::I32, {4});
  const std::vector<std::pair<Tensor, Elements>> in{{a, {0, 0.5, kNaN, 0}}, {b, {0, 0, 2, -1}}};
  CHECK(evaluate(logical_and(a, b), in) == Elements{0, 0, 1, 0});
  CHECK(evaluate(logical_or(a, b), in) == Elements{0, 1, 1, 1});
  CHECK(evaluate(logical_xor(a, b), in) == Elements{0, 1, 0, 1});
  CHECK(evaluate(logical_not(a), in) == Elements{1, 0, 0, 1});
}

TEST_CASE("where is exact for inf, NaN and integers, whatever stands on the other side") {
  const Elements got = where_of({1, 0, 1, 0, 1}, {kInf, kNaN, 3, -kInf, 0}, {kNaN, -kInf, kInf, 4, kNaN}, DType::F32);
  CHECK(got == Elements{kInf, -kInf, 3, 4, 0});
  CHECK(where_of({1, 0, 1}, {-128, 3, 0}, {7, -128, -1}, DType::I8) == Elements{-128, -128, 0});
  CHECK(where_of({1, 0, 1, 0}, {1, 1, 0, 0}, {0, 0, 1, 1}, DType::Bool) == Elements{1, 0, 0, 1});
  const Tensor number = of(DType::F32, {3});  // any number but 0 is true
  CHECK(evaluate(where(number, constant(1, DType::F32), constant(2, DType::F32)), {{number, {0.5, 0, kNaN}}}) ==
        Elements{1, 2, 1});
}

TEST_CASE("every where is the select idiom, for conditions of every origin") {
  const Tensor x = of(DType::F16, {4}), y = of(DType::F16, {4}), c = of(DType::I32, {4}), b = of(DType::Bool, {4});
  for (const Tensor& condition : {less(x, y), equal(x, y), logical_not(less(x, y)), c, b, cast(b, DType::F16), x,
                                  logical_and(b, less(x, y)), not_equal(c, c)}) {
    const Tensor chosen = where(condition, x, y);
    WhereParts parts;
    CHECK(match_where(chosen, parts));
    const quarry::graph::Graph graph = build({{"y", chosen}}).graph;
    const auto known = quarry::graph::zero_or_one_values(graph);
    CHECK(quarry::graph::match_select(graph, known, graph.find_output("y")));
  }
}

TEST_CASE("the lowest integers survive minimum, and negation wraps") {
  const Tensor a = of(DType::I8, {3}), b = of(DType::I8, {3});
  CHECK(evaluate(minimum(a, b), {{a, {-128, 127, 5}}, {b, {127, -128, 6}}}) == Elements{-128, -128, 5});
  CHECK(evaluate(-a, {{a, {-128, 127, 5}}}) == Elements{-128, -127, -5});
  const Tensor u = of(DType::U8, {2});
  CHECK(evaluate(-u, {{u, {1, 0}}}) == Elements{255, 0});
  CHECK_THROWS_WITH(-of(DType::Bool, {1}), Contains("bool"));
}

TEST_CASE("a graph names its nameless inputs in order of use, apart from given names") {
  const Tensor a = of(DType::F32, {2}), b = of(DType::F32, {2}), c = input("x0", DType::F32, {2});
  const Built built = build({{"y", a * b + c}});
  REQUIRE(built.inputs.size() == 3);
  CHECK(built.inputs[0].name == "x1");
  CHECK(built.inputs[0].tensor.pointer() == a.pointer());
  CHECK(built.inputs[1].name == "x2");
  CHECK(built.inputs[2].name == "x0");
  CHECK_THROWS_WITH(build({{"y", input("w", DType::F32, {1}) + input("w", DType::F32, {1})}}), Contains("\"w\""));
}

TEST_CASE("the same program gives the same graph id, however often it is written") {
  const auto program = [] {
    const Tensor x = of(DType::F32, {2, 3}), w = of(DType::F32, {3});
    return quarry::graph::normalise(build({{"y", exp(x * w) + 1.0}}).graph).id_text();
  };
  CHECK(program() == program());
}

TEST_CASE("a chain of 100,000 operations is built and freed without deep recursion") {
  Tensor x = of(DType::F32, {2});
  for (int i = 0; i < 100'000; ++i) x = i % 2 == 0 ? x + x : exp(x);
  CHECK(build({{"y", x}}).graph.size() == 100'001);
}
