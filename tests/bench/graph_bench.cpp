// How long graphs of 10,000 and 1,000,000 nodes take from text to normal form, and how much memory: one JSON line per
// figure.
//
// Each size is measured in a process of its own, so that peak memory is that of the parse alone.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "engine/graph/graph.h"

using namespace quarry::graph;

namespace {

/// Nodes as a network has them: half movement, some sums, many repeated constants, one long chain.
Graph network(size_t nodes) {
  Builder b;
  NodeId x = b.input("x", DType::F32, std::vector<int64_t>{64, 32});
  size_t reduces = 0;
  for (int64_t layer = 0; b.size() + 16 < nodes; ++layer) {
    const NodeId one = b.constant_f64(DType::F32, {}, static_cast<double>(layer % 7) + 0.5);
    const NodeId row = b.reshape(one, std::vector<int64_t>{1, 1});
    const NodeId full = b.expand(row, std::vector<int64_t>{64, 32});
    const NodeId sum = b.binary(Op::Add, x, full);
    const NodeId turned = b.permute(sum, std::vector<int64_t>{1, 0});
    const NodeId flat = b.reshape(turned, std::vector<int64_t>{64, 32});
    const NodeId padded = b.pad(flat, std::vector<Pair>{{1, 0}, {0, layer % 5}});
    const NodeId cut = b.shrink(padded, std::vector<Pair>{{0, 64}, {0, 32}});
    const NodeId back = b.stride(cut, std::vector<int64_t>{-1, 1});
    const NodeId product = b.binary(Op::Mul, back, sum);
    if (reduces < 16'000 && layer % 3 == 0) {
      ++reduces;
      const NodeId total = b.reduce(Op::ReduceSum, product, std::vector<int64_t>{1});
      x = b.binary(Op::Max, b.expand(total, std::vector<int64_t>{64, 32}), product);
    } else {
      x = b.unary(Op::Exp, product);
    }
  }
  b.output("y", x);
  return std::move(b.finish()).value();
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void report(size_t nodes, const char* form, const char* name, double value, const char* unit) {
  std::printf("{\"name\": \"graph_%s_%s_%zu_nodes\", \"value\": %.1f, \"unit\": \"%s\"}\n", form, name, nodes, value,
              unit);
}

void measure(size_t nodes, const char* form, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto start = std::chrono::steady_clock::now();
  auto graph = *form == 'j' ? parse_json(text) : parse_cbor(std::as_bytes(std::span(text)));
  const double parse = milliseconds_since(start);
  if (!graph.ok()) {
    std::fprintf(stderr, "%s\n", graph.problem().detail.c_str());
    std::exit(1);
  }
  const auto middle = std::chrono::steady_clock::now();
  const NormalGraph normal = normalise(*graph);
  const double normalising = milliseconds_since(middle);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  report(nodes, form, "text", static_cast<double>(text.size()) / 1e6, "MB");
  report(nodes, form, "parse", parse, "ms");
  report(nodes, form, "normalise", normalising, "ms");
  report(nodes, form, "peak_memory", static_cast<double>(usage.ru_maxrss) / 1e3, "MB");
}

template <class Work>
void in_child(Work work) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    work();
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) std::exit(1);
}

}  // namespace

int main() {
  for (const char* form : {"json", "cbor"}) {
    for (size_t nodes : {size_t{10'000}, size_t{1'000'000}}) {
      const std::string path = "/tmp/quarry_graph_bench_" + std::to_string(getpid());
      in_child([&] {
        const Graph graph = network(nodes);
        std::ofstream file(path, std::ios::binary);
        if (*form == 'j') {
          file << write_json(graph);
        } else {
          const auto bytes = write_cbor(graph);
          file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        }
      });
      in_child([&] { measure(nodes, form, path); });
      unlink(path.c_str());
    }
  }
}
