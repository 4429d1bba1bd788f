// Gradients of convolutions: right for every geometry, and convolutions themselves, without a copy of x for each tap.
#include <catch2/catch.hpp>

#include "engine/meter/meter.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/convolution.h"
#include "engine/tensor/reduce.h"
#include "tests/tensor/finite_difference.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Xs = std::vector<Tensor>;

namespace {

const std::vector<ConvOptions> kGeometries{
    {},
    {.padding = {{1, 1}}},
    {.padding = {{2, 0}}},
    {.stride = {2}},
    {.stride = {2}, .padding = {{1, 1}}},
    {.stride = {3}, .padding = {{1, 2}}},
    {.padding = {{3, 3}}, .dilation = {2}},
    {.stride = {2}, .padding = {{1, 0}}, .dilation = {2}},
    {.padding = {{1, 1}}, .groups = 2},
    {.stride = {2}, .groups = 2},
    {.padding = {{4, 4}}},
};

quarry::meter::StepCount counted(const std::vector<Tensor>& outputs) {
  std::vector<std::pair<std::string, Tensor>> named;
  for (const Tensor& output : outputs) named.emplace_back("out" + std::to_string(named.size()), output);
  return quarry::meter::count(quarry::graph::normalise(build(named).graph), {}).value();
}

}  // namespace

TEST_CASE("convolutions pass gradients for every geometry") {
  for (const ConvOptions& options : kGeometries) {
    for (int64_t kernel : {1, 2, 3, 4}) {
      CAPTURE(text(options.stride), text(options.dilation), options.groups, kernel);
      check_gradient([&](const Xs& x) { return conv(x[0], x[1], x[2], options); },
                     {{2, 4, 8}, {6, 4 / options.groups, kernel}, {6}}, {.tolerance = 1e-5});
    }
  }
  check_gradient(
      [](const Xs& x) {
        return conv(x[0], x[1], {}, {.stride = {2, 1}, .padding = {{1, 1}, {0, 1}}});
      },
      {{2, 3, 5, 4}, {2, 3, 3, 2}}, {.tolerance = 1e-5});
}

TEST_CASE("transposed convolutions pass gradients for every geometry") {
  for (const ConvOptions& options : kGeometries) {
    for (int64_t kernel : {1, 2, 3, 4}) {
      if (!options.padding.empty() && options.padding[0].before > 2) continue;
      CAPTURE(text(options.stride), text(options.dilation), options.groups, kernel);
      check_gradient([&](const Xs& x) { return conv_transpose(x[0], x[1], x[2], options); },
                     {{2, 4, 6}, {4, 6 / options.groups, kernel}, {6}}, {.tolerance = 1e-5});
    }
  }
  check_gradient(
      [](const Xs& x) {
        return conv_transpose(x[0], x[1], {}, {.stride = {2}}, {1, 1});
      },
      {{1, 2, 3, 2}, {2, 2, 3, 3}}, {.tolerance = 1e-5});
}

TEST_CASE("convolutions can be differentiated twice") {
  for (const ConvOptions& options : {ConvOptions{.padding = {{1, 1}}}, ConvOptions{.stride = {2}}}) {
    const auto slopes = [&](const Xs& x) {
      const Tensor y = conv(x[0], x[1], {}, options);
      const auto g = gradient(sum(y * y * y), x);
      return sum(g[0] * g[0]) + sum(g[1]);
    };
    check_gradient(slopes, {{1, 2, 5}, {2, 2, 3}}, {.low = -1, .high = 1, .tolerance = 1e-4});
  }
}

TEST_CASE("the gradients of a convolution of stride 1 cost what it costs, and store nothing for each tap") {
  const Tensor x = input("", DType::F32, {4, 8, 10, 10}), w = input("", DType::F32, {8, 8, 3, 3});
  const Tensor y = conv(x, w, {}, {.padding = {{1, 1}}}), seed = input("", DType::F32, y.shape());
  const auto forward = counted({y}), backward = counted(gradient(sum(y * seed), std::vector{x, w}));
  CHECK(backward.flops.count == 2 * forward.flops.count);
  CHECK(backward.stored_values == 4);  // two contractions, and each in the shape of its output
}
