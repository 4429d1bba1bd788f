// Matrix products, einsum and convolutions against plain loops, and what they count.
#include "engine/tensor/contraction.h"

#include <catch2/catch.hpp>
#include <map>

#include "engine/meter/meter.h"
#include "engine/tensor/convolution.h"
#include "engine/tensor/shape.h"
#include "tests/tensor/evaluate.h"
#include "tests/tensor/numbers.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Catch::Contains;
using Xs = std::vector<Tensor>;

namespace {

Tensor anything(Shape shape, DType dtype = DType::F32) {
  return input("", dtype, std::move(shape));
}

int64_t product_of(const Shape& sizes) {
  int64_t product = 1;
  for (int64_t size : sizes) product *= size;
  return product;
}

/// The coordinates of an element.
Shape coordinates_of(int64_t place, const Shape& shape) {
  Shape at(shape.size());
  for (size_t axis = shape.size(); axis-- > 0; place /= shape[axis]) at[axis] = place % shape[axis];
  return at;
}

/// einsum by its definition: over all values of all letters. `terms`: letters of each operand.
Elements by_letters(const std::vector<std::string>& terms, const std::string& result, const Xs& operands) {
  std::map<char, int64_t> sizes;
  std::vector<Elements> values;
  for (size_t i = 0; i < terms.size(); ++i) {
    values.push_back(evaluate(operands[i]));
    for (size_t axis = 0; axis < terms[i].size(); ++axis) sizes[terms[i][axis]] = operands[i].shape()[axis];
  }
  Shape all;
  for (const auto& [letter, size] : sizes) all.push_back(size);
  const auto place_in = [&](const std::string& letters, const Shape& at) {
    size_t place = 0;
    for (char letter : letters) {
      const auto axis = static_cast<size_t>(std::distance(sizes.begin(), sizes.find(letter)));
      place = place * static_cast<size_t>(all[axis]) + static_cast<size_t>(at[axis]);
    }
    return place;
  };
  size_t count = 1;
  for (char letter : result) count *= static_cast<size_t>(sizes[letter]);
  Elements out(count, 0);
  for (int64_t place = 0; place < product_of(all); ++place) {
    const Shape at = coordinates_of(place, all);
    double term = 1;
    for (size_t i = 0; i < terms.size(); ++i) term *= values[i][place_in(terms[i], at)];
    out[place_in(result, at)] += term;
  }
  return out;
}

struct Conv1d {
  int64_t batch = 2, in, out, length, kernel;
  ConvOptions options;
  int64_t stride() const { return options.stride.empty() ? 1 : options.stride[0]; }
  int64_t gap() const { return options.dilation.empty() ? 1 : options.dilation[0]; }
  Pair padding() const { return options.padding.empty() ? Pair{0, 0} : options.padding[0]; }
  int64_t result() const {
    return (length + padding().before + padding().after - gap() * (kernel - 1) - 1) / stride() + 1;
  }
};

/// y[n, o, j] += x[n, c, i] * w[o, c in its group, k] for all i = j * stride + k * gap - before inside: with `each`
/// called as each(n, c, i, o, c in group, k, j).
template <class Each>
void for_each_tap(const Conv1d& c, Each each) {
  const int64_t groups = c.options.groups, in = c.in / groups, out = c.out / groups;
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t o = 0; o < c.out; ++o) {
      for (int64_t channel = 0; channel < in; ++channel) {
        for (int64_t j = 0; j < c.result(); ++j) {
          for (int64_t k = 0; k < c.kernel; ++k) {
            const int64_t i = j * c.stride() + k * c.gap() - c.padding().before;
            if (i >= 0 && i < c.length) each(n, o / out * in + channel, i, o, channel, k, j);
          }
        }
      }
    }
  }
}

size_t at(int64_t a, int64_t b, int64_t c, int64_t sizes_b, int64_t sizes_c) {
  return static_cast<size_t>((a * sizes_b + b) * sizes_c + c);
}

const std::vector<Conv1d> kConvolutions{
    {.in = 3, .out = 2, .length = 7, .kernel = 3, .options = {}},
    {.in = 3, .out = 2, .length = 7, .kernel = 1, .options = {.stride = {2}}},
    {.in = 2, .out = 4, .length = 9, .kernel = 3, .options = {.stride = {2}, .padding = {{2, 1}}}},
    {.in = 2, .out = 3, .length = 8, .kernel = 4, .options = {.stride = {2}, .padding = {{1, 1}}}},
    {.in = 2, .out = 3, .length = 9, .kernel = 2, .options = {.stride = {3}}},
    {.in = 4, .out = 6, .length = 9, .kernel = 3, .options = {.padding = {{2, 2}}, .dilation = {2}, .groups = 2}},
    {.in = 4, .out = 4, .length = 9, .kernel = 3, .options = {.stride = {2}, .dilation = {2}, .groups = 4}},
};

unsigned long long flops_of(const Tensor& output) {
  const auto graph = quarry::graph::normalise(build({{"y", output}}).graph);
  return static_cast<unsigned long long>(quarry::meter::count(graph, {}).value().flops.count);
}

}  // namespace

TEST_CASE("matmul has NumPy's shapes and values") {
  const auto check = [](const Shape& left, const Shape& right, const std::vector<std::string>& terms,
                        const std::string& result, const Shape& shape) {
    const Tensor x = scattered(left), y = scattered(right, 1), z = matmul(x, y);
    CHECK(z.shape() == shape);
    CHECK(evaluate(z) == by_letters(terms, result, {x, y}));
  };
  check({3, 4}, {4, 2}, {"mk", "kn"}, "mn", {3, 2});
  check({4}, {4, 2}, {"k", "kn"}, "n", {2});
  check({3, 4}, {4}, {"mk", "k"}, "m", {3});
  check({4}, {4}, {"k", "k"}, "", {});
  check({5, 3, 4}, {4, 2}, {"bmk", "kn"}, "bmn", {5, 3, 2});
  check({2, 5, 3, 4}, {5, 4, 2}, {"abmk", "bkn"}, "abmn", {2, 5, 3, 2});
}

TEST_CASE("products of integers wrap in their dtype, of bool are and/or, of nothing are 0") {
  const Tensor bytes = constant(100, DType::I8, {1, 3});
  CHECK(evaluate(matmul(bytes, transpose(bytes, 0, 1))) == Elements{48});
  const Tensor bits = cast(counting({2, 2}), DType::Bool);
  CHECK(evaluate(matmul(bits, bits)) == Elements{1, 1, 1, 1});
  CHECK(matmul(bits, bits).dtype() == DType::Bool);
  CHECK(evaluate(matmul(counting({2, 0}), counting({0, 2}))) == Elements(4, 0));
  CHECK(matmul(anything({2, 3}, DType::F16), anything({3, 2}, DType::BF16)).dtype() == DType::F32);
}

TEST_CASE("products of f16 and bf16 add up in f32 and are rounded once") {
  for (DType dtype : {DType::F16, DType::BF16}) {
    // 4,096 + 1 + 1 + ...: in 16 bits every 1 would be lost.
    const Tensor ones = constant(1, dtype, {1, 4097});
    const Tensor x = where(equal(counting({1, 4097}), constant(0, DType::F32)), constant(4096, dtype), ones);
    CHECK(evaluate(matmul(x, transpose(ones, 0, 1))) == Elements{8192});
    CHECK(matmul(x, transpose(ones, 0, 1)).dtype() == dtype);
  }
}

TEST_CASE("tensordot and linear are the products that they name") {
  const Tensor x = scattered({2, 3, 4}), y = scattered({3, 4, 5}, 1);
  CHECK(evaluate(tensordot(x, y, 2)) == by_letters({"abc", "bcd"}, "ad", {x, y}));
  CHECK(tensordot(x, y, 0).shape() == Shape{2, 3, 4, 3, 4, 5});
  const Tensor weight = scattered({5, 4}, 2), bias = scattered({5}, 3);
  const Elements product = by_letters({"abc", "dc"}, "abd", {x, weight}), shift = evaluate(bias);
  const Elements values = evaluate(linear(x, weight, bias));
  for (size_t i = 0; i < values.size(); ++i) CHECK(values[i] == product[i] + shift[i % 5]);
}

TEST_CASE("einsum does what its letters say") {
  const auto check = [](const std::string& equation, const std::vector<std::string>& terms, const std::string& result,
                        const std::vector<Shape>& shapes) {
    CAPTURE(equation);
    Xs operands;
    for (size_t i = 0; i < shapes.size(); ++i) operands.push_back(scattered(shapes[i], static_cast<int64_t>(i)));
    CHECK(evaluate(einsum(equation, operands)) == by_letters(terms, result, operands));
  };
  check("ij,jk->ik", {"ij", "jk"}, "ik", {{2, 3}, {3, 4}});
  check("ij,jk", {"ij", "jk"}, "ik", {{2, 3}, {3, 4}});
  check("ba", {"ba"}, "ab", {{2, 3}});
  check("ii->i", {"ii"}, "i", {{3, 3}});
  check("ii", {"ii"}, "", {{3, 3}});
  check("ijj->ji", {"ijj"}, "ji", {{2, 3, 3}});
  check("ij->", {"ij"}, "", {{2, 3}});
  check("i,j->ij", {"i", "j"}, "ij", {{2}, {3}});
  check("bij , bjk -> bki", {"bij", "bjk"}, "bki", {{2, 3, 4}, {2, 4, 2}});
  check("...ij,...jk->...ik", {"abij", "bjk"}, "abik", {{2, 3, 2, 4}, {3, 4, 2}});
  check("...i,...i", {"ai", "ai"}, "a", {{2, 3}, {2, 3}});
  check("ij,jk,kl->il", {"ij", "jk", "kl"}, "il", {{2, 3}, {3, 2}, {2, 4}});
  check("bhqd,bhkd->bhqk", {"bhqd", "bhkd"}, "bhqk", {{2, 2, 3, 4}, {2, 2, 5, 4}});
  const Tensor stretched[] = {scattered({1, 3}), scattered({4, 3}, 1)};
  CHECK(einsum("ij,ij->i", stretched).shape() == Shape{4});
}

TEST_CASE("convolutions are what their definition says, for every geometry") {
  for (const Conv1d& c : kConvolutions) {
    CAPTURE(c.in, c.out, c.kernel, c.stride(), c.gap(), c.options.groups);
    const int64_t in = c.in / c.options.groups;
    const Tensor x = scattered({c.batch, c.in, c.length}), w = scattered({c.out, in, c.kernel}, 1);
    const Elements xs = evaluate(x), ws = evaluate(w);
    Elements expected(static_cast<size_t>(c.batch * c.out * c.result()), 0);
    for_each_tap(c, [&](int64_t n, int64_t ic, int64_t i, int64_t o, int64_t channel, int64_t k, int64_t j) {
      expected[at(n, o, j, c.out, c.result())] +=
          xs[at(n, ic, i, c.in, c.length)] * ws[at(o, channel, k, in, c.kernel)];
    });
    const Tensor y = conv(x, w, {}, c.options);
    CHECK(y.shape() == Shape{c.batch, c.out, c.result()});
    CHECK(evaluate(y) == expected);
  }
}

TEST_CASE("transposed convolutions are the transposes of convolutions, for every geometry") {
  for (const Conv1d& c : kConvolutions) {
    CAPTURE(c.in, c.out, c.kernel, c.stride(), c.gap(), c.options.groups);
    // From the convolution's results back to its operand: its `out` channels come in, its `in` channels go out.
    const int64_t in = c.in / c.options.groups;
    const Tensor y = scattered({c.batch, c.out, c.result()}), w = scattered({c.out, in, c.kernel}, 1);
    const Elements ys = evaluate(y), ws = evaluate(w);
    Elements expected(static_cast<size_t>(c.batch * c.in * c.length), 0);
    for_each_tap(c, [&](int64_t n, int64_t ic, int64_t i, int64_t o, int64_t channel, int64_t k, int64_t j) {
      expected[at(n, ic, i, c.in, c.length)] +=
          ys[at(n, o, j, c.out, c.result())] * ws[at(o, channel, k, in, c.kernel)];
    });
    const int64_t reached =
        (c.result() - 1) * c.stride() - c.padding().before - c.padding().after + c.gap() * (c.kernel - 1) + 1;
    const Tensor x = conv_transpose(y, w, {}, c.options, {c.length - reached});
    CHECK(x.shape() == Shape{c.batch, c.in, c.length});
    CHECK(evaluate(x) == expected);
  }
}

TEST_CASE("convolutions of two and three axes are those of one, axis by axis") {
  const Tensor x = scattered({1, 2, 5, 6}), row = scattered({2}, 1), column = scattered({3}, 2);
  const Tensor separable = reshape(column, {1, 1, 3, 1}) * reshape(row, {1, 1, 1, 2});
  const Tensor weight = expand(separable, {2, 1, 3, 2});
  const ConvOptions both{.stride = {2, 1}, .padding = {{1, 0}, {0, 1}}, .groups = 2};
  const ConvOptions down{.stride = {2, 1}, .padding = {{1, 0}, {0, 0}}, .groups = 2};
  const ConvOptions across{.padding = {{0, 0}, {0, 1}}, .groups = 2};
  const Tensor twice = conv(conv(x, expand(reshape(column, {1, 1, 3, 1}), {2, 1, 3, 1}), {}, down),
                            expand(reshape(row, {1, 1, 1, 2}), {2, 1, 1, 2}), {}, across);
  CHECK(evaluate(conv(x, weight, {}, both)) == evaluate(twice));
  CHECK(conv(anything({1, 2, 5, 6, 7}), anything({4, 2, 3, 3, 3}), anything({4})).shape() == Shape{1, 4, 3, 4, 5});
  CHECK(conv_transpose(anything({1, 4, 3, 4, 5}), anything({4, 2, 3, 2, 4}), {}, {.stride = {2}}).shape() ==
        Shape{1, 2, 7, 8, 12});
}

TEST_CASE("products count two FLOPs for each pair of factors, and no inserted zeros") {
  CHECK(flops_of(matmul(anything({8, 16}), anything({16, 4}))) == 2 * 8 * 16 * 4);
  CHECK(flops_of(einsum("bij,bkj->bik", Xs{anything({2, 3, 4}), anything({2, 5, 4})})) == 2 * 2 * 3 * 5 * 4);
  CHECK(flops_of(conv(anything({2, 4, 8, 8}), anything({6, 4, 3, 3}), {}, {.padding = {{1, 1}}})) ==
        2 * 2 * 6 * 64 * 4 * 9);
  CHECK(flops_of(conv(anything({2, 4, 8, 8}), anything({4, 1, 3, 3}), {}, {.padding = {{1, 1}}, .groups = 4})) ==
        2 * 2 * 4 * 64 * 9);
  // 2 n in out k^2 l^2, and additions where results overlap; or for k = stride not even those.
  CHECK(flops_of(conv_transpose(anything({1, 4, 8, 8}), anything({4, 5, 2, 2}), {}, {.stride = {2}})) ==
        2 * 4 * 5 * 4 * 64);
  const auto overlapping =
      flops_of(conv_transpose(anything({1, 64, 8, 8}), anything({64, 5, 3, 3}), {}, {.stride = {2}}));
  CHECK(overlapping >= 2 * 64 * 5 * 9 * 64);
  CHECK(overlapping <= 2 * 64 * 5 * 9 * 64 * 27 / 25);
}

TEST_CASE("same padding keeps sizes at stride 1 and divides them at others") {
  for (int64_t size : {5, 8}) {
    for (int64_t step : {1, 2, 3}) {
      for (bool lower : {false, true}) {
        const auto padding = same_padding({size}, {3}, {step}, {2}, lower);
        const Tensor y = conv(anything({1, 1, size}), anything({1, 1, 3}), {},
                              {.stride = {step}, .padding = padding, .dilation = {2}});
        CHECK(y.size(2) == (size + step - 1) / step);
        CHECK((lower ? padding[0].before >= padding[0].after : padding[0].before <= padding[0].after));
      }
    }
  }
}

TEST_CASE("factors that do not fit are refused with both shapes") {
  const Tensor x = anything({2, 3}), y = anything({4, 5});
  CHECK_THROWS_WITH(matmul(x, y), Contains("f32[2, 3]") && Contains("f32[4, 5]"));
  CHECK_THROWS_WITH(matmul(x, anything({})), Contains("scalar"));
  CHECK_THROWS_WITH(linear(x, y), Contains("f32[2, 3]") && Contains("f32[4, 5]"));
  CHECK_THROWS_WITH(linear(x, anything({5, 3}), y), Contains("[5]") && Contains("f32[4, 5]"));
  CHECK_THROWS_WITH(tensordot(x, y, 1), Contains("f32[2, 3]") && Contains("f32[4, 5]"));
  const Xs pair{x, y};
  CHECK_THROWS_WITH(einsum("ij,jk->ik", pair), Contains("\"j\" is 3 and 4") && Contains("f32[4, 5]"));
  CHECK_THROWS_WITH(einsum("ij", pair), Contains("1 operands, but 2"));
  CHECK_THROWS_WITH(einsum("i,jk", pair), Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(einsum("ij,kl->im", pair), Contains("no operand has"));
  CHECK_THROWS_WITH(einsum("ij,kl->ii", pair), Contains("twice"));
  CHECK_THROWS_WITH(einsum("i1,kl", pair), Contains("\"1\""));
  CHECK_THROWS_WITH(einsum("ii,kl", pair), Contains("f32[2, 3]"));
  const Tensor image = anything({1, 4, 5, 5});
  CHECK_THROWS_WITH(conv(image, anything({2, 3, 3, 3})), Contains("f32[1, 4, 5, 5]") && Contains("f32[2, 3, 3, 3]"));
  CHECK_THROWS_WITH(conv(image, anything({2, 4, 6, 3})), Contains("does not fit"));
  CHECK_THROWS_WITH(conv(image, anything({2, 4, 3, 3}), anything({3})), Contains("f32[3]"));
  CHECK_THROWS_WITH(conv(image, anything({2, 4, 3, 3}), {}, {.stride = {0}}), Contains("stride"));
  CHECK_THROWS_WITH(conv(image, anything({2, 4, 3, 3}), {}, {.groups = 3}), Contains("3 groups"));
  CHECK_THROWS_WITH(conv(image, anything({2, 4, 3, 3}), {}, {.groups = INT64_MAX}), Contains("groups"));
  CHECK_THROWS_WITH(conv_transpose(image, anything({3, 4, 3, 3})), Contains("f32[3, 4, 3, 3]"));
}
