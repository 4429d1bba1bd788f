// The texts of a dozen kernels in each language, without the prelude, so that a change of a schedule or of a helper is
// seen. After a change that is meant:
//   QUARRY_WRITE_GOLDEN=1 build/release/bin/codegen_test "golden*"
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "engine/codegen/dialects/dialect.h"
#include "tests/codegen/kernel_set.h"

namespace quarry::test {

using codegen::Dialect;
using codegen::Target;
using graph::DType;
using graph::Op;

namespace {

std::vector<NamedNest> goldens() {
  std::vector<NamedNest> set;
  const auto add = [&](const std::string& name, const graph::Graph& graph) {
    for (const lower::LoopNest& nest : nests_of(graph)) set.push_back({name, nest});
  };
  add("x + y, f32", one_op(Op::Add, DType::F32, 1 << 20));
  add("x + y, bf16", one_op(Op::Add, DType::BF16, 1 << 20));
  add("exp(x), f32", one_op(Op::Exp, DType::F32, 1 << 20));
  add("x / y, i32, of a length that no word divides", one_op(Op::Div, DType::I32, 1'003));
  add("f64 to f16", one_cast(DType::F16, DType::F64, 1 << 16));
  add("sums of exp along rows, bf16", reduction(Op::ReduceSum, DType::BF16, {32'768, 4'096}, 1, true));
  add("maxima of long rows, f32", reduction(Op::ReduceMax, DType::F32, {16, 1 << 18}, 1, false));
  add("sums down columns, bf16", reduction(Op::ReduceSum, DType::BF16, {32'768, 4'096}, 0, false));
  add("the sum of everything, f32", reduction(Op::ReduceSum, DType::F32, {1 << 22}, 0, false));
  add("transposition, f32", transpose(DType::F32, 4'096, 4'096));
  add("transposition, bf16", transpose(DType::BF16, 4'096, 4'096));
  add("matmul, f32", contraction(DType::F32, 1'024, 1'024, 1'024, false, false));
  add("matmul with the right operand transposed, f32", contraction(DType::F32, 1'024, 1'024, 1'024, false, true));
  return set;
}

void check_golden(const std::string& file, const Target& target) {
  std::string text;
  for (const NamedNest& named : goldens()) {
    const std::string source = codegen::generate(named.nest, target).source;
    text += "// " + named.name + "\n" + source.substr(codegen::text_of(target.dialect).prelude.size()) + "\n";
  }
  const std::string path = std::string(GOLDEN) + "/" + file;
  if (std::getenv("QUARRY_WRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream in(path);
  const std::string golden{std::istreambuf_iterator<char>(in), {}};
  if (text == golden) return;
  const size_t at =
      static_cast<size_t>(std::mismatch(text.begin(), text.end(), golden.begin(), golden.end()).first - text.begin());
  FAIL(path << " differs from byte " << at << " on: " << text.substr(at, 200));
}

}  // namespace

TEST_CASE("golden texts in OpenCL C for a processor") {
  check_golden("processor.cl", {.compute_units = 2});
}
TEST_CASE("golden texts in CUDA C++") {
  check_golden("cuda.cu", {.dialect = Dialect::Cuda, .is_gpu = true, .compute_units = 132, .shared_bytes = 48 << 10});
}
TEST_CASE("golden texts in HIP C++") {
  check_golden("hip.hip", {.dialect = Dialect::Hip, .is_gpu = true, .compute_units = 96, .shared_bytes = 64 << 10});
}

}  // namespace quarry::test
