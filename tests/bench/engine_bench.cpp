// What the engine's kernels reach on a device (--device, else the first of OpenCL): one JSON line per figure. --set
// names one set of cases (else all run); a case's result is compared with a plain loop before it is timed. With
// --kernels, also each kernel of each graph with its time and schedule. torch_peer.py reads the names of cases.
#include <algorithm>
#include <chrono>
#include <cmath>
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
    const auto takes = [&](const lower::Kernel& kernel) { return device.takes_rounded_sum(kernel); };
    for (const lower::Kernel& kernel : lower::fuse_casts(lower::partition(graph_, {}), takes)) {
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

  std::vector<std::vector<std::byte>> inputs() {
    std::vector<std::vector<std::byte>> all;
    for (NodeId id : graph_->graph.inputs()) all.push_back(read(id));
    return all;
  }
  /// The first output, after one run. It is poisoned before, so that what no kernel wrote is seen.
  std::vector<std::byte> result() {
    const NodeId id = graph_->graph.outputs()[0].node;
    require(device_.copy_in(range(id), std::vector<std::byte>(bytes_of(id), std::byte{0xff})));
    enqueue();
    return read(id);
  }

  void enqueue() {
    for (Bound& bound : bound_) launch(bound);
  }
  double seconds() {
    return best_seconds(device_, [&] { enqueue(); });
  }

 private:
  std::vector<std::byte> read(NodeId id) {
    std::vector<std::byte> bytes(bytes_of(id));
    require(device_.copy_out(bytes, range(id)));
    return bytes;
  }
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

double number_at(DType dtype, const std::vector<std::byte>& bytes, int64_t i) {
  const auto size = static_cast<size_t>(graph::byte_size(dtype));
  uint64_t bits = 0;
  std::memcpy(&bits, bytes.data() + static_cast<size_t>(i) * size, size);
  return graph::to_double(dtype, bits);
}

// One element of a case's result, by a plain loop over the inputs.
using Reference = std::function<double(const std::vector<std::vector<std::byte>>& inputs, int64_t element)>;

// Random elements of the result must be the reference's, as nearly as the dtype and thousands of additions allow.
void require_right(const std::string& name, DType dtype, Workload& workload, const Reference& reference) {
  const std::vector<std::byte> result = workload.result();
  const std::vector<std::vector<std::byte>> inputs = workload.inputs();
  const auto elements = static_cast<int64_t>(result.size()) / graph::byte_size(dtype);
  const double within = dtype == DType::BF16 ? 0x1p-7 : dtype == DType::F16 ? 0x1p-10 : 0x1p-16;
  std::mt19937_64 random(2);
  for (int i = 0; i < 64; ++i) {
    const int64_t element = static_cast<int64_t>(random() % static_cast<uint64_t>(elements));
    const double got = number_at(dtype, result, element), wanted = reference(inputs, element);
    if (std::abs(got - wanted) <= within * std::abs(wanted)) continue;
    std::fprintf(stderr, "%s: element %ld is %g instead of %g\n", name.c_str(), static_cast<long>(element), got,
                 wanted);
    std::exit(1);
  }
}

// `amount` is bytes or operations; reported in thousand millions a second.
void measure(device::Device& device, const std::string& name, DType dtype, Builder& builder, double amount,
             const char* unit, const Reference& reference) {
  Workload workload(device, builder);
  require_right(name, dtype, workload, reference);
  report(name, amount / workload.seconds() / 1e9, unit);
}

std::string named(const std::string& work, const Shape& shape, DType dtype) {
  std::string text = work + " ";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : "x") + std::to_string(shape[i]);
  return text + " " + std::string(graph::name(dtype));
}

double bytes_of_shape(const Shape& shape, DType dtype) {
  double bytes = static_cast<double>(graph::byte_size(dtype));
  for (int64_t extent : shape) bytes *= static_cast<double>(extent);
  return bytes;
}

// Processors are measured on fewer rows: their memory is slower.
Shape large(device::Device& device) {
  return {device.properties().is_gpu ? 32'768 : 8'192, 4'096};
}

void elementwise(device::Device& device) {
  const Shape shape = large(device);
  const auto bytes = static_cast<uint64_t>(bytes_of_shape(shape, DType::F32));
  {
    auto from = require(device.allocate(bytes)), to = require(device.allocate(bytes));
    const device::BufferRange a{from.get(), 0, bytes}, b{to.get(), 0, bytes};
    const double seconds = best_seconds(device, [&] { require(device.copy(b, a)); });
    report(named("copy", shape, DType::F32), 2.0 * static_cast<double>(bytes) / seconds / 1e9, "GB/s");
  }
  for (const DType dtype : {DType::F32, DType::BF16}) {
    const auto element = [dtype](const auto& inputs, int64_t i) { return number_at(dtype, inputs[0], i); };
    Builder plus, exp;
    plus.output("y", plus.binary(Op::Add, plus.input("x", dtype, shape), plus.constant_f64(dtype, shape, 1)));
    measure(device, named("x + 1", shape, dtype), dtype, plus, 2 * bytes_of_shape(shape, dtype), "GB/s",
            [=](const auto& inputs, int64_t i) { return element(inputs, i) + 1; });
    exp.output("y", exp.unary(Op::Exp, exp.input("x", dtype, shape)));
    measure(device, named("EXP", shape, dtype), dtype, exp, 2 * bytes_of_shape(shape, dtype), "GB/s",
            [=](const auto& inputs, int64_t i) { return std::exp(element(inputs, i)); });
  }
}

void reductions(device::Device& device) {
  const Shape shape = large(device);
  const auto reduce = [&](const std::string& work, DType dtype, const Shape& axes, Op op) {
    Builder builder;
    builder.output("y", builder.reduce(op, builder.input("x", dtype, shape), axes));
    const int64_t rows = shape[0], columns = shape[1];
    measure(device, named(work, shape, dtype), dtype, builder, bytes_of_shape(shape, dtype), "GB/s",
            [=](const auto& inputs, int64_t i) {
              double total = 0;
              const bool along_rows = axes == Shape{1};
              const int64_t terms = axes.size() == 2 ? rows * columns : along_rows ? columns : rows;
              for (int64_t k = 0; k < terms; ++k) {
                const int64_t at = axes.size() == 2 ? k : along_rows ? i * columns + k : k * columns + i;
                const double x = number_at(dtype, inputs[0], at);
                total = op == Op::ReduceSum ? total + x : std::max(total, x);
              }
              return total;
            });
  };
  for (const DType dtype : {DType::F32, DType::BF16}) {
    reduce("row sum", dtype, {1}, Op::ReduceSum);
    reduce("row max", dtype, {1}, Op::ReduceMax);
    reduce("column sum", dtype, {0}, Op::ReduceSum);
  }
}

void movement(device::Device& device) {
  for (const DType dtype : {DType::F32, DType::BF16}) {
    Builder builder;
    const Shape shape{4'096, 4'096};
    builder.output("y", builder.permute(builder.input("x", dtype, shape), Shape{1, 0}));
    measure(device, named("transpose", shape, dtype), dtype, builder, 2 * bytes_of_shape(shape, dtype), "GB/s",
            [=](const auto& inputs, int64_t i) {
              return number_at(dtype, inputs[0], i % shape[0] * shape[1] + i / shape[0]);
            });
  }
}

// [n, n] times [n, n] of `dtype`: 16-bit inputs are summed in f32, and the result is rounded back.
void matmul(device::Device& device, DType dtype, int64_t n, bool transposed) {
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
  measure(device, named(transposed ? "matmul NT" : "matmul NN", plain, dtype), dtype, builder,
          2.0 * static_cast<double>(n * n * n), "GFLOP/s", [=](const auto& inputs, int64_t i) {
            double total = 0;
            for (int64_t k = 0; k < n; ++k) {
              const int64_t right = transposed ? i % n * n + k : k * n + i % n;
              total += number_at(dtype, inputs[0], i / n * n + k) * number_at(dtype, inputs[1], right);
            }
            return total;
          });
}

void contractions(device::Device& device) {
  const auto sizes = [&](DType dtype, std::initializer_list<int64_t> extents) {
    for (int64_t n : extents) {
      for (bool transposed : {false, true}) matmul(device, dtype, n, transposed);
    }
  };
  sizes(DType::F32, {256, 512, 768, 1024});
  if (!device.properties().is_gpu) return;
  sizes(DType::F32, {4096});
  sizes(DType::BF16, {1024, 2048, 4096, 8192});
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
  const std::map<std::string, void (*)(device::Device&)> sets{
      {"elementwise", elementwise}, {"reductions", reductions}, {"movement", movement},
      {"matmul", contractions},     {"job", main_job},          {"launches", launches}};
  std::string selector = "opencl", only;
  for (int i = 1; i < count; ++i) {
    print_kernels |= std::strcmp(arguments[i], "--kernels") == 0;
    if (std::strcmp(arguments[i], "--device") == 0 && i + 1 < count) selector = arguments[++i];
    if (std::strcmp(arguments[i], "--set") == 0 && i + 1 < count) only = arguments[++i];
  }
  if (!only.empty() && !sets.contains(only)) {
    std::fprintf(stderr, "no set %s: elementwise, reductions, movement, matmul, job, launches\n", only.c_str());
    return 2;
  }
  auto device = require(device::open_device(selector, {}));
  for (const auto& [name, run] : sets) {
    if (only.empty() || name == only) run(*device);
  }
}
