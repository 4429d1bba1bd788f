// The schedules meant for GPUs (groups, barriers, local memory, split reductions), run on whatever OpenCL device is
// here: right values do not depend on the device they were meant for.
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/codegen/codegen.h"
#include "engine/device/opencl/compiler.h"
#include "engine/lower/lower.h"
#include "tests/device/opencl/first_device.h"
#include "tests/device/opencl/graph_runner.h"

namespace quarry::test {

using device::opencl::Compiler;
using device::opencl::Context;
using device::opencl::KernelHandle;
using device::opencl::Memory;
using device::opencl::Queue;
using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

namespace {

// Just enough OpenCL to run one program of f32 buffers.
class BareDevice {
 public:
  BareDevice() { queue_ = Queue(clCreateCommandQueue(first_.context.get(), first_.id, 0, nullptr)); }

  Tensor run(const codegen::Program& program, const std::vector<Tensor>& reads, size_t result_bytes) {
    Compiler compiler(first_.context.get(), first_.id, "test", "", device::opencl::KeepBinaries::No);
    auto built = compiler.compile(program.source);
    if (!built.ok()) FAIL(built.problem().detail << "\n" << program.source);
    Memory result = buffer(Tensor(result_bytes)), scratch = buffer(Tensor(program.scratch_bytes + 1));
    std::vector<Memory> inputs;
    for (const Tensor& read : reads) inputs.push_back(buffer(read));
    for (const codegen::Entry& entry : program.entries) {
      KernelHandle kernel(clCreateKernel((*built)->get(), entry.name.c_str(), nullptr));
      cl_uint place = 0;
      const auto add = [&](const Memory& memory) {
        const cl_mem object = memory.get();
        const cl_long offset = 0;
        clSetKernelArg(kernel.get(), place++, sizeof object, &object);
        clSetKernelArg(kernel.get(), place++, sizeof offset, &offset);
      };
      add(entry.writes_scratch ? scratch : result);
      if (entry.reads_scratch) add(scratch);
      for (const Memory& input : inputs) {
        if (!entry.reads_scratch) add(input);
      }
      const size_t items = entry.work_items, local = entry.local;
      REQUIRE(clEnqueueNDRangeKernel(queue_.get(), kernel.get(), 1, nullptr, &items, &local, 0, nullptr, nullptr) ==
              CL_SUCCESS);
    }
    Tensor bytes(result_bytes);
    REQUIRE(clEnqueueReadBuffer(queue_.get(), result.get(), CL_TRUE, 0, result_bytes, bytes.data(), 0, nullptr,
                                nullptr) == CL_SUCCESS);
    return bytes;
  }

 private:
  Memory buffer(Tensor bytes) {
    return Memory(clCreateBuffer(first_.context.get(), CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes.size(),
                                 bytes.data(), nullptr));
  }

  FirstDevice first_;
  Queue queue_;
};

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
  CHECK(BareDevice().run(codegen::generate(nest, schedule, gpu), reads, expected.size()) == expected);
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
