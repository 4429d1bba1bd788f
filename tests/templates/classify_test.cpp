// Graphs -> loop nests -> contractions -> the interpreter, against the loop nest evaluated point by point in f64.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "engine/graph/number.h"
#include "engine/lower/lower.h"
#include "engine/templates/choose.h"
#include "engine/templates/classify.h"
#include "engine/tile/evaluate.h"
#include "engine/tile/interpret.h"

namespace quarry::test {
namespace {

using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;
using lower::LoopNest;
using Shape = std::vector<int64_t>;
using templates::ContractionProblem;

std::vector<LoopNest> nests_of(Builder& builder) {
  auto graph = builder.finish();
  REQUIRE(graph.ok());
  const auto normal = std::make_shared<const graph::NormalGraph>(graph::normalise(*graph));
  std::vector<LoopNest> nests;
  for (const lower::Kernel& kernel : lower::partition(normal, {})) nests.push_back(lower::lower_kernel(kernel));
  return nests;
}

// SUM over `axes` of left * right, both viewed at `whole`, in f32 after CASTs if `casts`.
LoopNest contraction(Builder& b, NodeId left, NodeId right, const Shape& whole, const Shape& axes, bool casts) {
  if (casts) {
    left = b.cast(left, DType::F32);
    right = b.cast(right, DType::F32);
  }
  b.output("out", b.reduce(Op::ReduceSum, b.binary(Op::Mul, b.expand(left, whole), b.expand(right, whole)), axes));
  return nests_of(b).back();
}

LoopNest matmul(DType dtype, int64_t m, int64_t n, int64_t k, bool left_transposed, bool right_transposed, bool casts) {
  Builder b;
  NodeId left = b.input("left", dtype, left_transposed ? Shape{k, m} : Shape{m, k});
  NodeId right = b.input("right", dtype, right_transposed ? Shape{n, k} : Shape{k, n});
  if (left_transposed) left = b.permute(left, Shape{1, 0});
  if (right_transposed) right = b.permute(right, Shape{1, 0});
  return contraction(b, b.reshape(left, Shape{m, k, 1}), b.reshape(right, Shape{1, k, n}), {m, k, n}, {1}, casts);
}

using Buffers = std::vector<std::vector<std::byte>>;

Buffers buffers_of(const LoopNest& nest, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Buffers buffers{{static_cast<size_t>(nest.result_elements * graph::byte_size(nest.result)), std::byte{0xff}}};
  for (const lower::Read& read : nest.reads) {
    buffers.emplace_back(static_cast<size_t>(read.elements * graph::byte_size(read.dtype)));
    for (int64_t i = 0; i < read.elements; ++i) {
      tile::store_bits(read.dtype, buffers.back().data(), i, graph::from_double(read.dtype, normal(random)));
    }
  }
  return buffers;
}

struct Exact {
  std::vector<double> sum, magnitudes;
  int64_t terms = 1;
};

// Walks every point of the nest. Of the value it uses the two loads below the product.
Exact exact_of(const LoopNest& nest, Buffers& buffers) {
  Exact exact{std::vector<double>(static_cast<size_t>(nest.result_elements)),
              std::vector<double>(static_cast<size_t>(nest.result_elements)), nest.points(lower::AxisKind::Reduce)};
  const auto load = [&](lower::ExprId id) {
    while (nest.arena[id].kind == lower::Kind::Cast) id = nest.arena[id].a;
    return nest.arena[id];
  };
  const lower::Expr left = load(nest.arena[nest.value].a), right = load(nest.arena[nest.value].b);
  std::vector<int64_t> at(nest.axes.size());
  std::string failure;
  const tile::Point point{at, 0, {}, nullptr, &failure};
  for (;;) {
    const auto element = [&](const lower::Expr& from) {
      const int64_t index = tile::evaluate_index(nest.arena, from.a, point);
      return graph::to_double(from.dtype,
                              tile::load_bits(from.dtype, buffers[static_cast<size_t>(from.x) + 1].data(), index));
    };
    const double product = element(left) * element(right);
    const auto to = static_cast<size_t>(tile::evaluate_index(nest.arena, nest.store_index, point));
    exact.sum[to] += product;
    exact.magnitudes[to] += std::abs(product);
    size_t axis = 0;
    while (axis < at.size() && ++at[axis] == nest.axes[axis].extent) at[axis++] = 0;
    if (axis == at.size()) return exact;
  }
}

void check_nest(const LoopNest& nest, const templates::DeviceClass& device) {
  INFO(lower::to_string(nest));
  const auto problem = templates::classify(nest);
  REQUIRE(problem.has_value());
  const auto choice = templates::choose(*problem, device);
  REQUIRE(choice.has_value());
  INFO(to_string(choice->schedule) << (choice->swap ? " swapped" : ""));
  const auto program = templates::contraction(choice->swap ? templates::swapped(*problem) : *problem, choice->schedule);
  Buffers buffers = buffers_of(nest, 3);
  const std::vector<std::span<std::byte>> arguments(buffers.begin(), buffers.end());
  REQUIRE(tile::interpret(*program, arguments, {3, 1}) == "");
  const Exact exact = exact_of(nest, buffers);
  size_t beyond = 0;
  for (size_t i = 0; i < exact.sum.size(); ++i) {
    const double value =
        graph::to_double(nest.result, tile::load_bits(nest.result, buffers[0].data(), static_cast<int64_t>(i)));
    double bound = static_cast<double>(exact.terms + 64) * 0x1p-23 * exact.magnitudes[i];
    if (nest.result == DType::BF16) bound += std::abs(exact.sum[i]) * 0x1p-8;
    if (nest.result == DType::F16) bound += std::abs(exact.sum[i]) * 0x1p-11;
    beyond += !(std::abs(value - exact.sum[i]) <= bound);
  }
  CHECK(beyond == 0);
}

const templates::DeviceClass kH200{.units = 132, .most_workspace = int64_t{64} << 20};

}  // namespace

TEST_CASE("matmuls of 16-bit inputs are contractions in all transposes, with and without CASTs") {
  for (DType dtype : {DType::BF16, DType::F16}) {
    for (int form = 0; form < 8; ++form) {
      check_nest(matmul(dtype, 72, 136, 80, form & 1, form & 2, form & 4), kH200);
    }
  }
}

TEST_CASE("a vector times a matrix and a matrix times a vector are contractions") {
  check_nest(matmul(DType::BF16, 1, 264, 128, false, false, true), kH200);
  check_nest(matmul(DType::BF16, 264, 1, 128, false, true, true), kH200);
}

TEST_CASE("batches, shared weights and heads are batch axes or one long axis") {
  {
    Builder b;  // [b, m, k] x [b, k, n]
    const NodeId x = b.reshape(b.input("x", DType::BF16, Shape{3, 24, 64}), Shape{3, 24, 64, 1});
    const NodeId y = b.reshape(b.input("y", DType::BF16, Shape{3, 64, 40}), Shape{3, 1, 64, 40});
    const LoopNest nest = contraction(b, x, y, {3, 24, 64, 40}, {2}, true);
    CHECK(templates::classify(nest)->batches == Shape{3});
    check_nest(nest, kH200);
  }
  {
    Builder b;  // [b, t, k] x [k, n]: the same weight for all of b
    const NodeId x = b.reshape(b.input("x", DType::F16, Shape{3, 24, 64}), Shape{3, 24, 64, 1});
    const NodeId y = b.reshape(b.input("y", DType::F16, Shape{64, 40}), Shape{1, 1, 64, 40});
    const LoopNest nest = contraction(b, x, y, {3, 24, 64, 40}, {2}, true);
    CHECK(templates::classify(nest)->m == 72);
    check_nest(nest, kH200);
  }
  {
    Builder b;  // scores of attention: [b, t, h, d] and [b, s, h, d] -> [b, h, t, s]
    const NodeId q = b.permute(b.input("q", DType::BF16, Shape{2, 24, 3, 64}), Shape{0, 2, 1, 3});
    const NodeId k = b.permute(b.input("k", DType::BF16, Shape{2, 16, 3, 64}), Shape{0, 2, 1, 3});
    const LoopNest nest = contraction(b, b.reshape(q, Shape{2, 3, 24, 1, 64}), b.reshape(k, Shape{2, 3, 1, 16, 64}),
                                      {2, 3, 24, 16, 64}, {4}, true);
    CHECK(templates::classify(nest)->batches == Shape{2, 3});
    check_nest(nest, kH200);
  }
  {
    Builder b;  // [t, h, d] x [h, d, n] with t inside: m has two axes that do not join, so one becomes a batch axis
    const NodeId x =
        b.reshape(b.permute(b.input("x", DType::BF16, Shape{5, 64, 16}), Shape{2, 0, 1}), Shape{16, 5, 64, 1});
    const NodeId y = b.reshape(b.input("y", DType::BF16, Shape{64, 40}), Shape{1, 1, 64, 40});
    check_nest(contraction(b, x, y, {16, 5, 64, 40}, {2}, true), kH200);
  }
}

TEST_CASE("a split sum is chosen where tiles are few, and its result is right") {
  const LoopNest nest = matmul(DType::BF16, 64, 64, 2048, false, true, true);
  const auto choice = templates::choose(*templates::classify(nest), kH200);
  REQUIRE(choice.has_value());
  CHECK(choice->schedule.parts > 1);
  check_nest(nest, kH200);
  const auto without = templates::choose(*templates::classify(nest), {.units = 132, .most_workspace = 0});
  CHECK(without->schedule.parts == 1);
}

TEST_CASE("what is no plain sum of products is no contraction") {
  const auto refused = [](const LoopNest& nest) {
    INFO(lower::to_string(nest));
    return !templates::classify(nest).has_value();
  };
  Builder maximum;
  maximum.output("out", maximum.reduce(Op::ReduceMax, maximum.input("x", DType::BF16, Shape{8, 8}), Shape{1}));
  CHECK(refused(nests_of(maximum)[0]));
  Builder sum;
  sum.output("out", sum.reduce(Op::ReduceSum, sum.input("x", DType::BF16, Shape{8, 8}), Shape{1}));
  CHECK(refused(nests_of(sum)[0]));
  Builder mixed;
  const NodeId x = mixed.cast(mixed.input("x", DType::BF16, Shape{8, 8}), DType::F32);
  const NodeId y = mixed.cast(mixed.input("y", DType::F16, Shape{8, 8}), DType::F32);
  mixed.output("out", mixed.reduce(Op::ReduceSum, mixed.binary(Op::Mul, x, y), Shape{1}));
  CHECK(refused(nests_of(mixed)[0]));
  Builder padded;
  const NodeId wide = padded.pad(padded.input("x", DType::BF16, Shape{8, 6}), {{{0, 0}, {1, 1}}});
  padded.output("out",
                padded.reduce(Op::ReduceSum, padded.binary(Op::Mul, wide, padded.input("y", DType::BF16, Shape{8, 8})),
                              Shape{1}));
  CHECK(refused(nests_of(padded)[0]));
  CHECK(refused(matmul(DType::F16, 72, 40, 1, true, false, true)));  // a sum of one term is that term
  Builder integers;
  integers.output("out", integers.reduce(Op::ReduceSum,
                                         integers.binary(Op::Mul, integers.input("x", DType::I32, Shape{8, 8}),
                                                         integers.input("y", DType::I32, Shape{8, 8})),
                                         Shape{1}));
  CHECK(refused(nests_of(integers)[0]));
}

TEST_CASE("large squares get large tiles, and few rows get the weight as the tile's rows") {
  const auto chosen = [](int64_t m, int64_t n, int64_t k) {
    const LoopNest nest = matmul(DType::BF16, m, n, k, false, true, false);
    return *templates::choose(*templates::classify(nest), kH200);
  };
  for (int64_t size : {2048, 4096, 8192}) {
    const templates::Choice choice = chosen(size, size, size);
    INFO(size << " " << to_string(choice.schedule));
    CHECK(choice.schedule.block_m == 128);
    CHECK(choice.schedule.block_n >= 128);
    CHECK(choice.schedule.parts == 1);
    CHECK_FALSE(choice.swap);
  }
  const templates::Choice decode = chosen(16, 4096, 4096);
  CHECK(decode.swap);
  CHECK(decode.schedule.block_n == 16);
}

}  // namespace quarry::test
