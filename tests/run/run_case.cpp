// Runs one step of every case below a directory on a device, for the NumPy reference test. A case is a directory with
// graph.json,
// `<input>.in` of raw bytes for each input, and "scalars": the seed and the step. It gets `<output>.out` for each
// output, or "problem".
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "engine/run/byte_source.h"
#include "engine/run/run.h"

using namespace quarry;
namespace fs = std::filesystem;

namespace {

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, std::span<const char> bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

Status run_case(device::Device& device, const fs::path& directory) {
  QUARRY_ASSIGN(const graph::Graph graph, graph::parse_json(read_file(directory / "graph.json")));
  run::Program program;
  program.graph = std::make_shared<const graph::NormalGraph>(graph::normalise(graph));
  std::ifstream(directory / "scalars") >> program.seed >> program.first_step;
  for (const auto& output : graph.outputs()) program.keep.push_back({output.name, run::KeepMode::Last});
  const int64_t step = program.first_step;
  const graph::Graph& normal = program.graph->graph;
  QUARRY_ASSIGN(const auto run, run::prepare(device, program, uint64_t{1} << 32));
  for (const graph::NodeId input : normal.inputs()) {
    const std::string name(normal.input_name(input));
    const std::string text = read_file(directory / (name + ".in"));
    const auto bytes = std::as_bytes(std::span(text));
    QUARRY_TRY(run->set_input(name, run::memory_source({bytes.begin(), bytes.end()})));
  }
  QUARRY_TRY(run->advance(step, 1, {}));
  for (const auto& output : graph.outputs()) {
    QUARRY_ASSIGN(const auto bytes, run->kept(output.name));
    write_file(directory / (output.name + ".out"), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: run_case DEVICE DIRECTORY\n";
    return 2;
  }
  const auto device = device::open_device(argv[1], {});
  if (!device) {
    std::cerr << device.problem().detail << '\n';
    return 3;
  }
  for (const auto& entry : fs::directory_iterator(argv[2])) {
    const Status status = run_case(**device, entry.path());
    if (!status.ok()) write_file(entry.path() / "problem", status.problem().code + ": " + status.problem().detail);
  }
  return 0;
}
