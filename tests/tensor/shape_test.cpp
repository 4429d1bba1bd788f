// Axes, slices, joining, padding, windows: against plain loops, and what of it costs nothing.
#include "engine/tensor/shape.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/tensor/build.h"
#include "tests/tensor/evaluate.h"
#include "tests/tensor/numbers.h"

using namespace quarry::test;
using namespace quarry::tensor;
using Catch::Contains;

namespace {

/// Whether only movement lies between the tensor and its sources.
bool is_movement_only(const Tensor& x) {
  for (const NodePointer& node : topological_order({&x, 1})) {
    if (!quarry::graph::is_movement(node->op) && !quarry::graph::is_source(node->op)) return false;
  }
  return true;
}

Tensor anything(Shape shape) {
  return input("", DType::F32, std::move(shape));
}

/// Python's range(*slice.indices(size)).
Elements sliced(int64_t size, const Slice& slice) {
  const auto bound = [&](std::optional<int64_t> given, int64_t otherwise) {
    if (!given) return otherwise;
    int64_t at = *given < 0 ? *given + size : *given;
    if (slice.step > 0) return std::min(std::max<int64_t>(at, 0), size);
    return std::min(std::max<int64_t>(at, -1), size - 1);
  };
  const bool forward = slice.step > 0;
  const int64_t stop = bound(slice.stop, forward ? size : -1);
  Elements positions;
  for (int64_t i = bound(slice.start, forward ? 0 : size - 1); forward ? i < stop : i > stop; i += slice.step) {
    positions.push_back(static_cast<double>(i));
  }
  return positions;
}

}  // namespace

TEST_CASE("axes come, go and move as in array libraries") {
  const Tensor x = anything({2, 1, 3, 1});
  CHECK(squeeze(x).shape() == Shape{2, 3});
  CHECK(squeeze(x, {-1}).shape() == Shape{2, 1, 3});
  CHECK(unsqueeze(anything({2, 3}), {0, -1}).shape() == Shape{1, 2, 3, 1});
  CHECK(flatten(x, 1).shape() == Shape{2, 3});
  CHECK(flatten(anything({})).shape() == Shape{1});
  CHECK(unflatten(anything({4, 6}), -1, {2, -1}).shape() == Shape{4, 2, 3});
  CHECK(transpose(x, 0, 2).shape() == Shape{3, 1, 2, 1});
  CHECK(moveaxis(anything({2, 3, 4, 5}), {0, 3}, {-1, 0}).shape() == Shape{5, 3, 4, 2});
  CHECK(evaluate(moveaxis(counting({2, 3}), {0}, {1})) == Elements{0, 3, 1, 4, 2, 5});
}

TEST_CASE("a slice takes what Python's does, for every start, stop and step") {
  constexpr int64_t kSize = 5;
  const Tensor x = counting({kSize});
  std::vector<std::optional<int64_t>> bounds{std::nullopt};
  for (int64_t bound = -7; bound <= 7; ++bound) bounds.emplace_back(bound);
  std::vector<Tensor> taken;
  std::vector<Elements> expected;
  for (int64_t step : {-9, -3, -2, -1, 1, 2, 3, 9}) {
    for (const auto& start : bounds) {
      for (const auto& stop : bounds) {
        const Slice one{start, stop, step};
        expected.push_back(sliced(kSize, one));
        taken.push_back(slice(x, {&one, 1}));
        CHECK(taken.back().size(0) == static_cast<int64_t>(expected.back().size()));
      }
    }
  }
  CHECK(evaluate(taken) == expected);
}

TEST_CASE("slices of several axes, narrow and select") {
  const Tensor x = counting({3, 4});
  const Slice slices[] = {{1, {}}, {{}, {}, -2}};
  CHECK(evaluate(slice(x, slices)) == Elements{7, 5, 11, 9});
  CHECK(evaluate(slice_axis(x, -1, {1, 3})) == Elements{1, 2, 5, 6, 9, 10});
  CHECK(evaluate(narrow(x, 0, 1, 1)) == Elements{4, 5, 6, 7});
  CHECK(evaluate(select(x, 1, -1)) == Elements{3, 7, 11});
  CHECK(select(x, 1, -1).shape() == Shape{3});
}

TEST_CASE("tensors are joined in order, whatever their number, in the dtype where they meet") {
  for (int count = 1; count <= 7; ++count) {
    std::vector<Tensor> parts;
    Elements expected;
    for (int i = 0; i < count; ++i) {
      parts.push_back(counting({i}) + i * 10.0);
      for (int j = 0; j < i; ++j) expected.push_back(i * 10.0 + j);
    }
    CHECK(evaluate(cat(parts)) == expected);
  }
  const Tensor mixed[] = {counting({2}, DType::I32), counting({1})};
  CHECK(cat(mixed).dtype() == DType::F32);
  const Tensor rows[] = {counting({2}), counting({2}) + 5.0};
  CHECK(evaluate(stack(rows, -1)) == Elements{0, 5, 1, 6});
  const Tensor odd[] = {constant(kInf, DType::F32, {1}), constant(-kInf, DType::F32, {1})};
  CHECK(evaluate(cat(odd)) == Elements{kInf, -kInf});
  const Tensor bools[] = {constant(1, DType::Bool, {1}), constant(0, DType::Bool, {2})};
  CHECK(evaluate(cat(bools)) == Elements{1, 0, 0});
}

TEST_CASE("parts have the sizes that were asked for") {
  const auto sizes = [](const std::vector<Tensor>& parts) {
    Shape found;
    for (const Tensor& part : parts) found.push_back(part.size(0));
    return found;
  };
  const Tensor x = counting({7});
  CHECK(sizes(split(x, Shape{3, 0, 4})) == Shape{3, 0, 4});
  CHECK(sizes(split(x, 3)) == Shape{3, 3, 1});
  CHECK(sizes(chunk(x, 3)) == Shape{3, 3, 1});
  CHECK(sizes(chunk(x, 9)) == Shape(7, 1));
  CHECK(evaluate(split(x, 3)[1]) == Elements{3, 4, 5});
}

TEST_CASE("flip, roll, tile and repeats only move") {
  const Tensor x = counting({2, 3});
  CHECK(evaluate(flip(x)) == Elements{5, 4, 3, 2, 1, 0});
  CHECK(evaluate(flip(x, {1})) == Elements{2, 1, 0, 5, 4, 3});
  CHECK(evaluate(roll(x, {1, -1}, {0, 1})) == Elements{4, 5, 3, 1, 2, 0});
  CHECK(evaluate(roll(counting({5}), {12}, {0})) == Elements{3, 4, 0, 1, 2});
  CHECK(evaluate(tile(counting({2}), {2, 2})) == Elements{0, 1, 0, 1, 0, 1, 0, 1});
  CHECK(evaluate(tile(x, {2})) == Elements{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
  CHECK(tile(x, {0, 1}).shape() == Shape{0, 3});
  CHECK(evaluate(repeat_interleave(counting({3}), 2, 0)) == Elements{0, 0, 1, 1, 2, 2});
  const Tensor any = anything({4, 5});
  for (const Tensor& moved : {flip(any), roll(any, {2, 1}, {0, 1}), tile(any, {2, 3}), repeat_interleave(any, 3, 1)}) {
    CHECK(is_movement_only(moved));
  }
}

TEST_CASE("padding fills with what its mode says") {
  const Tensor x = counting({4});
  const auto padded = [&](PadMode mode, Pair amount, double value = 0) {
    return evaluate(pad(x, std::vector{amount}, mode, value));
  };
  CHECK(padded(PadMode::Constant, {1, 2}, 9) == Elements{9, 0, 1, 2, 3, 9, 9});
  CHECK(padded(PadMode::Constant, {-1, 1}, -kInf) == Elements{1, 2, 3, -kInf});
  CHECK(padded(PadMode::Reflect, {3, 2}) == Elements{3, 2, 1, 0, 1, 2, 3, 2, 1});
  CHECK(padded(PadMode::Symmetric, {2, 4}) == Elements{1, 0, 0, 1, 2, 3, 3, 2, 1, 0});
  CHECK(padded(PadMode::Edge, {2, 1}) == Elements{0, 0, 0, 1, 2, 3, 3});
  CHECK(padded(PadMode::Circular, {5, 6}) == Elements{3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1});
  CHECK(padded(PadMode::Edge, {-2, 1}) == Elements{2, 3, 3});
  CHECK(evaluate(pad(constant(-kInf, DType::F32, {1}), std::vector<Pair>{{1, 0}}, PadMode::Constant, 3)) ==
        Elements{3, -kInf});
  CHECK(is_movement_only(pad(anything({4, 5}), std::vector<Pair>{{2, 3}, {1, 0}}, PadMode::Circular)));
}

TEST_CASE("triangles hide what they leave out, also NaN") {
  const Tensor x = constant(std::nan(""), DType::F32, {2, 3});
  CHECK(evaluate(tril(counting({2, 3}) + 1.0)) == Elements{1, 0, 0, 4, 5, 0});
  CHECK(evaluate(triu(counting({2, 3}) + 1.0, 1)) == Elements{0, 2, 3, 0, 0, 6});
  CHECK(evaluate(tril(x, -2)) == Elements(6, 0));
  CHECK(evaluate(eye(2, 3, DType::I32, 1)) == Elements{0, 1, 0, 0, 0, 1});
}

TEST_CASE("diagonals are taken out and put in by movement alone") {
  for (int64_t offset = -4; offset <= 5; ++offset) {
    CAPTURE(offset);
    Elements expected;
    for (int64_t row = 0; row < 3; ++row) {
      if (row + offset >= 0 && row + offset < 4) expected.push_back(static_cast<double>(row * 4 + row + offset));
    }
    CHECK(evaluate(diagonal(counting({3, 4}), offset)) == expected);
    CHECK(is_movement_only(diagonal(anything({3, 4}), offset)));

    const int64_t size = 2 + std::abs(offset);
    Elements square(static_cast<size_t>(size * size), 0);
    for (int64_t i = 0; i < 2; ++i) {
      const int64_t row = offset >= 0 ? i : i - offset;
      square[static_cast<size_t>(row * size + row + offset)] = static_cast<double>(i + 1);
    }
    CHECK(evaluate(diag(counting({2}) + 1.0, offset)) == square);
    CHECK(is_movement_only(diag(anything({2}), offset)));
  }
  CHECK(diagonal(anything({2, 5, 3, 4}), 0, 1, 3).shape() == Shape{2, 3, 4});
}

TEST_CASE("ranges end where they should") {
  CHECK(evaluate(arange(2, 9, 3, DType::I32)) == Elements{2, 5, 8});
  CHECK(evaluate(arange(1, -1, -0.5, DType::F32)) == Elements{1, 0.5, 0, -0.5});
  CHECK(arange(3, 3, 1, DType::I64).shape() == Shape{0});
  CHECK(evaluate(linspace(-1, 2, 4, DType::F64)) == Elements{-1, 0, 1, 2});
  const Elements tenths = evaluate(linspace(0, 0.7, 8, DType::F64));
  CHECK(tenths.front() == 0);
  CHECK(tenths.back() == 0.7);
  const Tensor axes[] = {counting({2}), counting({3})};
  CHECK(evaluate(meshgrid(axes)[0]) == Elements{0, 0, 0, 1, 1, 1});
  CHECK(meshgrid(axes, true)[1].shape() == Shape{3, 2});
}

TEST_CASE("windows are movement, for every size, stride and dilation") {
  for (int64_t size : {1, 2, 5, 8}) {
    for (int64_t kernel : {1, 2, 3, 4}) {
      for (int64_t step : {1, 2, 3, 5}) {
        for (int64_t gap : {1, 2, 3}) {
          if (size < gap * (kernel - 1) + 1) continue;
          CAPTURE(size, kernel, step, gap);
          Elements expected;
          for (int64_t begin = 0; begin + gap * (kernel - 1) < size; begin += step) {
            for (int64_t tap = 0; tap < kernel; ++tap) expected.push_back(static_cast<double>(begin + gap * tap));
          }
          const Tensor seen = windows(counting({size}), {kernel}, {step}, {gap});
          CHECK(seen.size(1) == kernel);
          CHECK(evaluate(seen) == expected);
          CHECK(is_movement_only(windows(anything({size}), {kernel}, {step}, {gap})));
        }
      }
    }
  }
  CHECK(windows(anything({2, 3, 9, 8, 7}), {3, 2, 1}, {2, 2, 1}).shape() == Shape{2, 3, 4, 4, 7, 3, 2, 1});
}

TEST_CASE("overlapping windows are added up where they came from") {
  const Tensor ones = constant(1, DType::F32, {6});
  CHECK(evaluate(overlap_add(windows(ones, {3}), {6})) == Elements{1, 2, 3, 3, 2, 1});
  CHECK(evaluate(overlap_add(windows(ones, {2}, {2}), {6}, {2})) == Elements(6, 1));
  CHECK(evaluate(overlap_add(windows(ones, {2}, {3}), {6}, {3})) == Elements{1, 1, 0, 1, 1, 0});
  CHECK(evaluate(overlap_add(windows(ones, {2}, {1}, {3}), {6}, {1}, {3})) == Elements{1, 1, 1, 1, 1, 1});
  const Tensor image = counting({1, 2, 4, 5});
  const Tensor columns = unfold(image, {2, 3}, {}, {{1, 0}}, {2, 1});
  CHECK(columns.shape() == Shape{1, 12, 8});
  const Tensor counts = fold(unfold(image * 0.0 + 1.0, {2, 2}, {}, {}, {2, 1}), {4, 5}, {2, 2}, {}, {}, {2, 1});
  CHECK(evaluate(select(counts, 1, 0)) == Elements{1, 2, 2, 2, 1, 1, 2, 2, 2, 1, 1, 2, 2, 2, 1, 1, 2, 2, 2, 1});
}

TEST_CASE("blocks move between channels and space and back") {
  const Tensor x = counting({1, 4, 1, 2});
  CHECK(evaluate(depth_to_space(x, 2)) == Elements{0, 2, 1, 3, 4, 6, 5, 7});
  for (BlockOrder order : {BlockOrder::BlockFirst, BlockOrder::BlockLast}) {
    const Tensor y = counting({2, 12, 3, 2});
    CHECK(evaluate(space_to_depth(depth_to_space(y, 2, order), 2, order)) == evaluate(y));
  }
}

TEST_CASE("what does not fit is refused with the shapes that do not") {
  const Tensor x = anything({2, 3}), y = anything({4, 5});
  CHECK_THROWS_WITH(squeeze(x, {0}), Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(flatten(x, 1, 0), Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(unflatten(x, 1, {2, 2}), Contains("f32[2, 3]") && Contains("[2, 2]"));
  CHECK_THROWS_WITH(slice_axis(x, 0, {0, 1, 0}), Contains("step"));
  CHECK_THROWS_WITH(narrow(x, 1, 2, 2), Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(select(x, 1, 3), Contains("no position 3"));
  const Tensor both[] = {x, y};
  CHECK_THROWS_WITH(cat(both), Contains("[2, 3]") && Contains("[4, 5]"));
  CHECK_THROWS_WITH(stack(both), Contains("[2, 3]") && Contains("[4, 5]"));
  CHECK_THROWS_WITH(split(x, Shape{1, 1}, 1), Contains("[1, 1]") && Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(pad(x, std::vector<Pair>{{2, 0}, {0, 0}}, PadMode::Reflect), Contains("at most 1"));
  CHECK_THROWS_WITH(pad(x, std::vector<Pair>{{-3, 0}, {0, 0}}, PadMode::Constant), Contains("f32[2, 3]"));
  CHECK_THROWS_WITH(pad(anything({0}), std::vector<Pair>{{1, 0}}, PadMode::Edge), Contains("nothing to repeat"));
  CHECK_THROWS_WITH(windows(x, {4}), Contains("[4]") && Contains("[3]"));
  CHECK_THROWS_WITH(overlap_add(anything({3, 2}), {9}), Contains("[9]") && Contains("f32[3, 2]"));
  CHECK_THROWS_WITH(depth_to_space(anything({1, 3, 2, 2}), 2), Contains("f32[1, 3, 2, 2]"));
  CHECK_THROWS_AS(arange(0, 1, 0, DType::F32), TensorError);
  CHECK_THROWS_AS(slice_axis(x, 2, {}), TensorError);
}

TEST_CASE("numbers beyond all shapes are refused before anything overflows") {
  const Tensor x = anything({4, 4});
  for (int64_t far : {int64_t{1} << 33, int64_t{1} << 62, INT64_MAX}) {
    CAPTURE(far);
    CHECK_THROWS_AS(windows(x, {2}, {}, {far}), TensorError);
    CHECK_THROWS_AS(windows(x, {far}), TensorError);
    CHECK_THROWS_AS(overlap_add(anything({1, 2}), {far}), TensorError);
    CHECK_THROWS_AS(unfold(anything({1, 1, 4}), {2}, {}, {{far, far}}, {}), TensorError);
    CHECK_THROWS_AS(fold(anything({1, 4, 4}), {far, far}, {2, 2}, {}, {}, {}), TensorError);
    CHECK_THROWS_AS(tile(x, {far, far}), TensorError);
    CHECK_THROWS_AS(unflatten(x, 0, {far, far}), TensorError);
    CHECK_THROWS_AS(diag(anything({2}), far), TensorError);
    CHECK_THROWS_AS(eye(far, far, DType::F32), TensorError);
    CHECK_THROWS_AS(lower_triangle(2, 2, -far), TensorError);
    CHECK_THROWS_AS(pad(x, std::vector<Pair>{{far, far}, {0, 0}}, PadMode::Circular), TensorError);
    CHECK_THROWS_AS(pad(x, std::vector<Pair>{{-far, 0}, {0, 0}}, PadMode::Constant), TensorError);
    CHECK(diagonal(x, far).shape() == Shape{0});
    CHECK(evaluate(roll(counting({2}), {far - far % 2 + 1}, {0})) == Elements{1, 0});
  }
  CHECK_THROWS_AS(depth_to_space(anything({1, 4, 2, 2}), int64_t{1} << 32), TensorError);
  CHECK_THROWS_AS(repeat_interleave(x, INT64_MAX, 0), TensorError);
  CHECK_THROWS_AS(split(anything({int64_t{1} << 39}), 1), TensorError);
}
