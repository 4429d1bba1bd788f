// The schedules meant for GPUs (groups, barriers, local memory, split reductions), run on whatever OpenCL device is
// here: right values do not depend on the device they were meant for.
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/codegen/codegen.h"
#include "engine/device/opencl/opencl.h"
#include "engine/lower/lower.h"
#include "tests/device/opencl/graph_runner.h"

namespace quarry::test {

using device::Argument;
using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

namespace {

Tensor run(const codegen::Program& program, const std::vector<Tensor>& reads, size_t result_bytes) {
  const auto driver = device::open_opencl_driver("opencl", {}).value();
  const auto built = driver->build(program.source);
  if (!built.ok()) FAIL(built.problem().detail << "\n" << program.source);
  const auto result = driver->allocate(result_bytes).value(), scratch = driver->allocate(program.scratch_bytes).value();
  std::vector<std::shared_ptr<device::Buffer>> inputs;
  for (const Tensor& read : reads) {
    inputs.push_back(driver->allocate(read.size()).value());
    REQUIRE(driver->copy_in({inputs.back().get(), 0, read.size()}, read).ok());
  }
  for (const codegen::Entry& shape : program.entries) {
    const auto entry = (*built)->entry(shape.name).value();
    std::vector<Argument> arguments;
    const auto add = [&](const std::shared_ptr<device::Buffer>& buffer) {
      arguments.push_back(Argument::address(buffer.get()));
      arguments.push_back(Argument::number(int64_t{0}));
    };
    add(shape.writes_scratch ? scratch : result);
    if (shape.reads_scratch) add(scratch);
    for (const auto& input : inputs) {
      if (!shape.reads_scratch) add(input);
    }
    REQUIRE(driver->launch(*entry, {0, shape.work_items / shape.local, shape.local}, arguments).ok());
  }
  Tensor bytes(result_bytes);
  REQUIRE(driver->copy_out(bytes, {result.get(), 0, result_bytes}).ok());
  return bytes;
}

// Small whole numbers, so that sums are exact in any order.
Tensor whole_numbers(size_t elements) {
  Tensor tensor(elements * sizeof(float));
  for (size_t i = 0; i < elements; ++i) {
    const float value = static_cast<float>(i * 7 % 5) - 2;
    std::memcpy(tensor.data() + i * sizeof value, &value, sizeof value);
  }
  return tensor;
}

// The graph's one kernel by the GPU's schedule equals the interpreter; returns the schedule's text.
std::string check_gpu_schedule(Builder& builder) {
  const auto graph = finish(builder);
  const graph::Graph& nodes = graph->graph;
  const auto kernels = lower::partition(graph, {});
  REQUIRE(kernels.size() == 1);
  Tensors inputs;
  std::vector<Tensor> reads;
  for (NodeId id : kernels[0].reads) {
    reads.push_back(whole_numbers(static_cast<size_t>(nodes.elements(id))));
    inputs[std::string(nodes.input_name(id))] = reads.back();
  }
  const codegen::Target gpu{.is_gpu = true, .compute_units = 16, .group_size = 64};
  const lower::LoopNest nest = lower::lower_kernel(kernels[0]);
  const codegen::Schedule schedule = codegen::choose_schedule(nest, gpu);
  const std::string text = to_string(schedule);
  INFO(text);
  const Tensor expected = run_graph(*open("interpreter"), graph, inputs).begin()->second;
  CHECK(run(codegen::generate(nest, schedule, gpu), reads, expected.size()) == expected);
  return text;
}

}  // namespace

TEST_CASE("a long row sum is shared by a group") {
  Builder b;
  b.output("y", b.reduce(Op::ReduceSum, b.input("x", DType::F32, Shape{90, 1'021}), Shape{1}));
  CHECK(check_gpu_schedule(b).find("group") != std::string::npos);
}

TEST_CASE("a sum of everything is split over groups and joined") {
  Builder b;
  b.output("y", b.reduce(Op::ReduceSum, b.input("x", DType::F32, Shape{100'003}), Shape{0}));
  CHECK(check_gpu_schedule(b).find("split") != std::string::npos);
}

TEST_CASE("a maximum down the columns, and elementwise work, go one output an item") {
  Builder b;
  b.output("y", b.reduce(Op::ReduceMax, b.input("x", DType::F32, Shape{33, 517}), Shape{0}));
  check_gpu_schedule(b);
  Builder sum;
  const NodeId x = sum.input("x", DType::F32, Shape{1'001});
  sum.output("y", sum.binary(Op::Add, x, x));
  CHECK(check_gpu_schedule(sum) == "local(64)");
}

TEST_CASE("a contraction is tiled in registers") {
  Builder b;
  const Shape whole{130, 65, 130};
  const NodeId left = b.expand(b.reshape(b.input("a", DType::F32, Shape{130, 65}), Shape{130, 65, 1}), whole);
  const NodeId right = b.expand(b.reshape(b.input("b", DType::F32, Shape{65, 130}), Shape{1, 65, 130}), whole);
  b.output("c", b.reduce(Op::ReduceSum, b.binary(Op::Mul, left, right), Shape{1}));
  CHECK(check_gpu_schedule(b).find("unroll") != std::string::npos);
}

}  // namespace quarry::test
