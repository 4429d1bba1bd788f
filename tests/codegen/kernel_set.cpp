#include "tests/codegen/kernel_set.h"

#include <bit>
#include <cstring>
#include <stdexcept>

#include "engine/graph/number.h"
#include "engine/lower/lower.h"
#include "tests/graph/random_graph.h"

namespace quarry::test {

using graph::Builder;
using graph::DType;
using graph::Graph;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

graph::Graph finished(Builder& builder) {
  auto graph = builder.finish();
  if (!graph) throw std::runtime_error(graph.problem().detail);
  return std::move(graph).value();
}

std::vector<lower::LoopNest> nests_of(const Graph& graph) {
  const auto normal = std::make_shared<const graph::NormalGraph>(graph::normalise(graph));
  std::vector<lower::LoopNest> nests;
  for (const lower::Kernel& kernel : lower::partition(normal, {})) {
    nests.push_back(lower::lower_kernel(kernel));
    if (nests.back().value == lower::kNoExpr) nests.pop_back();
  }
  return nests;
}

Graph one_op(Op op, DType dtype, int64_t elements) {
  Builder b;
  const Shape shape{elements};
  const NodeId x = b.input("x", dtype, shape);
  b.output("out", graph::is_binary(op) ? b.binary(op, x, b.input("y", dtype, shape)) : b.unary(op, x));
  return finished(b);
}

Graph one_cast(DType to, DType from, int64_t elements) {
  Builder b;
  b.output("out", b.cast(b.input("x", from, Shape{elements}), to));
  return finished(b);
}

Graph contraction(DType dtype, int64_t m, int64_t n, int64_t k, bool left_transposed, bool right_transposed) {
  Builder b;
  const Shape whole{m, k, n};
  NodeId left = b.input("left", dtype, left_transposed ? Shape{k, m} : Shape{m, k});
  NodeId right = b.input("right", dtype, right_transposed ? Shape{n, k} : Shape{k, n});
  if (left_transposed) left = b.permute(left, Shape{1, 0});
  if (right_transposed) right = b.permute(right, Shape{1, 0});
  left = b.expand(b.reshape(left, Shape{m, k, 1}), whole);
  right = b.expand(b.reshape(right, Shape{1, k, n}), whole);
  b.output("out", b.reduce(Op::ReduceSum, b.binary(Op::Mul, left, right), Shape{1}));
  return finished(b);
}

Graph reduction(Op op, DType dtype, Shape shape, int64_t axis, bool exp_first) {
  Builder b;
  NodeId x = b.input("x", dtype, shape);
  if (exp_first) x = b.unary(Op::Exp, x);
  b.output("out", b.reduce(op, x, Shape{axis}));
  return finished(b);
}

Graph transpose(DType dtype, int64_t rows, int64_t columns) {
  Builder b;
  b.output("out", b.permute(b.input("x", dtype, Shape{rows, columns}), Shape{1, 0}));
  return finished(b);
}

std::vector<std::byte> whole_numbers(DType dtype, int64_t elements) {
  const auto bytes = static_cast<size_t>(graph::byte_size(dtype));
  std::vector<std::byte> numbers(static_cast<size_t>(elements) * bytes);
  for (size_t i = 0; i < static_cast<size_t>(elements); ++i) {
    const uint64_t bits =
        graph::cast_bits(DType::F64, dtype, std::bit_cast<uint64_t>(static_cast<double>(i * 7 % 5) - 2));
    std::memcpy(numbers.data() + i * bytes, &bits, bytes);
  }
  return numbers;
}

std::vector<std::vector<std::byte>> reads_of(const Graph& graph,
                                             const std::map<std::string, std::vector<std::byte>>& inputs) {
  const auto normal = std::make_shared<const graph::NormalGraph>(graph::normalise(graph));
  std::vector<std::vector<std::byte>> reads;
  const auto kernels = lower::partition(normal, {});
  for (const NodeId id : kernels.at(0).reads) reads.push_back(inputs.at(std::string(normal->graph.input_name(id))));
  return reads;
}

namespace {

class Collector {
 public:
  void add(const std::string& name, const Graph& graph) {
    int number = 0;
    for (lower::LoopNest& nest : nests_of(graph)) set_.push_back({name + "." + std::to_string(number++), nest});
  }
  std::vector<NamedNest> take() { return std::move(set_); }

 private:
  std::vector<NamedNest> set_;
};

void add_operations(Collector& set) {
  for (int d = 0; d < graph::kDTypes; ++d) {
    const auto dtype = static_cast<DType>(d);
    const std::string name(graph::name(dtype));
    for (const Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Max, Op::CmpEq, Op::Pow}) {
      if (op == Op::Div && dtype == DType::Bool) continue;
      set.add(std::string(graph::name(op)) + "_" + name, one_op(op, dtype, 997));
    }
    if (graph::is_float(dtype)) {
      set.add("EXP_" + name, one_op(Op::Exp, dtype, 997));
      set.add("LOG_" + name, one_op(Op::Log, dtype, 997));
    }
    for (int to = 0; to < graph::kDTypes; ++to)
      set.add("CAST_" + name + "_to" + std::to_string(to), one_cast(static_cast<DType>(to), dtype, 499));
  }
}

void add_reductions(Collector& set) {
  for (const DType dtype : {DType::Bool, DType::I8, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64}) {
    const std::string name(graph::name(dtype));
    for (const Op op : {Op::ReduceSum, Op::ReduceMax}) {
      const std::string reduce = std::string(graph::name(op)) + "_" + name;
      set.add(reduce + "_rows", reduction(op, dtype, {70, 4'096}, 1, false));
      set.add(reduce + "_odd_rows", reduction(op, dtype, {90, 1'021}, 1, false));
      set.add(reduce + "_columns", reduction(op, dtype, {4'096, 512}, 0, false));
      set.add(reduce + "_all", reduction(op, dtype, {1'000'003}, 0, false));
      set.add(reduce + "_middle", reduction(op, dtype, {7, 300, 5}, 1, false));
    }
  }
  const int64_t half = int64_t{1} << 16;  // indices of 64 bits
  set.add("wide_elements", one_op(Op::Add, DType::BF16, half * half));
  set.add("wide_rows", reduction(Op::ReduceSum, DType::F32, {half, half}, 1, false));
  set.add("wide_columns", reduction(Op::ReduceMax, DType::BF16, {half, half}, 0, false));
  set.add("wide_transpose", transpose(DType::F32, half, half));
  set.add("sum_of_one", reduction(Op::ReduceSum, DType::F32, {1, 20'000}, 0, false));  // no axis is left to reduce
  for (const DType dtype : {DType::BF16, DType::F32, DType::F64, DType::I32}) {
    for (const int transposed : {0, 1, 2, 3}) {
      const std::string name = "contraction_" + std::string(graph::name(dtype)) + "_" + std::to_string(transposed);
      set.add(name, contraction(dtype, 256, 192, 128, transposed & 1, transposed & 2));
      set.add(name + "_odd", contraction(dtype, 130, 131, 65, transposed & 1, transposed & 2));
    }
    set.add("large_contraction_" + std::string(graph::name(dtype)), contraction(dtype, 4'096, 4'096, 512, false, true));
    set.add("transpose_" + std::string(graph::name(dtype)), transpose(dtype, 512, 768));
  }
}

}  // namespace

std::vector<NamedNest> kernel_set() {
  Collector set;
  add_operations(set);
  add_reductions(set);
  for (uint64_t seed = 1; seed <= 15; ++seed)
    set.add("random" + std::to_string(seed), graph::testing::random_graph(seed, 10 + seed * 3));
  Builder random;
  const Shape shape{5, 7};
  random.output("f32", random.rand(DType::F32, shape, 0xFFFFFFFF));
  random.output("i32", random.rand(DType::I32, shape, 3));
  random.output("step", random.step());
  set.add("random_numbers", finished(random));
  return set.take();
}

}  // namespace quarry::test
