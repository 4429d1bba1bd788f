#include <catch2/catch.hpp>
#include <cmath>

#include "engine/graph/number.h"
#include "tests/device/conformance/harness.h"
#include "tests/graph/random_graph.h"

using namespace quarry;
using namespace quarry::device;
using namespace quarry::device::conformance;
using graph::Builder;
using graph::DType;
using graph::Graph;
using graph::NodeId;
using graph::Op;

namespace {

constexpr DType kFloats[] = {DType::F16, DType::BF16, DType::F32, DType::F64};

// The same graph with what devices may round differently left out: EXP and LOG become their operand, a POW or DIV of
// floats a SUB, a SUM of floats a MAX. Without DIV and POW the sign of a zero, which MAX leaves open, cannot reach
// another value.
Graph made_exact(const Graph& graph) {
  Builder b;
  std::vector<NodeId> copies;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const auto& node = graph[id];
    const NodeId x = graph.operand_count(id) > 0 ? copies[node.operands[0]] : graph::kNoNode;
    const NodeId y = graph.operand_count(id) > 1 ? copies[node.operands[1]] : graph::kNoNode;
    const bool floats = graph::is_float(node.dtype);
    if (node.op == Op::Exp || node.op == Op::Log) {
      copies.push_back(x);
    } else if (floats && (node.op == Op::Pow || node.op == Op::Div)) {
      copies.push_back(b.binary(Op::Sub, x, y));
    } else if (floats && node.op == Op::ReduceSum) {
      copies.push_back(b.reduce(Op::ReduceMax, x, graph.axes(id)));
    } else {
      copies.push_back(graph::testing::copy_node(b, graph, id, x, y));
    }
  }
  for (const auto& output : graph.outputs()) b.output(output.name, copies[output.node]);
  return finished(b);
}

void check_same(Device& device, const Graph& graph, const Values& inputs, uint64_t ulps) {
  const Values got = run_step(device, graph, inputs), wanted = run_step(opened("interpreter"), graph, inputs);
  for (const auto& output : graph.outputs()) {
    const std::string found = difference(graph[output.node].dtype, got.at(output.name), wanted.at(output.name), ulps);
    if (!found.empty()) FAIL(output.name << ", " << found << "\n" << graph::write_json(graph));
  }
}

// op(x, y) or op(x) on vectors of random bits of all kinds: NaNs, infinities and subnormals too.
void check_operation(Device& device, Op op, DType dtype, uint64_t ulps, Random& random) {
  const int64_t shape[] = {997};
  Builder b;
  const NodeId x = b.input("x", dtype, shape);
  b.output("out", graph::is_binary(op) ? b.binary(op, x, b.input("y", dtype, shape)) : b.unary(op, x));
  const Graph graph = finished(b);
  Values inputs;
  for (const char* name : {"x", "y"}) inputs[name] = random_values(dtype, shape[0], random, true);
  check_same(device, graph, inputs, ulps);
}

}  // namespace

#define FOR_EACH_DEVICE(selector)           \
  const uint64_t seed = seed_of_this_run(); \
  INFO("QUARRY_TEST_SEED=" << seed);        \
  for (const std::string& selector : devices_here()) DYNAMIC_SECTION("on " << selector)

TEST_CASE("the interpreter is always there") {
  const auto devices = list_devices();
  CHECK(std::any_of(devices.begin(), devices.end(),
                    [](const DeviceInfo& device) { return device.selector == "interpreter"; }));
}

TEST_CASE("an unknown selector is refused with the list of devices") {
  const auto device = open_device("abacus", {});
  REQUIRE_FALSE(device.ok());
  CHECK(device.problem().code == "unknown_device");
  CHECK(device.problem().action.find("interpreter") != std::string::npos);
}

TEST_CASE("memory keeps what is copied to it, at every offset, and is zeroed on request") {
  FOR_EACH_DEVICE(selector) {
    Device& device = opened(selector);
    Random random(seed);
    const auto buffer = device.allocate(8192).value();
    const auto bytes = random_values(DType::U8, 1000, random);
    REQUIRE(device.zero({buffer.get(), 0, 8192}).ok());
    REQUIRE(device.copy_in({buffer.get(), 512, 1000}, bytes).ok());
    REQUIRE(device.copy({buffer.get(), 4096, 1000}, {buffer.get(), 512, 1000}).ok());
    REQUIRE(device.zero({buffer.get(), 512, 256}).ok());
    std::vector<std::byte> all(8192);
    REQUIRE(device.copy_out(all, {buffer.get(), 0, 8192}).ok());
    std::vector<std::byte> expected(8192);
    std::copy(bytes.begin() + 256, bytes.end(), expected.begin() + 768);
    std::copy(bytes.begin(), bytes.end(), expected.begin() + 4096);
    CHECK(all == expected);
  }
}

TEST_CASE("memory is zeroed to its last byte, however much it is") {
  FOR_EACH_DEVICE(selector) {
    Device& device = opened(selector);
    const uint64_t piece = uint64_t{256} << 20, bytes = piece + 768;
    const auto buffer = device.allocate(bytes).value();
    const std::vector<std::byte> ones(512, std::byte{1});
    for (const uint64_t offset : {uint64_t{0}, piece - 256, bytes - 512})
      REQUIRE(device.copy_in({buffer.get(), offset, ones.size()}, ones).ok());
    REQUIRE(device.zero({buffer.get(), 256, bytes - 256}).ok());
    std::vector<std::byte> all(bytes);
    REQUIRE(device.copy_out(all, {buffer.get(), 0, bytes}).ok());
    CHECK(std::count(all.begin(), all.begin() + 256, std::byte{1}) == 256);
    CHECK(std::count(all.begin() + 256, all.end(), std::byte{0}) == static_cast<ptrdiff_t>(bytes - 256));
  }
}

TEST_CASE("a processor offers no more memory than one allocation: the rest is for the programs beside it") {
  for (const DeviceInfo& info : list_devices()) {
    INFO(info.selector);
    CHECK(info.properties.memory_bytes > 0);
    if (!info.properties.is_gpu) CHECK(info.properties.memory_bytes <= info.properties.max_allocation_bytes);
  }
}

TEST_CASE("an allocation that no machine can hold is a problem, not a crash") {
  FOR_EACH_DEVICE(selector) {
    const auto buffer = opened(selector).allocate(uint64_t{1} << 55);
    REQUIRE_FALSE(buffer.ok());
    CHECK(buffer.problem().code == "out_of_memory");
  }
}

TEST_CASE("arithmetic on random bits is equal bit for bit") {
  FOR_EACH_DEVICE(selector) {
    Random random(seed);
    for (int d = 0; d < graph::kDTypes; ++d) {
      for (const Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Max, Op::CmpEq, Op::Pow}) {
        const auto dtype = static_cast<DType>(d);
        if ((op == Op::Div && dtype == DType::Bool) || (op == Op::Pow && graph::is_float(dtype))) continue;
        check_operation(opened(selector), op, dtype, 0, random);
      }
    }
  }
}

TEST_CASE("EXP and LOG are within 4 ulp and POW within 16, also of NaNs, infinities and subnormals") {
  FOR_EACH_DEVICE(selector) {
    Random random(seed);
    for (const DType dtype : kFloats) {
      check_operation(opened(selector), Op::Exp, dtype, 4, random);
      check_operation(opened(selector), Op::Log, dtype, 4, random);
      check_operation(opened(selector), Op::Pow, dtype, 16, random);
    }
  }
}

TEST_CASE("casts between all dtypes are equal bit for bit on random bits") {
  FOR_EACH_DEVICE(selector) {
    Random random(seed);
    for (int from = 0; from < graph::kDTypes; ++from) {
      const int64_t shape[] = {499};
      Builder b;
      const NodeId x = b.input("x", static_cast<DType>(from), shape);
      for (int to = 0; to < graph::kDTypes; ++to)
        b.output("to" + std::to_string(to), b.cast(x, static_cast<DType>(to)));
      const Graph graph = finished(b);
      check_same(opened(selector), graph, {{"x", random_values(static_cast<DType>(from), shape[0], random, true)}}, 0);
    }
  }
}

TEST_CASE("random graphs of all ops, dtypes and movement give the interpreter's elements") {
  FOR_EACH_DEVICE(selector) {
    Device& device = opened(selector);
    const int rounds = device.properties().backend == "interpreter" ? 5 : 25;  // each compiles about ten kernels
    for (int round = 0; round < rounds; ++round) {
      const uint64_t graph_seed = seed + static_cast<uint64_t>(round);
      Random random(graph_seed);
      const Graph graph = made_exact(graph::testing::random_graph(graph_seed, 10 + random() % 50));
      INFO("round " << round);
      check_same(device, graph, random_inputs(graph, random), 0);
    }
  }
}

TEST_CASE("sums of floats are within the bound of any order of summation") {
  FOR_EACH_DEVICE(selector) {
    Random random(seed);
    const std::vector<std::vector<int64_t>> shapes{{1}, {3}, {1000}, {70'001}, {33, 65}, {7, 300, 5}};
    for (const DType dtype : kFloats) {
      for (const auto& shape : shapes) {
        Builder b;
        const NodeId x = b.input("x", dtype, shape);
        const int64_t axis[] = {static_cast<int64_t>(random() % shape.size())};
        // Half the cases sum products, which a device need not round before it adds them.
        const NodeId terms = random() % 2 ? b.binary(Op::Mul, x, x) : x;
        b.output("sum", b.reduce(Op::ReduceSum, terms, axis));
        b.output("magnitude", b.reduce(Op::ReduceSum, b.cast(b.binary(Op::Mul, x, x), DType::F64), axis));
        b.output("linear", b.reduce(Op::ReduceSum,
                                    b.cast(b.binary(Op::Max, x, b.binary(Op::Sub, b.constant_f64(dtype, shape, 0), x)),
                                           DType::F64),
                                    axis));
        const Graph graph = finished(b);
        const Values inputs = random_inputs(graph, random);
        const Values got = run_step(opened(selector), graph, inputs),
                     wanted = run_step(opened("interpreter"), graph, inputs);
        const double own = std::ldexp(1.0, dtype == DType::F16    ? -11
                                           : dtype == DType::BF16 ? -8
                                           : dtype == DType::F32  ? -24
                                                                  : -53);
        const double inner = dtype == DType::F64 ? own : std::ldexp(1.0, -24);
        const auto terms_each = static_cast<double>(shape[static_cast<size_t>(axis[0])]);
        for (size_t i = 0; i < wanted.at("sum").size() / static_cast<size_t>(graph::byte_size(dtype)); ++i) {
          const double a = graph::to_double(dtype, element(dtype, got.at("sum"), i));
          const double w = graph::to_double(dtype, element(dtype, wanted.at("sum"), i));
          const double magnitude =
              graph::to_double(DType::F64, element(DType::F64, wanted.at(terms == x ? "linear" : "magnitude"), i));
          INFO("dtype " << graph::name(dtype) << ", element " << i << ": " << a << " instead of " << w);
          CHECK((a == w || std::abs(a - w) <= (terms_each * inner + 3 * own) * magnitude));  // both may overflow
        }
      }
    }
  }
}

TEST_CASE("random numbers are the same on every device, for every step and seed") {
  FOR_EACH_DEVICE(selector) {
    Builder b;
    const int64_t shape[] = {5, 7};
    b.output("f32", b.rand(DType::F32, shape, 0xFFFFFFFF));
    b.output("i32", b.rand(DType::I32, shape, 3));
    b.output("step", b.step());
    const Graph graph = finished(b);
    for (const auto& [step, job_seed] :
         std::vector<std::pair<int64_t, uint64_t>>{{0, 0}, {1, 0}, {0, UINT64_MAX}, {2'000'000'000, seed}})
      CHECK(run_step(opened(selector), graph, {}, step, job_seed) ==
            run_step(opened("interpreter"), graph, {}, step, job_seed));
  }
}

TEST_CASE("the same step gives the same bits every time") {
  FOR_EACH_DEVICE(selector) {
    Random random(seed);
    Builder b;
    const int64_t shape[] = {37, 411}, axes[] = {1};
    b.output("y", b.reduce(Op::ReduceSum, b.unary(Op::Exp, b.input("x", DType::F32, shape)), axes));
    const Graph graph = finished(b);
    const Values inputs = random_inputs(graph, random), first = run_step(opened(selector), graph, inputs);
    for (int i = 0; i < 3; ++i) CHECK(run_step(opened(selector), graph, inputs) == first);
  }
}
