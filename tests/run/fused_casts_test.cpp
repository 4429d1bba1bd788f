// Sums that are rounded where they are computed: the same bits with fewer kernels, within the memory bound.
#include <catch2/catch.hpp>
#include <random>

#include "engine/graph/number.h"
#include "engine/run/memory_plan.h"
#include "engine/run/run.h"
#include "tests/run/graphs.h"

namespace quarry::test {
namespace {

using graph::DType;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

// A device that takes every rounded sum, whatever the device behind it does.
class Eager final : public device::Device {
 public:
  explicit Eager(device::Device& behind) : behind_(behind) {}
  const device::Properties& properties() const override { return behind_.properties(); }
  Result<std::shared_ptr<device::Buffer>> allocate(uint64_t bytes) override { return behind_.allocate(bytes); }
  Status copy_in(device::BufferRange to, std::span<const std::byte> from) override { return behind_.copy_in(to, from); }
  Status copy_out(std::span<std::byte> to, device::BufferRange from) override { return behind_.copy_out(to, from); }
  Status copy(device::BufferRange to, device::BufferRange from) override { return behind_.copy(to, from); }
  Status zero(device::BufferRange range) override { return behind_.zero(range); }
  bool takes_rounded_sum(const lower::Kernel&) const override { return true; }
  Result<std::shared_ptr<device::Executable>> compile(const lower::Kernel& kernel,
                                                      uint64_t most_scratch_bytes) override {
    return behind_.compile(kernel, most_scratch_bytes);
  }
  Status launch(device::Executable& kernel, device::BufferRange result, std::span<const device::BufferRange> reads,
                device::BufferRange scratch, const device::LaunchScalars& scalars) override {
    return behind_.launch(kernel, result, reads, scratch, scalars);
  }
  Status wait() override { return behind_.wait(); }

 private:
  device::Device& behind_;
};

NodeId matmul(graph::Builder& b, NodeId left, NodeId right, int64_t m, int64_t n, int64_t k) {
  const Shape whole{m, k, n};
  left = b.expand(b.reshape(b.cast(left, DType::F32), Shape{m, k, 1}), whole);
  right = b.expand(b.reshape(b.cast(right, DType::F32), Shape{1, k, n}), whole);
  return b.reduce(Op::ReduceSum, b.binary(Op::Mul, left, right), Shape{1});
}

constexpr int64_t kRows = 37, kInner = 64, kColumns = 29;

// Two layers of 16-bit matmuls, the first result transposed on its way; and one sum that is an output too.
run::Program layers(DType dtype) {
  graph::Builder b;
  const NodeId x = b.input("x", dtype, Shape{kRows, kInner}), w = b.input("w", dtype, Shape{kInner, kColumns});
  const NodeId v = b.input("v", dtype, Shape{kRows, kInner});
  const NodeId first =
      b.permute(b.reshape(matmul(b, x, w, kRows, kColumns, kInner), Shape{kRows, kColumns}), Shape{1, 0});
  const NodeId hidden = b.cast(first, dtype);
  const NodeId second = matmul(b, hidden, v, kColumns, kInner, kRows);
  b.output("y", b.cast(b.reshape(second, Shape{kColumns, kInner}), dtype));
  const NodeId shown = matmul(b, x, w, kRows, kColumns, kInner);
  const NodeId halved = b.binary(Op::Mul, shown, b.constant_f64(DType::F32, Shape{kRows, 1, kColumns}, 0.5));
  const NodeId kept = b.reduce(Op::ReduceSum, halved, Shape{2});
  b.output("kept", kept);
  b.output("rounded", b.cast(kept, dtype));
  run::Program program;
  program.graph = normal(b);
  program.steps = 1;
  for (const char* name : {"y", "kept", "rounded"}) program.keep.push_back({name, run::KeepMode::Last});
  return program;
}

struct Outcome {
  std::vector<std::vector<std::byte>> kept;
  size_t kernels = 0;
};

Outcome outcome(device::Device& device, DType dtype) {
  const run::Program program = layers(dtype);
  auto run = run::prepare(device, program, kPlenty).value();
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal_numbers;
  for (const NodeId input : program.graph->graph.inputs()) {
    std::vector<uint16_t> numbers(static_cast<size_t>(program.graph->graph.elements(input)));
    for (uint16_t& x : numbers) x = static_cast<uint16_t>(graph::from_double(dtype, normal_numbers(random)));
    REQUIRE(run->set_input(std::string(program.graph->graph.input_name(input)), source(numbers)).ok());
  }
  REQUIRE(run->advance(0, 1, {}).value());
  Outcome result;
  for (const run::Keep& keep : program.keep) result.kept.push_back(run->kept(keep.output).value());
  result.kernels = run->timings().kernels;
  return result;
}

}  // namespace

TEST_CASE("a sum that is rounded where it is computed has the same bits, on every device") {
  for (const auto& [selector, device] : devices_here()) {
    DYNAMIC_SECTION("on " << selector) {
      for (DType dtype : {DType::BF16, DType::F16}) {
        Eager eager(*device);
        const Outcome apart = outcome(*device, dtype), joined = outcome(eager, dtype);
        CHECK(joined.kept == apart.kept);
        CHECK(joined.kernels < apart.kernels);
      }
    }
  }
}

TEST_CASE("only a sum that nothing else reads, and that is no output, is joined with its cast") {
  const run::Program program = layers(DType::BF16);
  const auto kernels = lower::partition(program.graph, program.carry);
  const auto fused = lower::fuse_casts(kernels, [](const lower::Kernel&) { return true; });
  size_t rounded = 0;
  for (const lower::Kernel& kernel : fused) {
    if (!kernel.rounded_sum) continue;
    ++rounded;
    for (const graph::Output& output : program.graph->graph.outputs()) CHECK(output.node != *kernel.rounded_sum);
    for (const lower::Kernel& other : fused) {
      CHECK(std::ranges::find(other.reads, *kernel.rounded_sum) == other.reads.end());
    }
  }
  CHECK(rounded > 0);
  CHECK(fused.size() == kernels.size() - rounded);
  CHECK(lower::fuse_casts(kernels, [](const lower::Kernel&) { return false; }).size() == kernels.size());
}

TEST_CASE("the plan of joined kernels needs no more memory than the bill's, and the bill does not change") {
  const run::Program program = layers(DType::BF16);
  const auto kernels = lower::partition(program.graph, program.carry);
  const auto plan = run::plan_memory(program, UINT64_MAX, kPlenty).value();
  const auto joined =
      run::plan_memory_of(program, lower::fuse_casts(kernels, [](const lower::Kernel&) { return true; }), plan);
  REQUIRE(joined.has_value());
  CHECK(joined->layout.bytes() <= plan.layout.bytes());
}

}  // namespace quarry::test
