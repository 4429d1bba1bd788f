// Movement's composite functions and products summed over axes, against finite differences.
#include <algorithm>
#include <catch2/catch.hpp>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/contraction.h"
#include "engine/tensor/shape.h"
#include "tests/tensor/finite_difference.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Xs = std::vector<Tensor>;

TEST_CASE("axes come and go with their gradients") {
  check_gradient([](const Xs& x) { return squeeze(x[0], {1}); }, {{2, 1, 3}});
  check_gradient([](const Xs& x) { return unsqueeze(x[0], {0, -1}); }, {{2, 3}});
  check_gradient([](const Xs& x) { return flatten(x[0], 1, 2); }, {{2, 3, 2}});
  check_gradient([](const Xs& x) { return unflatten(x[0], 1, {2, -1}); }, {{2, 6}});
  check_gradient([](const Xs& x) { return transpose(x[0], 0, -1); }, {{2, 3, 4}});
  check_gradient([](const Xs& x) { return moveaxis(x[0], {0, 2}, {2, 0}); }, {{2, 3, 4}});
}

TEST_CASE("what is cut, joined and repeated gets its gradients from where it went") {
  const std::vector<Slice> slices{{.start = -1, .stop = {}, .step = -2}, {.start = 1, .stop = 4}};
  check_gradient([&](const Xs& x) { return slice(x[0], slices); }, {{5, 6, 2}});
  check_gradient([](const Xs& x) { return slice_axis(x[0], 1, {.start = 4, .stop = 0, .step = -1}); }, {{2, 5}});
  check_gradient([](const Xs& x) { return narrow(x[0], 1, 2, 2); }, {{3, 5}});
  check_gradient([](const Xs& x) { return select(x[0], 1, -2); }, {{3, 5}});
  check_gradient([](const Xs& x) { return cat(x, 1); }, {{2, 3}, {2, 1}, {2, 4}});
  check_gradient([](const Xs& x) { return stack(x, -1); }, {{2, 3}, {2, 3}});
  check_gradient([](const Xs& x) { return split(x[0], Shape{2, 1, 3}, 1)[2]; }, {{2, 6}});
  check_gradient([](const Xs& x) { return chunk(x[0], 3)[1]; }, {{7, 2}});
  check_gradient([](const Xs& x) { return flip(x[0], {0, -1}); }, {{2, 3, 4}});
  check_gradient([](const Xs& x) { return roll(x[0], {2, -1}, {0, 1}); }, {{3, 4}});
  check_gradient([](const Xs& x) { return tile(x[0], {2, 1, 3}); }, {{2, 3}});
  check_gradient([](const Xs& x) { return repeat_interleave(x[0], 3, 0); }, {{2, 3}});
  check_gradient([](const Xs& x) { return meshgrid(x)[1] * meshgrid(x)[0]; }, {{3}, {4}});
}

TEST_CASE("borders of every mode pass gradients back inside") {
  const Pair amounts[] = {{1, 2}, {0, 2}}, cutting[] = {{-1, 2}, {1, -2}};
  for (PadMode mode : {PadMode::Constant, PadMode::Reflect, PadMode::Symmetric, PadMode::Edge, PadMode::Circular}) {
    check_gradient([&](const Xs& x) { return pad(x[0], amounts, mode, 7); }, {{3, 4}});
  }
  check_gradient([&](const Xs& x) { return pad(x[0], cutting, PadMode::Constant); }, {{3, 4}});
}

TEST_CASE("triangles and diagonals pass gradients") {
  check_gradient([](const Xs& x) { return tril(x[0], -1); }, {{2, 3, 4}});
  check_gradient([](const Xs& x) { return triu(x[0], 1); }, {{4, 3}});
  check_gradient([](const Xs& x) { return diag(x[0], -2); }, {{3}});
  check_gradient([](const Xs& x) { return diagonal(x[0], 1); }, {{4, 4}});
}

TEST_CASE("windows add up their gradients where they overlap") {
  for (int64_t step : {1, 2, 4}) {
    for (int64_t dilation : {1, 2}) {
      const Shape steps{step, step}, gaps{dilation, 1};
      check_gradient([&](const Xs& x) { return windows(x[0], {3, 2}, steps, gaps); }, {{2, 7, 6}});
      const Shape counts = windows(constant(0, DType::F64, {7, 6}), {3, 2}, steps, gaps).shape();
      check_gradient([&](const Xs& x) { return overlap_add(x[0], {7, 6}, steps, gaps); }, {counts});
    }
  }
  check_gradient([](const Xs& x) { return unfold(x[0], {2, 3}, {1, 1}, {{1, 1}, {0, 1}}, {2, 1}); }, {{1, 2, 4, 4}});
  check_gradient([](const Xs& x) { return depth_to_space(x[0], 2); }, {{1, 8, 2, 2}});
  check_gradient([](const Xs& x) { return space_to_depth(x[0], 2); }, {{1, 2, 4, 2}});
}

TEST_CASE("products summed over axes pass gradients to both factors") {
  check_gradient([](const Xs& x) { return contract(x[0], x[1], {0, 2}); }, {{2, 3, 4}, {2, 1, 4}});
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{3, 4}, {4, 5}},
                                                                 {{4}, {4}},
                                                                 {{4}, {4, 2}},
                                                                 {{3, 4}, {4}},
                                                                 {{2, 3, 4}, {4, 2}},
                                                                 {{2, 1, 2, 3}, {3, 3, 2}}}) {
    check_gradient([](const Xs& x) { return matmul(x[0], x[1]); }, {a, b});
  }
  check_gradient([](const Xs& x) { return tensordot(x[0], x[1], 2); }, {{2, 3, 4}, {3, 4, 2}});
  check_gradient([](const Xs& x) { return linear(x[0], x[1], x[2]); }, {{2, 3, 4}, {5, 4}, {5}});
  for (const auto& [equation, shapes] :
       std::vector<std::pair<std::string, std::vector<Shape>>>{{"bij,bjk->bik", {{2, 3, 4}, {2, 4, 3}}},
                                                               {"...ij,...jk", {{2, 3, 4}, {4, 3}}},
                                                               {"ii->i", {{3, 3}}},
                                                               {"ij->", {{3, 4}}},
                                                               {"i,j->ij", {{3}, {4}}},
                                                               {"bij,kj,bik->b", {{2, 3, 4}, {5, 4}, {2, 3, 5}}},
                                                               {"ij,ij->j", {{3, 4}, {3, 4}}}}) {
    CAPTURE(equation);
    check_gradient([&](const Xs& x) { return einsum(equation, x); }, shapes);
  }
}
