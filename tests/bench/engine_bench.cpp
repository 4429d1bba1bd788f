// What the engine's kernels reach on a device (--device, else the first of OpenCL): one JSON line per figure. With
// --kernels, also each kernel of each graph with its time and schedule.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "engine/codegen/codegen.h"
#include "engine/device/device.h"
#include "engine/graph/number.h"
#include "engine/lower/lower.h"

using namespace quarry;
using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;
using Shape = std::vector<int64_t>;

namespace {

bool print_kernels = false;

template <class T>
T require(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "%s\n", result.problem().detail.c_str());
  std::exit(1);
}
void require(Status status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.problem().detail.c_str());
  std::exit(1);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best of several repetitions that fill about half a second: the machine may be shared.
double best_seconds(device::Device& device, const std::function<void()>& enqueue) {
  enqueue();
  require(device.wait());
  double best = 1e9, spent = 0;
  for (int i = 0; i < 5 || (spent < 0.5 && i < 1000); ++i) {
    const auto start = std::chrono::steady_clock::now();
    enqueue();
    require(device.wait());
    const double seconds = seconds_since(start);
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

struct Bound {
  std::shared_ptr<device::Executable> executable;
  device::BufferRange result;
  std::vector<device::BufferRange> reads;
  std::shared_ptr<device::Buffer> scratch;
};

// A graph compiled and bound to buffers of random numbers in (0, 1), or of letters where the input is u8.
class Workload {
 public:
  Workload(device::Device& device, Builder& builder) : device_(device) {
    graph_ = std::make_shared<graph::NormalGraph>(graph::normalise(require(builder.finish())));
    const graph::Graph& nodes = graph_->graph;
    std::mt19937 random(1);
    for (NodeId id : nodes.inputs()) {
      buffers_[id] = require(device.allocate(bytes_of(id)));
      std::vector<std::byte> bytes(bytes_of(id));
      for (size_t i = 0; i < bytes.size(); i += static_cast<size_t>(graph::byte_size(nodes[id].dtype)))
        fill(nodes[id].dtype, bytes.data() + i, random);
      require(device.copy_in(range(id), bytes));
    }
    for (const lower::Kernel& kernel : lower::partition(graph_, {})) {
      buffers_[kernel.result] = require(device.allocate(bytes_of(kernel.result)));
      Bound bound{require(device.compile(kernel, codegen::Target().most_scratch_bytes)), range(kernel.result), {}, {}};
      if (const uint64_t bytes = bound.executable->scratch_bytes(); !scratch_ || bytes > scratch_->bytes())
        scratch_ = require(device.allocate(bytes));
      bound.scratch = scratch_;
      for (NodeId id : kernel.reads) bound.reads.push_back(range(id));
      bound_.push_back(bound);
      if (print_kernels) show(kernel, bound);
    }
  }

  void enqueue() {
    for (Bound& bound : bound_) launch(bound);
  }
  double seconds() {
    return best_seconds(device_, [&] { enqueue(); });
  }

 private:
  uint64_t bytes_of(NodeId id) const {
    return static_cast<uint64_t>(graph_->graph.elements(id) * graph::byte_size(graph_->graph[id].dtype));
  }
  device::BufferRange range(NodeId id) { return {buffers_.at(id).get(), 0, bytes_of(id)}; }
  static void fill(DType dtype, std::byte* at, std::mt19937& random) {
    if (dtype == DType::U8) {
      *at = static_cast<std::byte>(random() % 26);
    } else {
      const uint64_t bits = graph::from_double(dtype, static_cast<double>(random() >> 8) * 0x1p-24);
      std::memcpy(at, &bits, static_cast<size_t>(graph::byte_size(dtype)));
    }
  }
  void launch(Bound& bound) {
    const device::BufferRange scratch{bound.scratch.get(), 0, bound.scratch->bytes()};
    require(device_.launch(*bound.executable, bound.result, bound.reads, scratch, {}));
  }
  void show(const lower::Kernel& kernel, Bound& bound) {
    const double time = best_seconds(device_, [&] { launch(bound); });
    codegen::Target target;
    target.compute_units = device_.properties().compute_units;
    const auto nest = lower::lower_kernel(kernel);
    std::fprintf(stderr, "%s  %.1f us  %s\n\n", to_string(nest).c_str(), time * 1e6,
                 to_string(codegen::choose_schedule(nest, target)).c_str());
  }

  device::Device& device_;
  std::shared_ptr<const graph::NormalGraph> graph_;
  std::map<NodeId, std::shared_ptr<device::Buffer>> buffers_;
  std::vector<Bound> bound_;
  std::shared_ptr<device::Buffer> scratch_;  // of all kernels: they run one after the other
};

void report(const std::string& name, double value, const char* unit) {
  std::printf("{\"name\": \"%s\", \"value\": %.4g, \"unit\": \"%s\"}\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

void copy_and_elementwise(device::Device& device) {
  constexpr int64_t kElements = int64_t{1} << 25;
  const double bytes = 2.0 * kElements * 4;
  auto from = require(device.allocate(kElements * 4)), to = require(device.allocate(kElements * 4));
  const device::BufferRange a{from.get(), 0, kElements * 4}, b{to.get(), 0, kElements * 4};
  report("copy, the device's own", bytes / best_seconds(device, [&] { require(device.copy(b, a)); }) / 1e9, "GB/s");
  {
    Builder builder;
    const NodeId x = builder.input("x", DType::F32, Shape{kElements});
    builder.output("y", builder.binary(Op::Add, x, builder.constant_f64(DType::F32, Shape{kElements}, 1)));
    report("elementwise x + 1 f32", bytes / Workload(device, builder).seconds() / 1e9, "GB/s");
  }
  {
    Builder builder;
    builder.output("y", builder.unary(Op::Exp, builder.input("x", DType::F32, Shape{kElements})));
    report("elementwise exp f32", bytes / Workload(device, builder).seconds() / 1e9, "GB/s");
  }
  Builder builder;
  builder.output("y", builder.permute(builder.input("x", DType::F32, Shape{4096, 4096}), Shape{1, 0}));
  report("transpose 4096x4096 f32", 2.0 * 4096 * 4096 * 4 / Workload(device, builder).seconds() / 1e9, "GB/s");
}

void reductions(device::Device& device) {
  const auto measure = [&](const char* name, const Shape& shape, const Shape& axes, Op op) {
    Builder builder;
    builder.output("y", builder.reduce(op, builder.input("x", DType::F32, shape), axes));
    double bytes = 4;
    for (int64_t extent : shape) bytes *= static_cast<double>(extent);
    report(name, bytes / Workload(device, builder).seconds() / 1e9, "GB/s");
  };
  measure("row sum 8192x4096 f32", {8192, 4096}, {1}, Op::ReduceSum);
  measure("row max 8192x4096 f32", {8192, 4096}, {1}, Op::ReduceMax);
  measure("column sum 8192x4096 f32", {8192, 4096}, {0}, Op::ReduceSum);
  measure("sum of all 2^25 f32", {1 << 25}, {0}, Op::ReduceSum);
}

// [n, n] times [n, n] of `dtype`: 16-bit inputs are summed in f32, and the result is rounded back.
double matmul_gflops(device::Device& device, DType dtype, int64_t n, bool transposed) {
  Builder builder;
  const Shape whole{n, n, n}, plain{n, n};
  const auto input = [&](const char* name) {
    const NodeId id = builder.input(name, dtype, plain);
    return dtype == DType::F32 ? id : builder.cast(id, DType::F32);
  };
  const NodeId a = builder.expand(builder.reshape(input("a"), Shape{n, n, 1}), whole);
  NodeId b = input("b");
  if (transposed) b = builder.permute(b, Shape{1, 0});
  b = builder.expand(builder.reshape(b, Shape{1, n, n}), whole);
  const NodeId sum = builder.reduce(Op::ReduceSum, builder.binary(Op::Mul, a, b), Shape{1});
  builder.output("c", dtype == DType::F32 ? sum : builder.cast(builder.reshape(sum, plain), dtype));
  return 2.0 * static_cast<double>(n * n * n) / Workload(device, builder).seconds() / 1e9;
}

void contractions(device::Device& device) {
  const auto measure = [&](DType dtype, std::initializer_list<int64_t> sizes) {
    for (int64_t n : sizes) {
      for (bool transposed : {false, true}) {
        report("matmul " + std::to_string(n) + " " + std::string(graph::name(dtype)) +
                   (transposed ? ", B transposed" : ""),
               matmul_gflops(device, dtype, n, transposed), "GFLOP/s");
      }
    }
  };
  measure(DType::F32, {256, 512, 768, 1024});
  if (!device.properties().is_gpu) return;
  measure(DType::F32, {4096});
  measure(DType::BF16, {1024, 2048, 4096, 8192});
}

// One step of the main job: softmax regression from a letter to the next.
void main_job(device::Device& device) {
  constexpr int64_t kBatch = 32'768, kLetters = 26;
  Builder b;
  const Shape table{kBatch, kLetters, kLetters}, wide{kBatch, kLetters, 1}, letters{kBatch, 1, kLetters};
  const NodeId weights = b.input("weights", DType::F32, Shape{kLetters, kLetters});
  const NodeId pairs = b.input("pairs", DType::U8, Shape{kBatch, 2});
  const auto one_hot = [&](int64_t column, const Shape& shape, int axis) {
    const graph::Pair ranges[] = {{0, kBatch}, {column, column + 1}};
    const NodeId letter = b.reshape(b.cast(b.shrink(pairs, ranges), DType::I32), Shape{kBatch, 1, 1});
    return b.cast(b.binary(Op::CmpEq, b.iota(DType::I32, shape, axis), b.expand(letter, shape)), DType::F32);
  };
  const NodeId previous = one_hot(0, wide, 1), target = one_hot(1, letters, 2);
  const NodeId weights_wide = b.expand(b.reshape(weights, Shape{1, kLetters, kLetters}), table);
  const NodeId logits = b.reduce(Op::ReduceSum, b.binary(Op::Mul, b.expand(previous, table), weights_wide), Shape{1});
  const NodeId highest = b.reduce(Op::ReduceMax, logits, Shape{2});
  const NodeId exps = b.unary(Op::Exp, b.binary(Op::Sub, logits, b.expand(highest, letters)));
  const NodeId sum = b.reduce(Op::ReduceSum, exps, Shape{2});
  const NodeId hit = b.reduce(Op::ReduceSum, b.binary(Op::Mul, target, logits), Shape{2});
  const NodeId nats = b.binary(Op::Sub, b.binary(Op::Add, b.unary(Op::Log, sum), highest), hit);
  const NodeId loss = b.reduce(Op::ReduceSum, nats, Shape{0});
  const NodeId error = b.binary(Op::Sub, b.binary(Op::Div, exps, b.expand(sum, letters)), target);
  const NodeId product = b.binary(Op::Mul, b.expand(previous, table), b.expand(error, table));
  const NodeId gradient = b.reshape(b.reduce(Op::ReduceSum, product, Shape{0}), Shape{kLetters, kLetters});
  const NodeId rate = b.constant_f64(DType::F32, Shape{kLetters, kLetters}, 1.0 / kBatch);
  b.output("weights_next", b.binary(Op::Sub, weights, b.binary(Op::Mul, gradient, rate)));
  b.output("loss", loss);
  report("main job, one step", Workload(device, b).seconds() * 1e3, "ms");
}

void launches(device::Device& device) {
  Builder builder;
  const NodeId x = builder.input("x", DType::F32, Shape{1});
  builder.output("y", builder.binary(Op::Add, x, x));
  Workload workload(device, builder);
  constexpr int kLaunches = 1000;
  const double seconds = best_seconds(device, [&] {
    for (int i = 0; i < kLaunches; ++i) workload.enqueue();
  });
  report("launch of an empty kernel", seconds / kLaunches * 1e6, "us");
}

}  // namespace

int main(int count, char** arguments) {
  std::string selector = "opencl";
  for (int i = 1; i < count; ++i) {
    print_kernels |= std::strcmp(arguments[i], "--kernels") == 0;
    if (std::strcmp(arguments[i], "--device") == 0 && i + 1 < count) selector = arguments[++i];
  }
  auto device = require(device::open_device(selector, {}));
  copy_and_elementwise(*device);
  reductions(*device);
  contractions(*device);
  main_job(*device);
  launches(*device);
}
