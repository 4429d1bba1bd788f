#include "tests/worker/support.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace quarry::worker::test {
namespace {

namespace fs = std::filesystem;
using graph::Builder;
using graph::DType;
using graph::NodeId;
using graph::Op;

GraphFile finish(Builder& builder) {
  auto graph = builder.finish();
  REQUIRE(graph.ok());
  const graph::NormalGraph normal = graph::normalise(*graph);
  return {normal.id, graph::write_cbor(normal.graph)};
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (fs::temp_directory_path() / "quarry-worker-XXXXXX").string();
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

GraphFile doubling_graph() {
  return wide_graph(4);
}

GraphFile wide_graph(int64_t n) {
  Builder b;
  const NodeId x = b.input("x", DType::F32, std::vector{n});
  b.output("y", b.binary(Op::Add, x, x));
  return finish(b);
}

GraphFile counting_graph() {
  Builder b;
  const NodeId w = b.input("w", DType::F32, {});
  const NodeId next = b.binary(Op::Add, w, b.constant_f64(DType::F32, {}, 1));
  b.output("w_next", next);
  b.output("seen", b.binary(Op::Mul, next, b.constant_f64(DType::F32, {}, 10)));
  return finish(b);
}

GraphFile graph_of_kernels(int count) {
  REQUIRE(count <= 64);
  Builder b;
  const NodeId x = b.input("x", DType::F32, std::vector<int64_t>{64});
  for (int i = 0; i < count; ++i) {
    NodeId y = x;  // its six operations spell i
    for (int bit = 0; bit < 6; ++bit) y = (i >> bit & 1) != 0 ? b.binary(Op::Mul, y, x) : b.binary(Op::Add, y, x);
    b.output("y" + std::to_string(i), y);
  }
  return finish(b);
}

GraphFile slow_graph() {
  Builder b;
  const NodeId w = b.input("w", DType::F32, {});
  const std::vector<int64_t> shape{50'000}, axes{0};
  const NodeId numbers = b.cast(b.iota(DType::I32, shape, 0), DType::F32);
  const NodeId terms = b.unary(Op::Exp, b.binary(Op::Mul, numbers, b.constant_f64(DType::F32, shape, -1)));
  const NodeId one = b.reshape(b.reduce(Op::ReduceMax, terms, axes), {});
  b.output("w_next", b.binary(Op::Add, w, one));  // the largest of exp(-i) is 1
  return finish(b);
}

std::vector<std::byte> floats(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::vector<float> as_floats(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string document(const graph::Stage& stage, const std::vector<std::string>& inputs) {
  graph::JobDocument job;
  job.stage = stage;
  for (const std::string& name : inputs) job.inputs[name] = graph::TensorInput{sha256(name), name};
  return graph::write_job(job);
}

namespace {

BlobPin put(BlobCache& cache, const BlobKey& key, const std::vector<std::byte>& bytes) {
  auto writer = cache.begin(key, bytes.size());
  REQUIRE(writer.ok());
  REQUIRE((*writer)->append(bytes).ok());
  auto pin = (*writer)->commit();
  REQUIRE(pin.ok());
  return std::move(*pin);
}

}  // namespace

BlobPin put(BlobCache& cache, const std::vector<std::byte>& bytes) {
  return put(cache, BlobKey{sha256(bytes), false}, bytes);
}
BlobPin put(BlobCache& cache, const GraphFile& graph) {
  return put(cache, BlobKey{graph.id, true}, graph.cbor);
}

bool run_until(boost::asio::io_context& io, const std::function<bool()>& done, std::chrono::seconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  io.restart();
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    io.run_one_for(std::chrono::milliseconds(20));
    if (io.stopped()) io.restart();
  }
  return true;
}

std::vector<int> process_tree(int pid) {
  std::vector<int> tree{pid};
  std::istringstream children(read_proc(pid, "task/" + std::to_string(pid) + "/children"));
  for (int child = 0; children >> child;) {
    const auto below = process_tree(child);
    tree.insert(tree.end(), below.begin(), below.end());
  }
  return tree;
}

std::string read_proc(int pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace quarry::worker::test
