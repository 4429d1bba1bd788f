// The C++ text's arithmetic, run on this machine, against the interpreter: random bits, with NaNs, infinities and
// subnormals among them. PoCL runs the same helpers in tests/device.
#include <catch2/catch.hpp>

#include "engine/device/compiled/compiled_device.h"
#include "tests/codegen/kernel_set.h"
#include "tests/codegen/run_program.h"
#include "tests/device/conformance/harness.h"

namespace quarry::test {

using namespace device::conformance;
using graph::Builder;
using graph::DType;
using graph::Graph;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

namespace {

device::Device& host_device() {
  static device::CompiledDevice device(host_driver(), "");
  return device;
}

uint64_t ulps_of(const std::string& output) {
  if (output == "EXP" || output == "LOG") return 4;
  return output == "POW" ? 16 : 0;
}

void check_against_interpreter(const Graph& graph, const Values& inputs) {
  const Values got = run_step(host_device(), graph, inputs), wanted = run_step(opened("interpreter"), graph, inputs);
  for (const auto& output : graph.outputs()) {
    const DType dtype = graph[output.node].dtype;
    const uint64_t ulps = graph::is_float(dtype) ? ulps_of(output.name) : 0;
    const std::string wrong = difference(dtype, got.at(output.name), wanted.at(output.name), ulps);
    if (!wrong.empty()) FAIL(graph::name(dtype) << " " << output.name << ": " << wrong);
  }
}

}  // namespace

TEST_CASE("arithmetic in C++ is that of the interpreter, EXP and LOG within 4 ulp, POW within 16") {
  Random random(seed_of_this_run());
  INFO("QUARRY_TEST_SEED=" << seed_of_this_run());
  for (int d = 0; d < graph::kDTypes; ++d) {
    const auto dtype = static_cast<DType>(d);
    Builder b;
    const Shape shape{1'009};
    const NodeId x = b.input("x", dtype, shape), y = b.input("y", dtype, shape);
    for (const Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Max, Op::CmpEq, Op::Pow}) {
      if (op != Op::Div || dtype != DType::Bool) b.output(std::string(graph::name(op)), b.binary(op, x, y));
    }
    if (graph::is_float(dtype)) {
      b.output("EXP", b.unary(Op::Exp, x));
      b.output("LOG", b.unary(Op::Log, x));
    }
    Values inputs;
    for (const char* name : {"x", "y"}) inputs[name] = random_values(dtype, shape[0], random, true);
    check_against_interpreter(finished(b), inputs);
  }
}

TEST_CASE("casts in C++ are those of the interpreter") {
  Random random(seed_of_this_run());
  INFO("QUARRY_TEST_SEED=" << seed_of_this_run());
  for (int from = 0; from < graph::kDTypes; ++from) {
    Builder b;
    const NodeId x = b.input("x", static_cast<DType>(from), Shape{499});
    for (int to = 0; to < graph::kDTypes; ++to) b.output("to" + std::to_string(to), b.cast(x, static_cast<DType>(to)));
    check_against_interpreter(finished(b), {{"x", random_values(static_cast<DType>(from), 499, random, true)}});
  }
}

}  // namespace quarry::test
