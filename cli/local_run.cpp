#include "cli/commands.h"
#include "cli/output_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/device/device.h"
#include "engine/io/safetensors.h"
#include "engine/run/byte_source.h"
#include "engine/run/program.h"

namespace quarry::cli {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// An open safetensors file and its tensors.
struct TensorFile {
  int descriptor = -1;
  std::map<std::string, io::TensorEntry> tensors;

  TensorFile() = default;
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;
  ~TensorFile() {
    if (descriptor >= 0) close(descriptor);
  }
};

Result<std::shared_ptr<TensorFile>> open_tensors(const fs::path& path) {
  auto file = std::make_shared<TensorFile>();
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  file->descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (error || file->descriptor < 0)
    return Problem{"cannot_read", "cannot read " + path.string(), "", "Check the path and its permissions."};
  std::vector<std::byte> head(std::min<uint64_t>(size, 8));
  if (pread(file->descriptor, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()))
    return Problem{"cannot_read", "cannot read " + path.string(), "", ""};
  QUARRY_ASSIGN(const uint64_t header, io::header_bytes(head, size));
  head.resize(8 + header);
  if (pread(file->descriptor, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()))
    return Problem{"cannot_read", "cannot read " + path.string(), "", ""};
  QUARRY_ASSIGN(file->tensors, io::parse_header(head, size));
  return file;
}

/// One tensor of a local file: what the engine reads, and what its header says.
struct LocalTensor {
  io::TensorEntry entry;
  std::shared_ptr<run::ByteSource> source;
};

Result<LocalTensor> find_tensor(const LocalJob& job, const std::string& input, const graph::InputSource& source) {
  const auto* wanted = std::get_if<graph::TensorInput>(&source);
  if (!wanted)
    return Problem{"usage", "the input \"" + input + "\" names a job's output, which only the service has", "",
                   "Fetch it with `quarry get`."};
  QUARRY_ASSIGN(const auto file, open_tensors(job.files.at(wanted->file)));
  const auto entry = file->tensors.find(wanted->tensor);
  if (entry == file->tensors.end())
    return Problem{"tensor_not_found",
                   job.files.at(wanted->file).string() + " has no tensor \"" + wanted->tensor + "\"", "",
                   "Name one with --input " + input + "=FILE:TENSOR."};
  return LocalTensor{entry->second,
                     run::file_source(file->descriptor, entry->second.offset, entry->second.bytes, file)};
}

std::string choose_device(const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  for (const auto& device : device::list_devices())
    if (device.properties.backend != "interpreter") return device.selector;
  return "interpreter";
}

fs::path cache_directory() {
  const char* base = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  return (base && *base ? fs::path(base) : fs::path(home ? home : "/tmp") / ".cache") / "quarry" / "kernels";
}

Result<fs::path> write_output(const fs::path& directory, const std::string& name, graph::DType dtype,
                              std::vector<int64_t> shape, const std::vector<std::byte>& bytes) {
  QUARRY_ASSIGN(const fs::path path, output_file(directory, name));
  const io::NamedTensor tensor{name, dtype, std::move(shape), bytes.size()};
  const auto header = io::write_header(std::span(&tensor, 1));
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(header.data()), static_cast<std::streamsize>(header.size()));
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) return Problem{"cannot_write", "cannot write " + path.string(), "", "Check the directory and the disk."};
  return path;
}

Result<json> write_outputs(const RunOptions& options, const run::Program& program, run::Run& run) {
  const graph::Graph& graph = program.graph->graph;
  json written = json::array();
  for (const auto& keep : program.keep) {
    const auto node = graph.find_output(keep.output);
    std::vector<int64_t> shape(graph.shape(node).begin(), graph.shape(node).end());
    if (keep.mode == run::KeepMode::Each) shape.insert(shape.begin(), program.steps);
    QUARRY_ASSIGN(const auto bytes, run.kept(keep.output));
    QUARRY_ASSIGN(const fs::path path, write_output(options.directory, keep.output, graph[node].dtype, shape, bytes));
    written.push_back({{"name", keep.output}, {"file", path.string()}});
  }
  return written;
}

}  // namespace

Status run_locally(Context& context, const RunOptions& options) {
  QUARRY_ASSIGN(const LocalJob job, load_job(options.job));
  std::map<std::string, LocalTensor> tensors;
  run::FeedCounts feeds;
  const graph::Graph& graph = job.graph->graph;
  for (const auto& [name, source] : job.document.inputs) {
    QUARRY_ASSIGN(tensors[name], find_tensor(job, name, source));
    QUARRY_TRY(run::check_input(graph, name, tensors[name].entry.dtype, tensors[name].entry.shape));
  }
  for (const auto& [name, feed] : job.document.stage.feed) {
    QUARRY_ASSIGN(tensors[name], find_tensor(job, name, feed.source));
    QUARRY_ASSIGN(feeds[name], run::feed_count(graph, name, tensors[name].entry.dtype, tensors[name].entry.shape));
  }
  QUARRY_ASSIGN(const run::Program program, run::make_program(job.document, job.graph, feeds));
  std::vector<std::string> outputs;
  for (const auto& keep : program.keep) outputs.push_back(keep.output);
  QUARRY_TRY(prepare_outputs(options.directory, outputs, options.force));  // before anything is computed

  const std::string selector = choose_device(options.device);
  QUARRY_ASSIGN(const auto device, device::open_device(selector, {.cache_directory = cache_directory().string()}));
  QUARRY_ASSIGN(const auto run, run::prepare(*device, program, device->properties().memory_bytes));
  for (const auto& [name, tensor] : tensors) QUARRY_TRY(run->set_input(name, tensor.source));
  ProgressBar bar(context.terminal, "running on " + selector);
  QUARRY_TRY(run->advance(program.first_step, program.steps, [&](const run::StepReport& report) {
    bar.show(static_cast<uint64_t>(report.steps_done), static_cast<uint64_t>(report.steps_total), "", "");
    return true;
  }));
  bar.finish();
  QUARRY_ASSIGN(const json written, write_outputs(options, program, *run));
  const run::Timings timings = run->timings();
  const auto seconds = [](std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); };
  if (context.json) {
    context.print_json({{"device", device->properties().name},
                        {"outputs", written},
                        {"kernels", timings.kernels},
                        {"compile_seconds", seconds(timings.compile)},
                        {"step_seconds", seconds(timings.steps)},
                        {"arena_bytes", timings.arena_bytes}});
    return {};
  }
  for (const auto& output : written) std::cout << output["file"].get<std::string>() << "\n";
  std::cerr << context.terminal.dim_talk(std::to_string(program.steps) + " steps of " +
                                         std::to_string(timings.kernels) + " kernels on " + device->properties().name +
                                         ": " + human_seconds(seconds(timings.steps)) + ", compiling " +
                                         human_seconds(seconds(timings.compile)))
            << "\n";
  return {};
}

}  // namespace quarry::cli
