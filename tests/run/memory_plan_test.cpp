#include "engine/run/memory_plan.h"

#include <catch2/catch.hpp>

#include "engine/lower/kernel.h"
#include "engine/meter/meter.h"
#include "tests/graph/random_graph.h"

using namespace quarry;
using namespace quarry::run;
using graph::Graph;
using graph::NodeId;
using graph::testing::pick;
using graph::testing::Random;

namespace {

// A random program on a random graph: inputs are carried from any node of their shape and dtype (another input or
// themselves too), fed, or plain.
Program random_program(uint64_t seed) {
  Random random(seed);
  const Graph base = graph::testing::random_graph(seed, 10 + static_cast<size_t>(pick(random, 0, 80)));
  graph::Builder b;
  std::vector<NodeId> copies;
  for (NodeId id = 0; id < base.size(); ++id) {
    const NodeId x = base.operand_count(id) > 0 ? copies[base[id].operands[0]] : graph::kNoNode;
    const NodeId y = base.operand_count(id) > 1 ? copies[base[id].operands[1]] : graph::kNoNode;
    copies.push_back(graph::testing::copy_node(b, base, id, x, y));
  }
  for (const auto& output : base.outputs()) b.output(output.name, copies[output.node]);
  Program program;
  for (const NodeId input : base.inputs()) {
    const std::string name(base.input_name(input));
    const int64_t use = pick(random, 0, 3);
    std::vector<NodeId> alike;
    for (NodeId id = 0; id < base.size(); ++id)
      if (base[id].dtype == base[input].dtype && std::ranges::equal(base.shape(id), base.shape(input)))
        alike.push_back(id);
    const NodeId next = alike[static_cast<size_t>(pick(random, 0, static_cast<int64_t>(alike.size()) - 1))];
    b.output("next_" + name, copies[next]);
    if (use == 0) program.feed.push_back({name, 2, true});
    if (use >= 2) program.carry.emplace_back(name, "next_" + name);
  }
  auto graph = b.finish();
  REQUIRE(graph.ok());
  program.graph = std::make_shared<const graph::NormalGraph>(graph::normalise(*graph));
  const auto is_dead = [&](const std::string& input) {
    return program.graph->graph.find_input(input) == graph::kNoNode;  // no output needs it
  };
  std::erase_if(program.feed, [&](const Feed& feed) { return is_dead(feed.input); });
  std::erase_if(program.carry, [&](const auto& carry) { return is_dead(carry.first); });
  return program;
}

uint64_t memory_bound(const Program& program) {
  meter::Usage usage;
  usage.carry = program.carry;
  for (const Feed& feed : program.feed) usage.feed.push_back(feed.input);
  const auto count = meter::count(*program.graph, usage);
  REQUIRE(count.ok());
  return count->memory_bound_bytes;
}

struct Living {
  NodeId node;
  meter::Slot slot;
  size_t first, last;  // launches
};

// What holds a value in a step of this parity, and when.
std::vector<Living> living(const Program& program, const std::vector<lower::Kernel>& kernels,
                           const meter::MemoryLayout& plan, int parity) {
  const Graph& graph = program.graph->graph;
  std::map<NodeId, Living> values;
  for (const NodeId input : graph.inputs()) values[input] = {input, plan.at(input, parity), 0, kernels.size()};
  for (size_t launch = 0; launch < kernels.size(); ++launch) {
    const NodeId result = kernels[launch].result;
    values[result] = {result, plan.at(result, parity), launch, launch};
    for (const NodeId read : kernels[launch].reads) values[read].last = std::max(values[read].last, launch);
    if (kernels[launch].row_update) values[kernels[launch].row_update->old_value].last = launch - (launch > 0);
  }
  for (const auto& output : graph.outputs()) values[output.node].last = kernels.size();
  std::vector<Living> list;
  for (const auto& [node, value] : values) list.push_back(value);
  return list;
}

void check_disjoint(const std::vector<Living>& values, uint64_t arena) {
  for (const Living& a : values) {
    CHECK(a.slot.offset % device::kBufferAlignment == 0);
    CHECK(a.slot.offset + a.slot.bytes <= arena);
    for (const Living& b : values) {
      if (a.node >= b.node || a.last < b.first || b.last < a.first) continue;
      const bool overlap = a.slot.offset < b.slot.offset + b.slot.bytes && b.slot.offset < a.slot.offset + a.slot.bytes;
      if (overlap) FAIL("nodes " << a.node << " and " << b.node << " share memory");
    }
  }
}

}  // namespace

TEST_CASE("every plan fits in the memory bound that the meter promised, and no two living values share a byte") {
  const uint64_t seed = std::random_device{}();
  for (uint64_t round = 0; round < 3'000; ++round) {
    INFO("seed " << seed + round);
    const Program program = random_program(seed + round);
    REQUIRE(validate(program).ok());
    const auto kernels = lower::partition(program.graph, program.carry);
    const auto plan = plan_memory(program, UINT64_MAX, memory_bound(program));
    REQUIRE(plan.ok());
    for (const int parity : {0, 1})
      check_disjoint(living(program, kernels, plan->layout, parity), plan->layout.bytes());
  }
}

TEST_CASE("a plan in pieces crosses no border, and no two living values share a byte") {
  const uint64_t seed = std::random_device{}();
  for (uint64_t round = 0; round < 500; ++round) {
    INFO("seed " << seed + round);
    const Program program = random_program(seed + round);
    const auto kernels = lower::partition(program.graph, program.carry);
    uint64_t largest = device::kBufferAlignment;
    for (const Living& value : living(program, kernels, plan_memory(program, UINT64_MAX, UINT64_MAX)->layout, 0))
      largest = std::max(largest, meter::aligned(value.slot.bytes));
    const auto plan = plan_memory(program, largest + 100, UINT64_MAX);  // no multiple of the alignment
    REQUIRE(plan.ok());
    for (const int parity : {0, 1}) {
      const auto values = living(program, kernels, plan->layout, parity);
      check_disjoint(values, plan->layout.bytes());
      for (const Living& value : values) {
        if (value.slot.bytes == 0) continue;
        const uint64_t last = value.slot.offset + value.slot.bytes - 1;
        CHECK(value.slot.offset / plan->piece_bytes == last / plan->piece_bytes);
      }
    }
  }
}

TEST_CASE("what a step of one parity writes as a carried input's next value, the other parity reads") {
  const uint64_t seed = std::random_device{}();
  for (uint64_t round = 0; round < 100; ++round) {
    INFO("seed " << seed + round);
    const Program program = random_program(seed + round);
    const Graph& graph = program.graph->graph;
    const auto kernels = lower::partition(program.graph, program.carry);
    const auto plan = plan_memory(program, UINT64_MAX, memory_bound(program));
    REQUIRE(plan.ok());
    for (const auto& [input_name, output_name] : program.carry) {
      const NodeId input = graph.find_input(input_name), output = graph.find_output(output_name);
      const bool copied =
          std::ranges::any_of(plan->layout.copies(), [&](const auto& copy) { return copy.input == input; });
      for (const int parity : {0, 1}) {
        if (!copied) CHECK(plan->layout.at(output, parity).offset == plan->layout.at(input, 1 - parity).offset);
        if (copied && plan->layout.at(input, 0).bytes > 0)
          CHECK(plan->layout.at(input, 0).offset != plan->layout.at(input, 1).offset);
      }
    }
  }
}
