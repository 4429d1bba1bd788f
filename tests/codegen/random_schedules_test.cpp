// Any legal schedule computes what the interpreter does: random ones, on random kernels.
#include <catch2/catch.hpp>

#include "engine/device/opencl/opencl.h"
#include "tests/codegen/kernel_set.h"
#include "tests/codegen/run_program.h"
#include "tests/device/conformance/harness.h"
#include "tests/graph/random_graph.h"

namespace quarry::test {

using codegen::Action;
using codegen::ActionKind;
using codegen::Dialect;
using codegen::Schedule;
using codegen::Target;
using graph::Builder;
using graph::DType;
using graph::Graph;
using graph::NodeId;
using graph::Op;
using graph::testing::pick;
using graph::testing::Random;
using Shape = std::vector<int64_t>;

namespace {

DType random_dtype(Random& random) {
  constexpr DType kDTypes[] = {DType::F32, DType::F32, DType::BF16, DType::F64, DType::I32, DType::I8, DType::I64};
  return kDTypes[random() % std::size(kDTypes)];
}

int64_t random_extent(Random& random) {
  constexpr int64_t kExtents[] = {1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 48, 64, 65, 96};
  return kExtents[random() % std::size(kExtents)];
}

// One kernel whose numbers stay small and whole: a transposed or padded operand plus a broadcast one, perhaps reduced.
Graph random_kernel(Random& random) {
  if (random() % 4 == 0) {
    return contraction(random_dtype(random), random_extent(random), random_extent(random), random_extent(random),
                       random() % 2, random() % 2);
  }
  Builder b;
  const DType dtype = random_dtype(random);
  const Shape shape{random_extent(random) % 9 + 1, random_extent(random), random_extent(random)};
  NodeId x = graph::kNoNode;
  switch (random() % 3) {
    case 0:
      x = b.permute(b.input("x", dtype, Shape{shape[0], shape[2], shape[1]}), Shape{0, 2, 1});
      break;
    case 1: {
      const graph::Pair pairs[] = {{0, 0}, {shape[1] / 2, 0}, {0, shape[2] / 3}};
      x = b.pad(b.input("x", dtype, Shape{shape[0], shape[1] - shape[1] / 2, shape[2] - shape[2] / 3}), pairs);
      break;
    }
    default:
      x = b.input("x", dtype, shape);
  }
  const NodeId row = b.expand(b.input("y", dtype, Shape{1, 1, shape[2]}), shape);
  NodeId value = b.binary(random() % 2 ? Op::Add : Op::Mul, x, row);
  if (random() % 3 != 0)
    value = b.reduce(random() % 2 ? Op::ReduceSum : Op::ReduceMax, value, Shape{pick(random, 0, 2)});
  b.output("out", value);
  return finished(b);
}

Action random_action(const lower::LoopNest& nest, Random& random) {
  constexpr int64_t kAmounts[] = {2, 2, 4, 4, 8, 16, 32, 3, 5, 7};
  const auto kind = static_cast<ActionKind>(random() % 9);
  const bool no_axis = kind == ActionKind::Chunk || kind == ActionKind::Local;
  const bool no_amount = kind == ActionKind::Outer || kind == ActionKind::Stage;
  return {kind, no_axis ? -1 : static_cast<int>(random() % nest.axes.size()),
          no_amount ? 0 : kAmounts[random() % std::size(kAmounts)]};
}

// Grown action by action; an illegal one is not kept. Half of the schedules begin with the heuristic's.
Schedule random_schedule(const lower::LoopNest& nest, const Target& target, Random& random) {
  Schedule schedule;
  if (nest.axes.empty()) return schedule;
  if (random() % 2) schedule = codegen::choose_schedule(nest, target);
  for (int tries = 0; tries < 40; ++tries) {
    Schedule longer = schedule;
    if (!longer.empty() && random() % 4 == 0)
      longer.erase(longer.begin() + pick(random, 0, static_cast<int64_t>(longer.size()) - 1));
    longer.push_back(random_action(nest, random));
    if (check(nest, longer, target).empty()) schedule = longer;
  }
  return schedule;
}

void check_random_schedules(device::Driver& driver, const Target& target, int rounds) {
  const uint64_t seed = device::conformance::seed_of_this_run();
  for (int round = 0; round < rounds; ++round) {
    Random random(seed + static_cast<uint64_t>(round));
    const Graph graph = random_kernel(random);
    const auto nests = nests_of(graph);
    REQUIRE(nests.size() == 1);
    const Schedule schedule = random_schedule(nests[0], target, random);
    INFO("QUARRY_TEST_SEED=" << seed << ", round " << round << ": " << to_string(schedule) << "\n"
                             << lower::to_string(nests[0]));
    device::conformance::Values inputs;
    for (const NodeId id : graph.inputs())
      inputs[std::string(graph.input_name(id))] = whole_numbers(graph[id].dtype, graph.elements(id));
    const auto expected = device::conformance::run_step(device::conformance::opened("interpreter"), graph, inputs);
    const codegen::Program program = codegen::generate(nests[0], schedule, target).value();
    const Bytes got = run_program(driver, program, reads_of(graph, inputs), expected.at("out").size());
    const DType dtype = graph[graph.outputs()[0].node].dtype;
    const std::string wrong = device::conformance::difference(dtype, got, expected.at("out"), 0);
    if (!wrong.empty()) FAIL(wrong << "\n" << program.source.substr(program.source.find("// ")));
  }
}

}  // namespace

TEST_CASE("random legal schedules for processors give the interpreter's results") {
  const auto driver = device::open_opencl_driver("opencl", {}).value();
  check_random_schedules(*driver, {.compute_units = 2}, 15);
}

TEST_CASE("random legal schedules for GPUs give the interpreter's results through OpenCL") {
  const auto driver = device::open_opencl_driver("opencl", {}).value();
  check_random_schedules(*driver, {.is_gpu = true, .compute_units = 4, .group_size = 64}, 15);
}

TEST_CASE("random legal schedules for GPUs give the interpreter's results in C++") {
  const auto driver = host_driver();
  check_random_schedules(*driver, {.dialect = Dialect::Hip, .is_gpu = true, .compute_units = 4, .group_size = 128}, 30);
}

TEST_CASE("the heuristics choose legal schedules alone") {
  const Target targets[] = {{.compute_units = 2},
                            {.compute_units = 64, .native_lanes = 4},
                            {.is_gpu = true, .compute_units = 16, .group_size = 64},
                            {.dialect = Dialect::Cuda, .is_gpu = true, .compute_units = 132},
                            {.dialect = Dialect::Hip, .is_gpu = true, .compute_units = 104, .subgroup = 64}};
  for (const NamedNest& named : kernel_set()) {
    for (const Target& target : targets) {
      const Schedule schedule = codegen::choose_schedule(named.nest, target);
      INFO(named.name << ": " << to_string(schedule));
      CHECK(check(named.nest, schedule, target) == "");
    }
  }
}

}  // namespace quarry::test
