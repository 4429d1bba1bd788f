// The functions that networks are made of, against finite differences.
#include <catch2/catch.hpp>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/index.h"
#include "engine/tensor/nn.h"
#include "engine/tensor/random.h"
#include "tests/tensor/finite_difference.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Xs = std::vector<Tensor>;

namespace {

const Inputs kPositive{.low = 0.2, .high = 2};

/// 0, 1, .. in a scrambled order below `limit`, as i32.
Tensor indices(Shape shape, int64_t limit) {
  const int64_t count = constant(0, DType::I32, shape).elements();
  const Tensor numbers = iota(DType::I32, {count}, 0) * 7.0 + 3.0;
  return reshape(remainder(numbers, scalar_beside(numbers, limit)), std::move(shape));
}

}  // namespace

TEST_CASE("pooling passes gradients to what it took in") {
  const PoolOptions overlapping{.stride = {2, 1}, .padding = {{1, 0}, {1, 1}}};
  const PoolOptions spread{.stride = {1}, .dilation = {2}, .ceil_mode = true};
  for (const PoolOptions& options : {PoolOptions{}, overlapping, spread}) {
    check_gradient([&](const Xs& x) { return max_pool(x[0], {2, 3}, options); }, {{2, 2, 5, 7}});
    check_gradient([&](const Xs& x) { return max_pool_with_indices(x[0], {2, 3}, options).values; }, {{1, 2, 5, 7}});
    check_gradient([&](const Xs& x) { return avg_pool(x[0], {2, 3}, options, false); }, {{1, 2, 5, 7}});
    check_gradient([&](const Xs& x) { return avg_pool(x[0], {2, 3}, options); }, {{1, 2, 5, 7}});
    check_gradient([&](const Xs& x) { return lp_pool(x[0], 3, {2, 3}, options); }, {{1, 1, 5, 7}}, kPositive);
  }
  check_gradient([](const Xs& x) { return global_avg_pool(x[0]); }, {{2, 3, 4, 3}});
  check_gradient([](const Xs& x) { return global_max_pool(x[0]); }, {{2, 3, 4, 3}});
  check_gradient([](const Xs& x) { return global_lp_pool(x[0], 2); }, {{2, 3, 4}}, kPositive);
  check_gradient([](const Xs& x) { return adaptive_avg_pool(x[0], {3, 2}); }, {{1, 2, 7, 4}});
  check_gradient([](const Xs& x) { return adaptive_max_pool(x[0], {3, -1}); }, {{1, 2, 7, 4}});
}

TEST_CASE("norms pass gradients through their statistics") {
  check_gradient([](const Xs& x) { return layer_norm(x[0], {3, 5}, x[1], x[2]); }, {{4, 3, 5}, {3, 5}, {3, 5}});
  check_gradient([](const Xs& x) { return rms_norm(x[0], {7}, x[1]); }, {{3, 7}, {7}});
  check_gradient([](const Xs& x) { return group_norm(x[0], 2, x[1], x[2]); }, {{2, 4, 3, 2}, {4}, {4}});
  check_gradient([](const Xs& x) { return instance_norm(x[0], x[1], x[2]); }, {{2, 3, 7}, {3}, {3}});
  check_gradient([](const Xs& x) { return batch_norm_training(x[0], {}, {}, x[1], x[2]).output; },
                 {{5, 3, 2}, {3}, {3}});
  check_gradient([](const Xs& x) { return batch_norm(x[0], x[1], exp(x[2]), x[3], x[4]); },
                 {{2, 3, 4}, {3}, {3}, {3}, {3}});
  check_gradient([](const Xs& x) { return local_response_norm(x[0], 3, 0.5); }, {{2, 5, 3}});
  for (double p : {1.0, 2.0, 3.0}) {
    check_gradient([&](const Xs& x) { return normalize(x[0], p, -1); }, {{3, 4}}, kPositive);
  }
}

TEST_CASE("losses pass gradients to what was predicted") {
  const Tensor classes = indices({4, 3}, 5);
  const Tensor weight = cast(iota(DType::I32, {5}, 0), DType::F64) + 0.5;
  for (Reduction reduction : {Reduction::None, Reduction::Mean, Reduction::Sum}) {
    const CrossEntropyOptions plain{.reduction = reduction};
    const CrossEntropyOptions full{weight, 2, 0.1, reduction};
    check_gradient([&](const Xs& x) { return cross_entropy(x[0], classes, plain); }, {{4, 5, 3}});
    check_gradient([&](const Xs& x) { return cross_entropy(x[0], classes, full); }, {{4, 5, 3}});
    check_gradient([&](const Xs& x) { return nll_loss(x[0], classes, plain); }, {{4, 5, 3}});
    check_gradient([&](const Xs& x) { return cross_entropy(x[0], exp(x[1]), full); }, {{4, 5}, {4, 5}});
    check_gradient([&](const Xs& x) { return mse_loss(x[0], x[1], reduction); }, {{3, 4}, {3, 4}});
    check_gradient([&](const Xs& x) { return l1_loss(x[0], x[1], reduction); }, {{3, 4}, {3, 4}});
    check_gradient([&](const Xs& x) { return huber_loss(x[0], x[1], 0.7, reduction); }, {{3, 4}, {3, 4}});
    check_gradient([&](const Xs& x) { return smooth_l1_loss(x[0], x[1], 0.5, reduction); }, {{3, 4}, {3, 4}});
    check_gradient([&](const Xs& x) { return binary_cross_entropy(x[0], x[1], {}, reduction); }, {{3, 4}, {3, 4}},
                   {.low = 0.1, .high = 0.9});
    check_gradient(
        [&](const Xs& x) { return binary_cross_entropy_with_logits(x[0], x[1], x[2], exp(x[2]), reduction); },
        {{3, 4}, {3, 4}, {4}});
    check_gradient([&](const Xs& x) { return kl_div(x[0], x[1], false, reduction); }, {{3, 4}, {3, 4}}, kPositive);
    check_gradient([&](const Xs& x) { return kl_div(x[0], x[1], true, reduction); }, {{3, 4}, {3, 4}});
  }
}

TEST_CASE("attention passes gradients to queries, keys, values and an additive mask") {
  const std::vector<Shape> shapes{{2, 4, 3, 5}, {2, 4, 6, 5}, {2, 4, 6, 2}};
  const auto attend = [](const AttentionOptions& options) {
    return [options](const Xs& x) { return scaled_dot_product_attention(x[0], x[1], x[2], options); };
  };
  check_gradient(attend({}), shapes);
  check_gradient(attend({.is_causal = true, .scale = 0.3}), shapes);
  check_gradient(attend({.mask = lower_triangle(3, 6, 2)}), shapes);
  check_gradient([](const Xs& x) { return scaled_dot_product_attention(x[0], x[1], x[2], {.mask = x[3]}); },
                 {{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}, {3, 3}});
  check_gradient(attend({}), {{2, 6, 3, 4}, {2, 2, 3, 4}, {2, 2, 3, 4}});
}

TEST_CASE("rotary embedding, dropout and random tensors pass gradients to what they scale") {
  const RotaryTables tables = rotary_tables(iota(DType::I32, {5}, 0), 6);
  for (RotaryLayout layout : {RotaryLayout::HalfSplit, RotaryLayout::Interleaved}) {
    // The tables are f32.
    check_gradient([&](const Xs& x) { return rotary_embedding(x[0], tables, layout); }, {{2, 5, 6}});
  }
  check_gradient([](const Xs& x) { return dropout(x[0], 0.3, 7); }, {{5, 9}});
  check_gradient([](const Xs& x) { return x[0] * cast(normal({5, 9}, 3), DType::F64); }, {{5, 9}});
}

TEST_CASE("resampling passes gradients to the neighbours it mixed") {
  for (Coordinates coordinates : {Coordinates::HalfPixel, Coordinates::AlignCorners, Coordinates::Asymmetric}) {
    for (Interpolation mode : {Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic}) {
      const ResizeOptions options{.mode = mode, .coordinates = coordinates};
      check_gradient([&](const Xs& x) { return resize(x[0], {7, 3}, options); }, {{1, 2, 4, 5}});
    }
  }
  check_gradient([](const Xs& x) { return interpolate(x[0], {8, 10}, "nearest"); }, {{1, 1, 4, 5}});
  check_gradient([](const Xs& x) { return grid_sample(x[0], x[1]); }, {{1, 2, 4, 5}, {1, 2, 3, 2}},
                 {.low = -0.73, .high = 0.71, .kinks = {}, .apart = 0.02});
}

TEST_CASE("reading at computed positions passes gradients to what was read") {
  check_gradient([](const Xs& x) { return take(x[0], indices({2, 3}, 4), 1); }, {{3, 4, 2}});
  check_gradient([](const Xs& x) { return embedding(indices({7}, 5), x[0]); }, {{5, 3}});
  check_gradient([](const Xs& x) { return gather_along_axis(x[0], 1, indices({2, 5, 3}, 4)); }, {{3, 4, 3}});
  check_gradient([](const Xs& x) { return gather_nd(x[0], indices({4, 2}, 3)); }, {{3, 4, 2}});
  check_gradient([](const Xs& x) { return gather_nd(x[0], indices({2, 3, 1}, 4), 1); }, {{2, 4, 3}});
}

TEST_CASE("writing at computed positions passes gradients to what stayed and what was written") {
  const Tensor distinct = reshape(iota(DType::I32, {2, 1}, 0) * 2.0, {2, 1});
  const Tensor index = expand(distinct, {2, 3});
  for (Scatter how : {Scatter::Set, Scatter::Add, Scatter::Multiply, Scatter::Max, Scatter::Min}) {
    check_gradient([&](const Xs& x) { return scatter(x[0], 0, index, x[1], how); }, {{4, 3}, {2, 3}});
    check_gradient([&](const Xs& x) { return scatter_nd(x[0], distinct, x[1], how); }, {{4, 3}, {2, 3}});
  }
  check_gradient([&](const Xs& x) { return scatter_add(x[0], 1, indices({2, 5}, 3), x[1]); }, {{3, 4}, {2, 5}});
  check_gradient([](const Xs& x) { return row_update(x[0], 1, constant(2, DType::I32), x[1]); }, {{3, 4}, {3, 1}});
  const Slice slices[] = {{1, 3}, {4, {}, -2}};
  check_gradient([&](const Xs& x) { return slice_put(x[0], slices, x[1]); }, {{4, 6}, {2, 3}});
  check_gradient([](const Xs& x) { return masked_fill(x[0], lower_triangle(3, 4), 9); }, {{3, 4}});
}

TEST_CASE("running sums and products and orders along an axis pass gradients") {
  for (bool exclusive : {false, true}) {
    for (bool reverse : {false, true}) {
      check_gradient([&](const Xs& x) { return cumsum(x[0], 1, exclusive, reverse); }, {{2, 7, 2}});
      check_gradient([&](const Xs& x) { return cumprod(x[0], 0, exclusive, reverse); }, {{6, 2}}, kPositive);
    }
  }
  check_gradient([](const Xs& x) { return cumsum(x[0], 0); }, {{150}});
  check_gradient([](const Xs& x) { return sort(x[0], 0, true).values; }, {{7, 2}});
  check_gradient([](const Xs& x) { return topk(x[0], 3).values; }, {{2, 7}});
}
