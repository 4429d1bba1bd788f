// A recorded step beside the same kernels launched one by one: the bits must be equal on every device.
#include <catch2/catch.hpp>

#include "engine/lower/kernel.h"
#include "engine/meter/memory_layout.h"
#include "engine/run/run.h"
#include "tests/run/graphs.h"
#include "tests/run/small_allocations.h"

using namespace quarry;
using namespace quarry::run;
using namespace quarry::test;
using graph::NodeId;

namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// Each value in a buffer of its own, each kernel launched with its step and seed, each carry through the host.
class OneByOne {
 public:
  OneByOne(device::Device& device, const Program& program) : device_(device), program_(program) {
    const graph::Graph& graph = program.graph->graph;
    const auto make = [&](NodeId node) { buffers_[node] = device.allocate(meter::value_bytes(graph, node)).value(); };
    for (const NodeId input : graph.inputs()) make(input);
    for (const lower::Kernel& kernel : lower::partition(program.graph, {})) {
      make(kernel.result);
      kernels_.push_back(kernel);
      executables_.push_back(device.compile(kernel, 1 << 20).value());
      scratch_bytes_ = std::max(scratch_bytes_, executables_.back()->scratch_bytes());
    }
    scratch_ = device.allocate(scratch_bytes_).value();
  }

  void set(const std::string& input, const Bytes& bytes) {
    REQUIRE(device_.copy_in(range(program_.graph->graph.find_input(input)), bytes).ok());
  }
  Bytes get(NodeId node) {
    Bytes bytes(range(node).bytes);
    REQUIRE(device_.copy_out(bytes, range(node)).ok());
    return bytes;
  }
  Bytes output(const std::string& name) { return get(program_.graph->graph.find_output(name)); }

  void step(int32_t number) {
    for (size_t i = 0; i < kernels_.size(); ++i) {
      std::vector<device::BufferRange> reads;
      for (const NodeId read : kernels_[i].reads) reads.push_back(range(read));
      REQUIRE(device_
                  .launch(*executables_[i], range(kernels_[i].result), reads, {scratch_.get(), 0, scratch_bytes_},
                          {number, program_.seed})
                  .ok());
    }
  }
  void carry() {
    std::map<std::string, Bytes> next;
    for (const auto& [input, output_name] : program_.carry) next[input] = output(output_name);
    for (const auto& [input, bytes] : next) set(input, bytes);
  }

 private:
  device::BufferRange range(NodeId node) {
    return {buffers_.at(node).get(), 0, meter::value_bytes(program_.graph->graph, node)};
  }

  device::Device& device_;
  Program program_;
  std::map<NodeId, std::shared_ptr<device::Buffer>> buffers_;
  std::vector<lower::Kernel> kernels_;
  std::vector<std::shared_ptr<device::Executable>> executables_;
  std::shared_ptr<device::Buffer> scratch_;
  uint64_t scratch_bytes_ = 0;
};

struct Outcome {
  Bytes w, before, losses;
  bool operator==(const Outcome&) const = default;
};

Outcome one_by_one(device::Device& device, int64_t steps) {
  const Program program = training_program(steps);
  OneByOne launches(device, program);
  launches.set("w", bytes_of(kStart));
  launches.set("before", bytes_of(kStart));
  const Bytes all = bytes_of(batches());
  const auto slice = static_cast<ptrdiff_t>(all.size() / 3);
  Outcome outcome;
  for (int64_t step = 0; step < steps; ++step) {
    const auto first = all.begin() + step % 3 * slice;
    launches.set("x", {first, first + slice});
    launches.step(static_cast<int32_t>(step));
    const Bytes loss = launches.output("loss");
    outcome.losses.insert(outcome.losses.end(), loss.begin(), loss.end());
    launches.carry();
  }
  const graph::Graph& graph = program.graph->graph;
  outcome.w = launches.get(graph.find_input("w"));
  outcome.before = launches.get(graph.find_input("before"));
  return outcome;
}

Outcome recorded(device::Device& device, int64_t steps, uint64_t memory = kPlenty) {
  auto run = prepare(device, training_program(steps), memory).value();
  REQUIRE(run->set_input("x", source(batches())).ok());
  REQUIRE(run->set_input("w", source(kStart)).ok());
  REQUIRE(run->set_input("before", source(kStart)).ok());
  REQUIRE(run->advance(0, steps, {}).value());
  return {run->carried("w").value(), run->carried("before").value(), run->kept("loss").value()};
}

}  // namespace

#define ON_EACH_DEVICE(device) \
  for (const auto& [selector, device] : devices_here()) DYNAMIC_SECTION("on " << selector)

TEST_CASE("a recorded step gives the bits of its kernels launched one by one, step after step") {
  ON_EACH_DEVICE(device) {
    const Outcome expected = one_by_one(*device, 11);
    CHECK(recorded(*device, 11) == expected);
    // With no room beside the plan feeds are copied in, and kept values out, in each step.
    uint64_t least = 0;
    while (!prepare(*device, training_program(11), least).ok()) least += 256;
    CHECK(recorded(*device, 11, least) == expected);
    SmallAllocations small(*device, 256);
    CHECK(recorded(small, 11) == expected);
  }
}

TEST_CASE("rings that are full are fetched, and the steps after them begin at the first slot again") {
  ON_EACH_DEVICE(device) {
    const Outcome long_run = recorded(*device, 2'500);  // rings of 1,024 losses
    CHECK(long_run.losses.size() == 2'500 * sizeof(float));
    const Outcome start = recorded(*device, 40);
    CHECK(std::equal(start.losses.begin(), start.losses.end(), long_run.losses.begin()));
    uint64_t least = 0;
    while (!prepare(*device, training_program(11), least).ok()) least += 256;
    CHECK(recorded(*device, 2'500, least) == long_run);
  }
}

TEST_CASE("runs of one device that take turns do not see each other's counters") {
  ON_EACH_DEVICE(device) {
    const Outcome expected = recorded(*device, 6);
    const auto start = [&] {
      auto run = prepare(*device, training_program(6), kPlenty).value();
      REQUIRE(run->set_input("x", source(batches())).ok());
      REQUIRE(run->set_input("w", source(kStart)).ok());
      REQUIRE(run->set_input("before", source(kStart)).ok());
      return run;
    };
    const auto one = start(), other = start();
    for (const int64_t from : {0, 2, 4}) {
      REQUIRE(one->advance(from, 2, {}).value());
      REQUIRE(other->advance(from, 2, {}).value());
    }
    for (const auto& run : {one.get(), other.get()})
      CHECK(Outcome{run->carried("w").value(), run->carried("before").value(), run->kept("loss").value()} == expected);
  }
}
