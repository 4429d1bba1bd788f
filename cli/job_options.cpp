#include "cli/job_options.h"

#include <fstream>
#include <iterator>
#include <type_traits>

#include "cli/api_client.h"

namespace quarry::cli {
namespace {

struct NameAndValue {
  std::string name, value;
};

Result<NameAndValue> split(const std::string& text, const char* flag, const char* form) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return Problem{"usage", std::string(flag) + " " + text + " is not of the form " + form, "",
                   "See `quarry submit --help`."};
  return NameAndValue{text.substr(0, equals), text.substr(equals + 1)};
}

/// Gives `name` its value. A name that has one was given twice, and neither value may win silently.
template <class Value>
Status set_once(std::map<std::string, Value>& values, const std::string& name, std::type_identity_t<Value> value,
                const char* flag) {
  if (values.try_emplace(name, std::move(value)).second) return {};
  return Problem{"usage", std::string(flag) + " gives \"" + name + "\" twice", "", "Give each name once."};
}

/// "file.safetensors[:tensor]" or "job_...:output"; the tensor's name defaults to the input's. Names may hold colons:
/// the first one that stands behind a file or a job parts them.
Result<graph::InputSource> parse_source(const NameAndValue& given, std::map<Digest, std::filesystem::path>& files) {
  std::filesystem::path path = given.value;
  std::string tensor = given.name;
  std::error_code no_file;
  for (size_t colon = given.value.find(':'); colon != std::string::npos && !std::filesystem::exists(path, no_file);
       colon = given.value.find(':', colon + 1)) {
    const std::string head = given.value.substr(0, colon), tail = given.value.substr(colon + 1);
    if (auto job = JobId::parse(head)) return graph::InputSource(graph::JobOutputInput{*job, tail});
    if (!std::filesystem::exists(head, no_file)) continue;
    path = head;
    tensor = tail;
  }
  QUARRY_ASSIGN(const Digest digest, hash_file(path, {}));
  files[digest] = path;
  return graph::InputSource(graph::TensorInput{digest, tensor});
}

}  // namespace

Result<std::shared_ptr<const graph::NormalGraph>> load_graph(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Problem{"cannot_read", "cannot read " + path.string(), "", "Check the path and its permissions."};
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && text[first] == '{';
  auto parsed = json ? graph::parse_json(text) : graph::parse_cbor(std::as_bytes(std::span(text)));
  if (!parsed.ok()) return std::move(parsed).problem();
  return std::make_shared<const graph::NormalGraph>(graph::normalise(parsed.value()));
}

Result<LocalJob> load_job(const JobOptions& options) {
  LocalJob job;
  QUARRY_ASSIGN(job.graph, load_graph(options.graph_path));
  graph::Stage& stage = job.document.stage;
  stage.graph = job.graph->id;
  stage.steps = options.steps;
  stage.first_step = options.first_step;
  job.document.seed = options.seed;
  if (options.checkpoint_every != 0) job.document.checkpoint_every = options.checkpoint_every;
  for (const auto& text : options.inputs) {
    QUARRY_ASSIGN(const NameAndValue given, split(text, "--input", "NAME=FILE[:TENSOR]"));
    QUARRY_ASSIGN(const graph::InputSource source, parse_source(given, job.files));
    QUARRY_TRY(set_once(job.document.inputs, given.name, source, "--input"));
  }
  for (const auto& text : options.carries) {
    QUARRY_ASSIGN(const NameAndValue given, split(text, "--carry", "INPUT=OUTPUT"));
    QUARRY_TRY(set_once(stage.carry, given.name, given.value, "--carry"));
  }
  for (const auto& text : options.feeds) {
    QUARRY_ASSIGN(NameAndValue given, split(text, "--feed", "INPUT=FILE[:TENSOR][,wrap]"));
    const bool wrap = given.value.ends_with(",wrap");
    if (wrap) given.value.resize(given.value.size() - 5);
    QUARRY_ASSIGN(const graph::InputSource source, parse_source(given, job.files));
    QUARRY_TRY(set_once(stage.feed, given.name, {source, wrap}, "--feed"));
  }
  for (const auto& text : options.keeps) {
    QUARRY_ASSIGN(const NameAndValue given, split(text, "--keep", "OUTPUT=last or OUTPUT=each"));
    if (given.value != "last" && given.value != "each")
      return Problem{"usage", "--keep " + text + ": keep \"last\" or \"each\"", "", ""};
    const auto keep = given.value == "each" ? graph::KeepSpec::Each : graph::KeepSpec::Last;
    QUARRY_TRY(set_once(stage.keep, given.name, keep, "--keep"));
  }
  // What the flags made must read back as a job: one definition of what is allowed.
  QUARRY_ASSIGN(job.document, graph::parse_job(graph::write_job(job.document)));
  QUARRY_TRY(graph::check_job(job.document, job.graph->graph));
  return job;
}

}  // namespace quarry::cli
