// How long the meter takes to count a graph, and to pack the memory of a step with a million stored values: one JSON
// line per figure.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "engine/meter/meter.h"
#include "engine/meter/packing.h"

using namespace quarry;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Sums of a value and its transpose, shifted rows, and in a small graph a row sum in each layer.
graph::NormalGraph network(size_t nodes) {
  using graph::NodeId, graph::Op;
  const std::vector<int64_t> square{64, 64};
  graph::Builder b;
  const NodeId z = b.input("z", graph::DType::F32, square);
  NodeId y = b.input("x", graph::DType::F32, square);
  while (b.size() + 20 < nodes) {
    const NodeId turned = b.permute(b.binary(Op::Add, y, z), std::vector<int64_t>{1, 0});
    y = b.binary(Op::Add, b.binary(Op::Mul, y, z), turned);
    const NodeId cut = b.shrink(y, std::vector<graph::Pair>{{1, 64}, {0, 64}});
    y = b.binary(Op::Max, y, b.pad(cut, std::vector<graph::Pair>{{0, 1}, {0, 0}}));
    if (nodes > 16'000) continue;
    y = b.binary(Op::Mul, b.expand(b.reduce(Op::ReduceSum, y, std::vector<int64_t>{1}), square), z);
  }
  b.output("y", y);
  return graph::normalise(b.finish().value());
}

void measure_counting(size_t nodes) {
  const graph::NormalGraph graph = network(nodes);
  const auto start = std::chrono::steady_clock::now();
  const bool counted = meter::count(graph, {}).ok();
  const double milliseconds = 1e3 * seconds_since(start);
  if (!counted) std::exit(1);
  std::printf("{\"name\": \"meter_count_%zu_nodes\", \"value\": %.1f, \"unit\": \"ms\"}\n", nodes, milliseconds);
}

void measure_packing(const char* lives, size_t most_launches) {
  constexpr size_t kValues = 1'000'000;
  std::mt19937_64 random(7);
  std::vector<meter::Lifetime> values;
  for (size_t i = 0; i < kValues; ++i)
    values.push_back({256 * (1 + random() % 4096), i, std::min(kValues, i + random() % most_launches)});
  const auto start = std::chrono::steady_clock::now();
  const meter::Packing packing = meter::pack(values);
  const double seconds = seconds_since(start);
  if (packing.bytes == 0) std::exit(1);
  std::printf("{\"name\": \"meter_pack_%zu_%s_values\", \"value\": %.2f, \"unit\": \"s\"}\n", kValues, lives, seconds);
}

}  // namespace

int main() {
  measure_counting(10'000);
  measure_counting(900'000);
  measure_packing("short_lived", 4);
  measure_packing("long_lived", 1'000'000);
}
