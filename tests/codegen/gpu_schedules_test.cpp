// The GPU's heuristic: which shape it gives a kernel, and that the shape computes what the interpreter does, through
// PoCL and as C++ on this machine.
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/device/opencl/opencl.h"
#include "tests/codegen/kernel_set.h"
#include "tests/codegen/run_program.h"
#include "tests/device/conformance/harness.h"

namespace quarry::test {

using codegen::Dialect;
using graph::Builder;
using graph::DType;
using graph::Graph;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

namespace {

device::Driver& pocl() {
  static const auto driver = device::open_opencl_driver("opencl", {}).value();
  return *driver;
}
device::Driver& host() {
  static const auto driver = host_driver();
  return *driver;
}

// The graph's one kernel by the GPU's schedule equals the interpreter; returns the schedule's text.
std::string check_gpu_schedule(const Graph& graph) {
  const auto nests = nests_of(graph);
  REQUIRE(nests.size() == 1);
  device::conformance::Values inputs;
  for (const NodeId id : graph.inputs())
    inputs[std::string(graph.input_name(id))] = whole_numbers(graph[id].dtype, graph.elements(id));
  const auto expected =
      device::conformance::run_step(device::conformance::opened("interpreter"), graph, inputs).begin()->second;
  std::string text;
  for (device::Driver* driver : {&pocl(), &host()}) {
    const codegen::Target gpu{
        .dialect = driver->capabilities().target.dialect, .is_gpu = true, .compute_units = 16, .group_size = 64};
    const codegen::Schedule schedule = codegen::choose_schedule(nests[0], gpu);
    text = to_string(schedule);
    INFO(text);
    const codegen::Program program = codegen::generate(nests[0], schedule, gpu).value();
    INFO(program.source.substr(program.source.find("// ")));
    CHECK(run_program(*driver, program, reads_of(graph, inputs), expected.size()) == expected);
  }
  return text;
}

bool has(const std::string& schedule, const std::string& action) {
  return schedule.find(action) != std::string::npos;
}

}  // namespace

TEST_CASE("a long row sum is shared by the items of a group, which read neighbours") {
  CHECK(has(check_gpu_schedule(reduction(Op::ReduceSum, DType::F32, {90, 1'021}, 1, false)), "items(r1, 64)"));
  CHECK(has(check_gpu_schedule(reduction(Op::ReduceSum, DType::F32, {90, 1'024}, 1, false)), "unroll(r1, 4)"));
}

TEST_CASE("many short rows take a subgroup each") {
  CHECK(has(check_gpu_schedule(reduction(Op::ReduceMax, DType::BF16, {2'000, 256}, 1, false)), "items(r1, 32)"));
}

TEST_CASE("a sum of everything is split over groups and joined") {
  CHECK(has(check_gpu_schedule(reduction(Op::ReduceSum, DType::F32, {100'003}, 0, false)), "split"));
}

TEST_CASE("sums down columns are strips of neighbouring columns, whose rows are shared") {
  CHECK(has(check_gpu_schedule(reduction(Op::ReduceMax, DType::F32, {33, 517}, 0, false)), "items(r1"));
  CHECK(has(check_gpu_schedule(reduction(Op::ReduceSum, DType::BF16, {300, 512}, 0, false)), "unroll(r0, 8)"));
}

TEST_CASE("elementwise work moves 16 bytes an item at once") {
  CHECK(check_gpu_schedule(one_op(Op::Add, DType::F32, 100'000)) == "unroll(r0, 4) items(r0, 64)");
  CHECK(has(check_gpu_schedule(one_op(Op::Max, DType::BF16, 100'000)), "unroll(r0, 8)"));
  CHECK(has(check_gpu_schedule(one_op(Op::Add, DType::I64, 100'000)), "unroll(r0, 2)"));
  CHECK(has(check_gpu_schedule(one_op(Op::Add, DType::U8, 100'000)), "unroll(r0, 16)"));
  CHECK(has(check_gpu_schedule(one_cast(DType::BF16, DType::F32, 100'000)), "unroll(r0, 4)"));
  check_gpu_schedule(one_op(Op::Add, DType::F32, 100'003));
}

TEST_CASE("a transposition goes through shared memory") {
  for (const DType dtype : {DType::F32, DType::BF16, DType::F64, DType::U8})
    CHECK(has(check_gpu_schedule(transpose(dtype, 200, 130)), "stage"));
}

TEST_CASE("a contraction is tiled in registers") {
  for (const int transposed : {0, 1, 2, 3})
    CHECK(has(check_gpu_schedule(contraction(DType::F32, 132, 130, 64, transposed & 1, transposed & 2)), "unroll"));
}

}  // namespace quarry::test
