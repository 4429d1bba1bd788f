// Chains of movement ops against arrays moved step by step.
#include <catch2/catch.hpp>
#include <random>

#include "engine/lower/lower.h"
#include "tests/lower/evaluate.h"

namespace quarry::test {

using graph::Builder;
using graph::NodeId;
using Shape = std::vector<int64_t>;

namespace {

struct Array {
  Shape shape;
  std::vector<int64_t> values;
};

int64_t elements(const Shape& shape) {
  int64_t product = 1;
  for (int64_t extent : shape) product *= extent;
  return product;
}

// The array whose element at p is `source(p)`.
template <class Source>
Array make(const Shape& shape, Source source) {
  Array result{shape, {}};
  for_each_point(shape, [&](const Point& point) { result.values.push_back(source(point)); });
  return result;
}

int64_t at(const Array& array, const Point& point) {
  int64_t flat = 0;
  for (size_t i = 0; i < point.size(); ++i) flat = flat * array.shape[i] + point[i];
  return array.values[static_cast<size_t>(flat)];
}

// One random movement op, applied to the graph and to the array alike.
class RandomMovement {
 public:
  RandomMovement(Builder& builder, uint64_t seed) : builder_(builder), random_(seed) {}

  NodeId apply(NodeId node, Array& array) {
    switch (pick(6)) {
      case 0:
        return reshape(node, array);
      case 1:
        return permute(node, array);
      case 2:
        return expand(node, array);
      case 3:
        return pad(node, array);
      case 4:
        return shrink(node, array);
      default:
        return stride(node, array);
    }
  }
  int64_t pick(int64_t below) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(below)); }

 private:
  NodeId reshape(NodeId node, Array& array) {
    Shape shape;
    int64_t rest = elements(array.shape);
    while (rest > 1) {
      int64_t factor = 1 + pick(rest);
      while (rest % factor != 0) ++factor;
      shape.push_back(factor);
      rest /= factor;
    }
    if (pick(3) == 0) shape.insert(shape.begin() + pick(static_cast<int64_t>(shape.size()) + 1), 1);
    array.shape = shape;
    return builder_.reshape(node, shape);
  }
  NodeId permute(NodeId node, Array& array) {
    Shape axes;
    for (size_t i = 0; i < array.shape.size(); ++i) axes.push_back(static_cast<int64_t>(i));
    std::shuffle(axes.begin(), axes.end(), random_);
    Shape shape;
    for (int64_t axis : axes) shape.push_back(array.shape[static_cast<size_t>(axis)]);
    const Array before = array;
    array = make(shape, [&](const Point& point) {
      Point from(point.size());
      for (size_t i = 0; i < point.size(); ++i) from[static_cast<size_t>(axes[i])] = point[i];
      return at(before, from);
    });
    return builder_.permute(node, axes);
  }
  NodeId expand(NodeId node, Array& array) {
    Shape shape = array.shape;
    for (int64_t& extent : shape) {
      if (extent == 1 && elements(shape) < 500) extent = 1 + pick(4);
    }
    const Array before = array;
    array = make(shape, [&](Point point) {
      for (size_t i = 0; i < point.size(); ++i) point[i] = before.shape[i] == 1 ? 0 : point[i];
      return at(before, point);
    });
    return builder_.expand(node, shape);
  }
  NodeId pad(NodeId node, Array& array) {
    std::vector<graph::Pair> amounts;
    Shape shape;
    for (int64_t extent : array.shape) {
      const bool small = elements(array.shape) < 300;
      amounts.push_back({small ? pick(3) : 0, small ? pick(3) : 0});
      shape.push_back(extent + amounts.back().before + amounts.back().after);
    }
    const Array before = array;
    array = make(shape, [&](Point point) -> int64_t {
      for (size_t i = 0; i < point.size(); ++i) {
        point[i] -= amounts[i].before;
        if (point[i] < 0 || point[i] >= before.shape[i]) return 0;
      }
      return at(before, point);
    });
    return builder_.pad(node, amounts);
  }
  NodeId shrink(NodeId node, Array& array) {
    std::vector<graph::Pair> ranges;
    Shape shape;
    for (int64_t extent : array.shape) {
      const int64_t first = pick(2) == 0 ? 0 : pick(extent);
      ranges.push_back({first, first + 1 + pick(extent - first)});
      shape.push_back(ranges.back().after - first);
    }
    const Array before = array;
    array = make(shape, [&](Point point) {
      for (size_t i = 0; i < point.size(); ++i) point[i] += ranges[i].before;
      return at(before, point);
    });
    return builder_.shrink(node, ranges);
  }
  NodeId stride(NodeId node, Array& array) {
    static constexpr int64_t kSteps[] = {1, -1, 2, -2, 3, 1};
    Shape steps, shape;
    for (int64_t extent : array.shape) {
      steps.push_back(kSteps[pick(6)]);
      shape.push_back((extent + std::abs(steps.back()) - 1) / std::abs(steps.back()));
    }
    const Array before = array;
    array = make(shape, [&](Point point) {
      for (size_t i = 0; i < point.size(); ++i)
        point[i] = point[i] * steps[i] + (steps[i] < 0 ? before.shape[i] - 1 : 0);
      return at(before, point);
    });
    return builder_.stride(node, steps);
  }

  Builder& builder_;
  std::mt19937_64 random_;
};

lower::Kernel only_kernel(Builder& builder) {
  auto finished = builder.finish();
  if (!finished.ok()) FAIL(finished.problem().detail);
  const auto kernels = lower::partition(std::make_shared<graph::NormalGraph>(graph::normalise(*finished)), {});
  REQUIRE(kernels.size() == 1);
  return kernels[0];
}

/// The elements that the one kernel of a movement of `input` stores.
std::vector<int64_t> stored_by(const lower::LoopNest& nest, size_t elements, const std::vector<int64_t>& input) {
  REQUIRE(lower::verify(nest) == "");
  Shape extents;
  for (const lower::Axis& axis : nest.axes) extents.push_back(axis.extent);
  std::vector<int64_t> stored(elements, -1);
  for_each_point(extents, [&](const Point& point) {
    const int64_t place = evaluate_index(nest.arena, nest.store_index, point);
    stored.at(static_cast<size_t>(place)) = evaluate_value(nest.arena, nest.value, point, input);
  });
  return stored;
}

}  // namespace

TEST_CASE("4,000 random chains of up to 8 movement ops show the elements that step-by-step movement shows") {
  for (uint64_t seed = 0; seed < 4'000; ++seed) {
    Builder builder;
    Array array{{2, 3, 4}, {}};
    for (int64_t i = 0; i < 24; ++i) array.values.push_back(i + 1);
    const std::vector<int64_t> input = array.values;
    NodeId node = builder.input("x", graph::DType::I32, array.shape);
    RandomMovement movement(builder, seed);
    for (uint64_t i = 0; i <= seed % 8; ++i) node = movement.apply(node, array);
    builder.output("y", node);
    const lower::LoopNest nest = lower::lower_kernel(only_kernel(builder));
    const bool is_shown = stored_by(nest, array.values.size(), input) == array.values;
    if (!is_shown) FAIL("seed " << seed << "\n" << to_string(nest));
  }
}

TEST_CASE("an index that a PAD lets lie far outside its axis shows the right elements inside it") {
  SECTION("six elements before the only one that a long step leaves") {
    Builder builder;
    const Shape shape{2, 5}, flat{3}, step{(int64_t{1} << 62) - 1};
    const graph::Pair rows[] = {{0, 1}, {0, 3}}, before[] = {{6, 0}};
    NodeId x = builder.reshape(builder.shrink(builder.input("x", graph::DType::I32, shape), rows), flat);
    builder.output("y", builder.pad(builder.stride(x, step), before));
    const lower::LoopNest nest = lower::lower_kernel(only_kernel(builder));
    CHECK(stored_by(nest, 7, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) == std::vector<int64_t>{0, 0, 0, 0, 0, 0, 1});
  }
  SECTION("2^51 zeros after every 800,005th element") {
    Builder builder;
    const int64_t zeros = int64_t{1} << 51, half = 2'720'001, row = (zeros + 7) / 3;
    const Shape shape{2, 1}, wide{2, half}, flat{2 * half}, step{800'005}, rows{3, row}, upside_down{-1, 1};
    const graph::Pair after[] = {{0, zeros}}, begin[] = {{0, 3}, {0, 7}};
    NodeId x = builder.reshape(builder.expand(builder.input("x", graph::DType::I32, shape), wide), flat);
    x = builder.reshape(builder.pad(builder.stride(x, step), after), rows);
    builder.output("y", builder.shrink(builder.stride(x, upside_down), begin));
    const lower::LoopNest nest = lower::lower_kernel(only_kernel(builder));
    std::vector<int64_t> wanted(14, 0);
    wanted.insert(wanted.end(), {1, 1, 1, 1, 2, 2, 2});
    CHECK(stored_by(nest, 21, {1, 2}) == wanted);
  }
}

TEST_CASE("the search for axes ends, however much movement a kernel holds") {
  Builder builder;
  const Shape cube(16, 2), flat{65'536}, threes(10, 3), flat_threes{59'049};
  const graph::Pair first[] = {{0, 59'049}}, rest[] = {{0, 65'536 - 59'049}};
  std::mt19937_64 random(1);
  const auto shuffled = [&](int64_t rank) {
    Shape axes;
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
    std::shuffle(axes.begin(), axes.end(), random);
    return axes;
  };
  const NodeId x = builder.input("x", graph::DType::F32, cube);
  NodeId sum = x;
  for (int term = 0; term < 40; ++term) {
    NodeId moved = x;
    for (int i = 0; i < 7; ++i) {
      moved =
          builder.permute(builder.reshape(builder.shrink(builder.reshape(moved, flat), first), threes), shuffled(10));
      moved =
          builder.permute(builder.reshape(builder.pad(builder.reshape(moved, flat_threes), rest), cube), shuffled(16));
    }
    sum = builder.binary(graph::Op::Add, sum, moved);
  }
  builder.output("y", sum);
  const lower::LoopNest nest = lower::lower_kernel(only_kernel(builder));
  CHECK(nest.arena.size() < (size_t{1} << 20) + 100'000);  // a million, and the last try's
}

TEST_CASE("reshaping back and forth costs no division") {
  Builder builder;
  const Shape shape{6, 35}, split{2, 3, 5, 7}, flat{210}, order{1, 0};
  NodeId x = builder.input("x", graph::DType::F32, shape);
  x = builder.reshape(builder.reshape(builder.reshape(x, split), flat), shape);
  builder.output("y", builder.permute(x, order));
  CHECK(to_string(lower::lower_kernel(only_kernel(builder))) ==
        "r0 output 35\nr1 output 6\nresult:f32[(r0 * 6 + r1)] = read0:f32[(r0 + r1 * 35)]\n");
}

TEST_CASE("axes that every index walks as one are joined") {
  Builder builder;
  const Shape shape{4, 5, 6};
  const NodeId x = builder.input("x", graph::DType::F32, shape);
  builder.output("y", builder.binary(graph::Op::Add, x, x));
  CHECK(to_string(lower::lower_kernel(only_kernel(builder))) ==
        "r0 output 120\nresult:f32[r0] = ADD:f32(read0:f32[r0], read0:f32[r0])\n");
}

}  // namespace quarry::test
