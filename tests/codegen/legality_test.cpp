// What a schedule must not ask for, each by its name; nothing of it reaches the printer.
#include <catch2/catch.hpp>

#include "engine/codegen/codegen.h"
#include "tests/codegen/kernel_set.h"

namespace quarry::test {

using codegen::ActionKind;
using codegen::Dialect;
using codegen::Schedule;
using codegen::Target;
using graph::DType;
using graph::Op;
using enum ActionKind;

namespace {

const Target kProcessor{.compute_units = 2};
const Target kGpu{.dialect = Dialect::Cuda, .is_gpu = true, .compute_units = 132};

// Axes 0 and 1 are outputs of 64 and 96, axis 2 is reduced over 100.
lower::LoopNest product() {
  return nests_of(contraction(DType::F32, 64, 96, 100, false, false)).at(0);
}

void refuses(const lower::LoopNest& nest, const Schedule& schedule, const Target& target, const std::string& why) {
  INFO(to_string(schedule));
  CHECK(check(nest, schedule, target) == why);
  const auto program = codegen::generate(nest, schedule, target);
  REQUIRE_FALSE(program.ok());
  CHECK(program.problem().code == "illegal_schedule");
  CHECK(program.problem().detail.find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("an action names an axis that exists and an amount that is at least 1") {
  refuses(product(), {{Unroll, 3, 2}}, kProcessor, "an action names no axis of the nest");
  refuses(product(), {{Vector, -1, 4}}, kProcessor, "an action names no axis of the nest");
  refuses(product(), {{Unroll, 0, 0}}, kProcessor, "an amount is below 1");
  refuses(product(), {{Chunk, -1, -1}}, kProcessor, "an amount is below 1");
}

TEST_CASE("two actions of one kind on one axis are refused") {
  refuses(product(), {{Unroll, 0, 2}, {Unroll, 0, 4}}, kProcessor, "two actions of one kind on one axis");
  refuses(product(), {{Vector, 0, 2}, {Vector, 1, 4}}, kProcessor, "two actions of one kind on one axis");
  refuses(product(), {{Split, 2, 2}, {Split, 2, 2}}, kProcessor, "two actions of one kind on one axis");
  refuses(product(), {{Items, 0, 8}, {Items, 0, 2}}, kGpu, "two actions of one kind on one axis");
}

TEST_CASE("a tile fits its axis") {
  refuses(product(), {{Unroll, 0, 65}}, kProcessor, "a tile is longer than its axis");
  refuses(product(), {{Unroll, 0, 8}, {Vector, 0, 16}}, kProcessor, "a tile is longer than its axis");
  refuses(product(), {{Unroll, 0, 4}, {Items, 0, 32}}, kGpu, "a tile is longer than its axis");
}

TEST_CASE("one reduce axis is tiled, and only a reduce axis is split") {
  graph::Builder b;
  const std::vector<int64_t> shape{8, 9, 10}, axes{0, 2};
  b.output("y", b.reduce(Op::ReduceSum, b.input("x", DType::F32, shape), axes));
  const lower::LoopNest nest = nests_of(finished(b)).at(0);
  REQUIRE(nest.axes.size() == 3);
  refuses(nest, {{Unroll, 1, 2}, {Unroll, 2, 2}}, kProcessor, "more than one reduce axis is tiled");
  refuses(nest, {{Items, 1, 2}, {Items, 2, 2}}, kGpu, "items share more than one reduce axis");
  refuses(product(), {{Split, 0, 2}}, kProcessor, "only a reduce axis can be split");
  refuses(product(), {{Outer, 2, 0}}, kProcessor, "outer, spread and stage name an output axis");
}

TEST_CASE("copies have a limit, so that the names of values stay apart") {
  refuses(product(), {{Unroll, 0, 64}, {Unroll, 1, 96}}, kProcessor, "a work-item has too many copies");
  refuses(product(), {{Items, 1, 2}, {Unroll, 0, 32}, {Unroll, 1, 16}}, kGpu, "a work-item has too many copies");
}

TEST_CASE("vectors are OpenCL's, of a width that it has") {
  refuses(product(), {{Vector, 1, 4}}, kGpu, "only OpenCL C has vectors");
  refuses(product(), {{Vector, 1, 3}}, kProcessor, "a vector has 2, 4, 8 or 16 lanes");
  refuses(product(), {{Vector, 1, 32}}, kProcessor, "a vector has 2, 4, 8 or 16 lanes");
}

TEST_CASE("a vector never reaches the scalars of shared memory") {
  Target gpu{.is_gpu = true};
  refuses(product(), {{Vector, 1, 4}, {Items, 2, 4}}, gpu, "the items of a group compute no vectors");
}

TEST_CASE("a group's items are a power of two within the device's limit, and compute one tile") {
  refuses(product(), {{Items, 0, 4}}, kProcessor, "only a GPU shares a tile out to a group");
  refuses(product(), {{Items, 0, 3}}, kGpu, "items along an axis are a power of two");
  refuses(product(), {{Items, 0, 32}, {Items, 1, 32}}, kGpu, "a group has too many items");
  refuses(product(), {{Items, 0, 4}, {Chunk, -1, 2}}, kGpu, "a group computes one tile, not a chunk of them");
  refuses(product(), {{Items, 0, 4}, {Local, -1, 64}}, kGpu, "items and local both say how many items a group has");
  refuses(product(), {{Local, -1, 2048}}, kGpu, "a group has too many items");
  refuses(product(), {{Spread, 0, 4}}, kGpu, "spread needs items");
}

TEST_CASE("a group's sums and tiles fit its shared memory") {
  Target small = kGpu;
  small.shared_bytes = 1024;
  refuses(product(), {{Unroll, 0, 8}, {Items, 0, 4}, {Items, 2, 32}}, small,
          "the group needs more shared memory than there is");
}

TEST_CASE("a split reduction has a tile for each part, and its parts fit the scratch memory") {
  refuses(product(), {{Unroll, 2, 30}, {Split, 2, 4}}, kProcessor, "a reduction has more parts than tiles");
  Target small = kProcessor;
  small.most_scratch_bytes = 64 * 96 * 4 * 2;
  CHECK(check(product(), {{Split, 2, 2}}, small) == "");
  refuses(product(), {{Split, 2, 3}}, small, "the parts of the reduction do not fit the scratch memory");
}

TEST_CASE("a staged tile is filled evenly by a group of elements") {
  const lower::LoopNest nest = nests_of(transpose(DType::F32, 128, 128)).at(0);
  refuses(product(), {{Items, 0, 4}, {Stage, 0, 0}}, kGpu,
          "only a group that computes elements next to each other stages loads");
  refuses(nest, {{Items, 0, 8}, {Items, 1, 4}, {Spread, 0, 8}, {Stage, 0, 0}}, kGpu,
          "the items do not fill the staged tile evenly");
}

}  // namespace quarry::test
