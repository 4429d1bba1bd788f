// Optimisers against PyTorch's definitions, written out in plain doubles, over several steps.
#include "engine/tensor/optimise.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/tensor/arithmetic.h"
#include "tests/tensor/finite_difference.h"

using namespace quarry::test;
using namespace quarry::tensor;

namespace {

constexpr int kSteps = 5;
constexpr double kRate = 0.05;

/// The gradient that the tests pretend to see: of some function of the weight and the step.
Elements slopes(const Elements& w, int step) {
  Elements g;
  for (size_t i = 0; i < w.size(); ++i) g.push_back(w[i] * 0.7 - 0.3 * static_cast<double>(i) + 0.1 * step);
  return g;
}

void check_close(const Elements& got, const Elements& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - expected[i]) <= tolerance);
}

const Elements kStart{1, -2, 0.5};

struct Inputs3 {
  DType dtype;
  Tensor weight = input("", dtype, {3}), gradient = input("", dtype, {3}), state = input("", dtype, {3}),
         second = input("", dtype, {3}), updates = input("", DType::I32, {}), rate = input("", dtype, {});
};

}  // namespace

TEST_CASE("SGD steps as PyTorch's does") {
  for (const SgdOptions& options : {SgdOptions{}, SgdOptions{.weight_decay = 0.1}, SgdOptions{.momentum = 0.9},
                                    SgdOptions{.momentum = 0.9, .dampening = 0.4},
                                    SgdOptions{.momentum = 0.9, .weight_decay = 0.01, .nesterov = true}}) {
    const Inputs3 in{DType::F64};
    const SgdStep next =
        sgd(in.weight, in.gradient, options.momentum == 0 ? Tensor() : in.state, in.rate, options, in.updates);
    std::vector<Tensor> outputs{next.weight};
    if (next.momentum_buffer) outputs.push_back(next.momentum_buffer);
    CHECK((options.momentum == 0) == !next.momentum_buffer);
    Evaluator step(outputs);
    Elements w = kStart, expected = kStart, buffer(3, 0), expected_buffer;
    for (int i = 0; i < kSteps; ++i) {
      Elements d = slopes(expected, i);
      for (size_t k = 0; k < 3; ++k) d[k] += options.weight_decay * expected[k];
      if (options.momentum != 0) {
        if (i == 0) expected_buffer = d;
        for (size_t k = 0; k < 3 && i > 0; ++k) {
          expected_buffer[k] = options.momentum * expected_buffer[k] + (1 - options.dampening) * d[k];
        }
        for (size_t k = 0; k < 3; ++k) {
          d[k] = options.nesterov ? d[k] + options.momentum * expected_buffer[k] : expected_buffer[k];
        }
      }
      for (size_t k = 0; k < 3; ++k) expected[k] -= kRate * d[k];
      const auto results = step({{in.weight, w},
                                 {in.gradient, slopes(w, i)},
                                 {in.state, buffer},
                                 {in.updates, {static_cast<double>(i)}},
                                 {in.rate, {kRate}}});
      w = results[0];
      if (results.size() > 1) buffer = results[1];
    }
    check_close(w, expected, 1e-8);
  }
}

TEST_CASE("Adam and AdamW step as PyTorch's do, also in f32 with betas close to 1") {
  for (DType dtype : {DType::F64, DType::F32}) {
    for (bool is_decoupled : {false, true}) {
      const AdamOptions options{.beta1 = 0.9, .beta2 = 0.9999, .weight_decay = 0.1};
      const Inputs3 in{dtype};
      const AdamStep next =
          (is_decoupled ? adamw : adam)(in.weight, in.gradient, in.state, in.second, in.updates, in.rate, options);
      Evaluator step({next.weight, next.first_moment, next.second_moment});
      Elements w = kStart, m(3, 0), v(3, 0), expected = kStart, mean(3, 0), square(3, 0);
      for (int i = 0; i < kSteps; ++i) {
        const Elements g = slopes(expected, i);
        for (size_t k = 0; k < 3; ++k) {
          const double d = is_decoupled ? g[k] : g[k] + options.weight_decay * expected[k];
          if (is_decoupled) expected[k] *= 1 - kRate * options.weight_decay;
          mean[k] = options.beta1 * mean[k] + (1 - options.beta1) * d;
          square[k] = options.beta2 * square[k] + (1 - options.beta2) * d * d;
          const double root = std::sqrt(square[k]) / std::sqrt(1 - std::pow(options.beta2, i + 1));
          expected[k] -= kRate / (1 - std::pow(options.beta1, i + 1)) * mean[k] / (root + options.epsilon);
        }
        const auto results = step({{in.weight, w},
                                   {in.gradient, slopes(w, i)},
                                   {in.state, m},
                                   {in.second, v},
                                   {in.updates, {static_cast<double>(i)}},
                                   {in.rate, {kRate}}});
        w = results[0], m = results[1], v = results[2];
      }
      check_close(w, expected, dtype == DType::F64 ? 1e-8 : 1e-6);
      check_close(v, square, dtype == DType::F64 ? 1e-12 : 1e-7);
    }
  }
}

TEST_CASE("narrow weights keep their dtype, their state its own") {
  const Tensor w = input("", DType::BF16, {2}), m = input("", DType::F32, {2});
  const AdamStep next = adam(w, w, m, m, constant(0, DType::F32), constant(0.1, DType::F32));
  CHECK(next.weight.dtype() == DType::BF16);
  CHECK(next.first_moment.dtype() == DType::F32);
}

TEST_CASE("optimisers refuse what does not fit, naming both shapes") {
  const Tensor w = input("", DType::F32, {2}), other = input("", DType::F32, {3}), rate = constant(0.1, DType::F32);
  CHECK_THROWS_WITH(sgd(w, other, {}, rate), Catch::Contains("f32[3]") && Catch::Contains("f32[2]"));
  CHECK_THROWS_WITH(sgd(w, w, {}, w), Catch::Contains("learning rate"));
  CHECK_THROWS_WITH(sgd(w, w, {}, rate, {.momentum = 0.9}), Catch::Contains("momentum buffer"));
  CHECK_THROWS_WITH(sgd(w, w, w, rate, {.nesterov = true}), Catch::Contains("nesterov"));
  CHECK_THROWS_WITH(adam(w, w, w, other, rate, rate), Catch::Contains("second moment"));
}

TEST_CASE("gradients are clipped to a common norm") {
  const Tensor a = input("", DType::F64, {2}), b = input("", DType::F64, {1});
  const auto clipped = evaluate(clip_by_norm(std::vector{a, b}, 1), {{a, {3, 0}}, {b, {4}}});
  check_close(clipped[0], {0.6, 0}, 1e-6);
  check_close(clipped[1], {0.8}, 1e-6);
  CHECK(evaluate(clip_by_norm(std::vector{a}, 10), {{a, {3, 0}}})[0] == Elements{3, 0});
}

TEST_CASE("one number that is not finite in any tensor is found") {
  const Tensor a = input("", DType::F16, {3}), b = input("", DType::F32, {2, 2});
  const Tensor finite = all_finite(std::vector{a, b});
  CHECK(finite.node().is_zero_or_one);
  CHECK(evaluate(finite, {{a, {65504, 65504, 1}}, {b, {3e38, 3e38, 3e38, 0}}}) == Elements{1});
  CHECK(evaluate(finite, {{a, {1, 2, 3}}, {b, {0, kInf, 0, 0}}}) == Elements{0});
  CHECK(evaluate(finite, {{a, {1, kInf, -kInf}}, {b, {0, 0, 0, 0}}}) == Elements{0});
  CHECK(evaluate(finite, {{a, {1, std::nan(""), 3}}, {b, {0, 0, 0, 0}}}) == Elements{0});
}

TEST_CASE("the loss scale falls at once and grows after enough good steps") {
  const LossScale now{input("", DType::F32, {}), input("", DType::I32, {})};
  const Tensor finite = input("", DType::F32, {});
  const LossScale next = next_loss_scale(now, equal(finite, constant(1, DType::F32)), {.growth_interval = 3});
  Evaluator step({next.scale, next.good_steps});
  double scale = 1024, good = 0;
  std::vector<std::pair<double, double>> seen;
  for (double is_finite : {1.0, 1.0, 1.0, 1.0, 0.0, 1.0}) {
    const auto result = step({{now.scale, {scale}}, {now.good_steps, {good}}, {finite, {is_finite}}});
    scale = result[0][0], good = result[1][0];
    seen.emplace_back(scale, good);
  }
  CHECK(seen ==
        std::vector<std::pair<double, double>>{{1024, 1}, {1024, 2}, {2048, 0}, {2048, 1}, {1024, 0}, {1024, 1}});
}
