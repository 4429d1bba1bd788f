// Values of what networks are made of: by hand, or against plain loops.
#include "engine/tensor/nn.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>

#include "engine/meter/meter.h"
#include "engine/tensor/gradient.h"
#include "engine/tensor/random.h"
#include "engine/tensor/reduce.h"
#include "engine/tensor/shape.h"
#include "tests/tensor/evaluate.h"
#include "tests/tensor/numbers.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Catch::Contains;

namespace {

Tensor anything(Shape shape, DType dtype = DType::F32) {
  return input("", dtype, std::move(shape));
}

Tensor values(const Elements& elements, DType dtype = DType::F64) {
  std::vector<Tensor> parts;
  for (double element : elements) parts.push_back(constant(element, dtype, {1}));
  return cat(parts);
}

void check_close(const Elements& found, const Elements& expected, double tolerance = 1e-12) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(found[i] == Approx(expected[i]).epsilon(tolerance).margin(tolerance));
  }
}

double mean_of(const Elements& x) {
  double sum = 0;
  for (double value : x) sum += value;
  return sum / static_cast<double>(x.size());
}

/// The windows of one axis as PyTorch lays them: positions inside, and how many of the padded axis.
struct Window {
  std::vector<int64_t> inside;
  int64_t with_padding;
};
std::vector<Window> windows_along(int64_t size, int64_t kernel, int64_t step, int64_t gap, Pair padding, bool ceil) {
  std::vector<Window> found;
  const int64_t reach = gap * (kernel - 1) + 1, end = size + padding.after;
  for (int64_t begin = -padding.before;; begin += step) {
    const bool is_whole = begin + reach <= end;
    if (!is_whole && (!ceil || begin >= size || begin + reach - step >= end)) return found;
    Window window{{}, 0};
    for (int64_t tap = begin; tap < begin + reach; tap += gap) {
      if (tap >= 0 && tap < size) window.inside.push_back(tap);
      window.with_padding += tap < end;
    }
    found.push_back(window);
  }
}

}  // namespace

TEST_CASE("pooling sees the windows that PyTorch sees, padding never wins and counts where asked") {
  for (int64_t kernel : {2, 3}) {
    for (int64_t step : {1, 2, 3}) {
      for (int64_t gap : {1, 2}) {
        for (Pair padding : {Pair{0, 0}, Pair{1, 1}, Pair{1, 0}}) {
          for (bool ceil : {false, true}) {
            CAPTURE(kernel, step, gap, padding.before, padding.after, ceil);
            const Tensor x = scattered({7}) - 10.0;  // all below the padding's 0
            const Elements xs = evaluate(x);
            Elements greatest, first, average, of_inside;
            for (const Window& window : windows_along(7, kernel, step, gap, padding, ceil)) {
              Elements seen;
              for (int64_t i : window.inside) seen.push_back(xs[static_cast<size_t>(i)]);
              const auto best = std::ranges::max_element(seen);
              greatest.push_back(*best);
              first.push_back(static_cast<double>(window.inside[static_cast<size_t>(best - seen.begin())]));
              const double sum = mean_of(seen) * static_cast<double>(seen.size());
              average.push_back(sum / static_cast<double>(window.with_padding));
              of_inside.push_back(mean_of(seen));
            }
            const PoolOptions options{{step}, {padding}, {gap}, ceil};
            const Tensor image = reshape(x, {1, 7});
            const PoolWithIndices with_indices = max_pool_with_indices(image, {kernel}, options);
            CHECK(evaluate(max_pool(image, {kernel}, options)) == greatest);
            CHECK(evaluate(with_indices.values) == greatest);
            CHECK(evaluate(with_indices.indices) == first);
            check_close(evaluate(avg_pool(image, {kernel}, options)), average, 1e-6);
            check_close(evaluate(avg_pool(image, {kernel}, options, false)), of_inside, 1e-6);
          }
        }
      }
    }
  }
}

TEST_CASE("a pooled -inf stays -inf beside padding, and integers pool") {
  const Tensor lowest = constant(-kInf, DType::F32, {1, 4});
  CHECK(evaluate(max_pool(lowest, {2}, {.padding = {{1, 1}}})) == Elements{-kInf, -kInf, -kInf});
  CHECK(evaluate(max_pool_with_indices(lowest, {2}, {.padding = {{1, 1}}}).indices) == Elements{0, 1, 3});
  const Tensor bytes = constant(-128, DType::I8, {1, 2});
  CHECK(evaluate(max_pool(bytes, {2}, {.padding = {{1, 1}}})) == Elements{-128, -128});
  const Tensor image = counting({1, 1, 4, 4});
  const PoolWithIndices pooled = max_pool_with_indices(image, {2, 2});
  CHECK(evaluate(pooled.indices) == Elements{5, 7, 13, 15});
  CHECK(evaluate(sum(max_unpool(pooled.values, pooled.indices, {4, 4}), {0, 1, 3})) == Elements{0, 12, 0, 28});
}

TEST_CASE("adaptive pooling cuts as PyTorch does, whether or not sizes divide") {
  CHECK(evaluate(adaptive_avg_pool(counting({1, 5}), {3})) == Elements{0.5, 2, 3.5});
  CHECK(evaluate(adaptive_max_pool(counting({1, 6}), {2})) == Elements{2, 5});
  CHECK(evaluate(global_avg_pool(counting({1, 2, 3}))) == Elements{1, 4});
  CHECK(evaluate(lp_pool(counting({1, 4}) + 3.0, 2, {2})) == Elements{5, std::sqrt(61.0f)});
}

TEST_CASE("pooling counts its elements and no more") {
  const auto count = [](const Tensor& y) {
    return quarry::meter::count(quarry::graph::normalise(build({{"y", y}}).graph), {}).value();
  };
  const auto plain = count(max_pool(anything({2, 8, 16, 16}), {2, 2}));
  CHECK(plain.flops.count == 2 * 8 * 16 * 16);
  const auto padded = count(avg_pool(anything({2, 8, 16, 16}), {3, 3}, {.stride = {1}, .padding = {{1, 1}}}, false));
  CHECK(padded.stored_values == 2);  // the sums and the averages: divisors are computed where they are used
}

TEST_CASE("norms have mean 0 and deviation 1 where they normalise") {
  const Tensor x = scattered({2, 6, 5}, 1, DType::F64);
  const auto check_rows = [](const Tensor& y, size_t row) {
    const Elements all = evaluate(y);
    for (size_t begin = 0; begin < all.size(); begin += row) {
      const Elements part(all.begin() + static_cast<ptrdiff_t>(begin),
                          all.begin() + static_cast<ptrdiff_t>(begin + row));
      Elements squares;
      for (double value : part) squares.push_back(value * value);
      CHECK(mean_of(part) == Approx(0).margin(1e-9));
      CHECK(mean_of(squares) == Approx(1).epsilon(1e-4));
    }
  };
  check_rows(layer_norm(x, {5}), 5);
  check_rows(layer_norm(x, {6, 5}), 30);
  check_rows(group_norm(x, 2), 15);
  check_rows(instance_norm(x), 5);
  check_rows(transpose(batch_norm_training(x, {}, {}).output, 0, 1), 10);
  check_close(evaluate(rms_norm(values({3, 4}), {2}, values({1, 10}), 0)), {3 / std::sqrt(12.5), 40 / std::sqrt(12.5)});
  check_close(evaluate(normalize(values({3, 4}), 2, 0)), {0.6, 0.8});
}

TEST_CASE("batch norm keeps running statistics, the variance unbiased, and uses them afterwards") {
  const Tensor x = reshape(values({1, 2, 3, 6}), {4, 1}), mean = values({10}), variance = values({2});
  const BatchNormTraining trained = batch_norm_training(x, mean, variance, {}, {}, 0.25);
  CHECK(evaluate(trained.mean) == Elements{3});
  CHECK(evaluate(trained.variance) == Elements{3.5});
  check_close(evaluate(trained.running_mean), {0.75 * 10 + 0.25 * 3});
  check_close(evaluate(trained.running_variance), {0.75 * 2 + 0.25 * 3.5 * 4 / 3});
  check_close(evaluate(batch_norm(x, mean, variance, values({3}), values({1}), 0)),
              {1 - 27 / std::sqrt(2), 1 - 24 / std::sqrt(2), 1 - 21 / std::sqrt(2), 1 - 12 / std::sqrt(2)});
}

TEST_CASE("the response of a channel is damped by its neighbours") {
  const Tensor x = reshape(values({1, 2, 3}), {1, 3, 1});
  check_close(evaluate(local_response_norm(x, 3, 3, 1, 1)), {1.0 / 6, 2.0 / 15, 3.0 / 14});
}

TEST_CASE("cross entropy ignores, weighs and smooths as PyTorch does") {
  const Tensor logits = reshape(values({0, 0, std::log(2), 1, 1, 1}), {2, 3});
  const Tensor classes = cast(values({2, 0}), DType::I32), ignoring = cast(values({2, -100}), DType::I64);
  const double first = std::log(2), second = std::log(3);  // -log of 2 / 4 and 1 / 3
  check_close(evaluate(cross_entropy(logits, classes)), {(first + second) / 2});
  check_close(evaluate(cross_entropy(logits, classes, {.reduction = Reduction::Sum})), {first + second});
  check_close(evaluate(cross_entropy(logits, ignoring, {.reduction = Reduction::None})), {first, 0});
  check_close(evaluate(cross_entropy(logits, ignoring)), {first});
  const Tensor weight = values({1, 5, 3});
  check_close(evaluate(cross_entropy(logits, classes, {.weight = weight})), {(3 * first + second) / 4});
  const double smooth = 0.9 * first + 0.1 * (2 * std::log(4) + first) / 3;
  check_close(evaluate(cross_entropy(logits, ignoring, {.label_smoothing = 0.1})), {smooth});
  const Tensor certain = reshape(values({0, 0, 1, 0.5, 0.5, 0}), {2, 3});
  check_close(evaluate(cross_entropy(logits, certain)), {(first + second) / 2});
  CHECK(cross_entropy(cast(logits, DType::BF16), classes).dtype() == DType::F32);
}

TEST_CASE("losses of pairs are what they are called") {
  const Tensor x = values({0, 3}), y = values({1, 1});
  check_close(evaluate(mse_loss(x, y)), {2.5});
  check_close(evaluate(l1_loss(x, y, Reduction::Sum)), {3});
  check_close(evaluate(huber_loss(x, y, 1.5, Reduction::None)), {0.5, 1.5 * (2 - 0.75)});
  check_close(evaluate(smooth_l1_loss(x, y, 0.5, Reduction::None)), {0.75, 1.75});
  check_close(evaluate(binary_cross_entropy(values({0, 0.5}), y, {}, Reduction::None)), {100, std::log(2)});
  check_close(evaluate(binary_cross_entropy_with_logits(values({0, -1000}), y, {}, values({2, 1}), Reduction::None)),
              {2 * std::log(2), 1000});
  check_close(evaluate(kl_div(values({std::log(0.5), std::log(0.5)}), values({1, 0}), false, Reduction::None)),
              {std::log(2), 0});
}

TEST_CASE("losses of certain predictions, right or wrong, have finite gradients") {
  const Tensor x = values({0, 1, 0, 1}), y = values({0, 0, 1, 1});
  for (const Tensor& loss : {binary_cross_entropy(x, y), kl_div(y, x), mse_loss(x, y), huber_loss(x, y)}) {
    for (double slope : evaluate(gradient(loss, std::vector{x})[0])) CHECK(std::isfinite(slope));
  }
}

TEST_CASE("attention weighs values by the softmax of scaled products, each head served by its key") {
  const Tensor q = scattered({2, 4, 3, 5}, 1, DType::F64), k = scattered({2, 2, 6, 5}, 2, DType::F64);
  const Tensor v = scattered({2, 2, 6, 4}, 3, DType::F64);
  const Elements qs = evaluate(q), ks = evaluate(k), vs = evaluate(v);
  const auto expected = [&](auto sees) {
    Elements out;
    for (size_t row = 0; row < 2 * 4 * 3; ++row) {
      const size_t head = row / 3, kv = head / 2, query = row % 3;
      Elements weights(6, 0);
      double total = 0;
      for (size_t key = 0; key < 6; ++key) {
        double score = 0;
        for (size_t i = 0; i < 5; ++i) score += qs[row * 5 + i] * ks[(kv * 6 + key) * 5 + i];
        if (sees(query, key)) total += weights[key] = std::exp(score / std::sqrt(5.0));
      }
      for (size_t i = 0; i < 4; ++i) {
        double value = 0;
        for (size_t key = 0; key < 6; ++key) value += weights[key] / total * vs[(kv * 6 + key) * 4 + i];
        out.push_back(value);
      }
    }
    return out;
  };
  check_close(evaluate(scaled_dot_product_attention(q, k, v)), expected([](size_t, size_t) { return true; }), 1e-9);
  check_close(evaluate(scaled_dot_product_attention(q, k, v, {.is_causal = true})),
              expected([](size_t query, size_t key) { return key <= query; }), 1e-9);
  const Tensor band = lower_triangle(3, 6, 2);
  check_close(evaluate(scaled_dot_product_attention(q, k, v, {.mask = band})),
              expected([](size_t query, size_t key) { return key <= query + 2; }), 1e-9);
  const Tensor added = where(band, constant(0, DType::F64), constant(-kInf, DType::F64));
  check_close(evaluate(scaled_dot_product_attention(q, k, v, {.mask = added})),
              expected([](size_t query, size_t key) { return key <= query + 2; }), 1e-9);
}

TEST_CASE("rotary embedding turns pairs by their position's angle") {
  const Tensor x = constant(1, DType::F32, {3, 4});
  const RotaryTables tables = rotary_tables(iota(DType::I32, {3}, 0), 4, 100);
  Elements half, pairs;
  for (double position : {0.0, 1.0, 2.0}) {
    const double a = position, b = position / 10;
    half.insert(half.end(), {std::cos(a) - std::sin(a), std::cos(b) - std::sin(b), std::cos(a) + std::sin(a),
                             std::cos(b) + std::sin(b)});
    pairs.insert(pairs.end(), {std::cos(a) - std::sin(a), std::cos(a) + std::sin(a), std::cos(b) - std::sin(b),
                               std::cos(b) + std::sin(b)});
  }
  check_close(evaluate(rotary_embedding(x, tables)), half, 1e-6);
  check_close(evaluate(rotary_embedding(x, tables, RotaryLayout::Interleaved)), pairs, 1e-6);
  check_close(evaluate(select(sinusoidal_positions(3, 4, 100), 0, 2)),
              {std::sin(2.0), std::cos(2.0), std::sin(0.2), std::cos(0.2)}, 1e-6);
}

TEST_CASE("resizing samples where each mode of coordinates says") {
  const Tensor x = counting({1, 1, 4});
  const auto resized = [&](int64_t size, const ResizeOptions& options) { return evaluate(resize(x, {size}, options)); };
  CHECK(resized(8, {}) == Elements{0, 0, 1, 1, 2, 2, 3, 3});
  CHECK(resized(2, {.coordinates = Coordinates::Asymmetric, .rounding = Rounding::Floor}) == Elements{0, 2});
  CHECK(resized(3, {.coordinates = Coordinates::AlignCorners}) == Elements{0, 1, 3});
  check_close(resized(8, {.mode = Interpolation::Linear}), {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3}, 1e-6);
  check_close(resized(7, {.mode = Interpolation::Linear, .coordinates = Coordinates::AlignCorners}),
              {0, 0.5, 1, 1.5, 2, 2.5, 3}, 1e-6);
  check_close(resized(2, {.mode = Interpolation::Cubic}), {0.40625, 2.59375}, 1e-6);
  CHECK(evaluate(interpolate(x, {2}, "nearest")) == Elements{0, 2});
  CHECK(evaluate(interpolate(x, {2}, "nearest-exact")) == Elements{1, 3});
  const Tensor image = counting({1, 1, 2, 2}), centre = constant(0, DType::F32, {1, 1, 1, 2});
  check_close(evaluate(grid_sample(image, centre)), {1.5}, 1e-6);
}

TEST_CASE("random tensors have the distributions that they promise") {
  constexpr int64_t kCount = 20001;  // odd: normals come in pairs
  const Elements uniforms = evaluate(uniform({kCount}, 1, -1, 3));
  CHECK(std::ranges::all_of(uniforms, [](double x) { return x >= -1 && x < 3; }));
  CHECK(mean_of(uniforms) == Approx(1).margin(0.03));
  Elements normals = evaluate(normal({kCount}, 2, 5, 2)), squares;
  CHECK(normals.size() == kCount);
  for (double value : normals) squares.push_back((value - 5) * (value - 5));
  CHECK(mean_of(normals) == Approx(5).margin(0.06));
  CHECK(mean_of(squares) == Approx(4).margin(0.15));
  const Elements dice = evaluate(randint({kCount}, 3, -2, 4));
  CHECK(std::set<double>(dice.begin(), dice.end()) == std::set<double>{-2, -1, 0, 1, 2, 3});
  CHECK(mean_of(dice) == Approx(0.5).margin(0.05));
  CHECK(mean_of(evaluate(bernoulli({kCount}, 4, 0.3))) == Approx(0.3).margin(0.015));
  CHECK(evaluate(uniform({9}, 1)) == evaluate(uniform({9}, 1)));
  CHECK(evaluate(uniform({9}, 1)) != evaluate(uniform({9}, 2)));
}

TEST_CASE("dropout keeps the mean, and drops inf and NaN to 0") {
  for (DType dtype : {DType::F16, DType::BF16, DType::F32, DType::F64}) {
    const Elements dropped = evaluate(dropout(constant(1, dtype, {20000}), 0.25, 7));
    CHECK(mean_of(dropped) == Approx(1).margin(0.02));
    const std::set<double> seen(dropped.begin(), dropped.end());
    CHECK(seen.size() == 2);
    CHECK(seen.contains(0));
  }
  const Elements lost = evaluate(dropout(constant(kInf, DType::F32, {100}), 0.5, 1));
  CHECK(std::ranges::count(lost, 0.0) > 20);
  CHECK(evaluate(dropout(counting({3}), 1, 1)) == Elements{0, 0, 0});
}

TEST_CASE("what networks cannot be made of is refused with the shapes") {
  const Tensor x = anything({2, 3, 4}), w = anything({5});
  CHECK_THROWS_WITH(max_pool(x, {5}), Contains("f32[2, 3, 4]"));
  CHECK_THROWS_WITH(avg_pool(anything({2, 3}, DType::I32), {2}), Contains("i32[2, 3]"));
  CHECK_THROWS_WITH(layer_norm(x, {3}), Contains("f32[2, 3, 4]") && Contains("[3]"));
  CHECK_THROWS_WITH(layer_norm(x, {4}, w), Contains("f32[5]"));
  CHECK_THROWS_WITH(group_norm(x, 2), Contains("f32[2, 3, 4]"));
  CHECK_THROWS_WITH(batch_norm(x, w, w), Contains("f32[5]") && Contains("f32[2, 3, 4]"));
  CHECK_THROWS_WITH(cross_entropy(x, anything({2, 3}, DType::I32)), Contains("i32[2, 3]") && Contains("[2, 4]"));
  CHECK_THROWS_WITH(mse_loss(x, w), Contains("[2, 3, 4]") && Contains("[5]"));
  CHECK_THROWS_WITH(scaled_dot_product_attention(x, anything({2, 3, 5}), anything({2, 3, 5})),
                    Contains("f32[2, 3, 4]") && Contains("f32[2, 3, 5]"));
  CHECK_THROWS_WITH(rotary_embedding(x, rotary_tables(iota(DType::I32, {3}, 0), 6)), Contains("f32[2, 3, 4]"));
  CHECK_THROWS_WITH(interpolate(x, {8}, "lanczos"), Contains("lanczos") && Contains("nearest"));
  CHECK_THROWS_WITH(resize(x, {8}, {.scales = {0}}), Contains("f32[2, 3, 4]"));
  CHECK_THROWS_WITH(randint({2}, 0, 5, 5), Contains("[5, 5)"));
  CHECK_THROWS_AS(dropout(x, 1.5, 0), TensorError);
}
