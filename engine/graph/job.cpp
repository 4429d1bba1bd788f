// The job document: JSON in and out. Whether it fits a graph is job_check.cpp's question.
#include "engine/graph/job.h"

#include <array>
#include <nlohmann/json.hpp>

#include "common/text.h"
#include "engine/graph/limits.h"
#include "engine/graph/strict_json.h"

namespace quarry::graph {

namespace {

using nlohmann::json;

Problem wrong_type(std::string_view pointer, const std::string& expected) {
  return {"wrong_type", expected, std::string(pointer), ""};
}

/// One object of the document: knows where it stands and which fields it may have.
class Object {
 public:
  /// Refuses what is no object, and unknown fields.
  static Result<Object> open(const json& value, std::string pointer, std::span<const std::string_view> known) {
    if (!value.is_object()) return wrong_type(pointer, "an object is needed here");
    for (const auto& [key, member] : value.items()) {
      if (std::ranges::find(known, key) != known.end()) continue;
      return Problem{"unknown_field", "there is no field " + quote(key) + " here; " + suggestion(key, known),
                     json_pointer(pointer, key), ""};
    }
    return Object(value, std::move(pointer));
  }

  const json* find(const char* key) const {
    const auto found = value_->find(key);
    return found == value_->end() ? nullptr : &*found;
  }
  std::string at(std::string_view key) const { return json_pointer(pointer_, key); }

  Result<std::string> text(const char* key) const {
    const json* value = find(key);
    if (!value) return Problem{"missing_field", "`" + std::string(key) + "` is needed here", pointer_, ""};
    if (!value->is_string()) return wrong_type(at(key), "`" + std::string(key) + "` is a string");
    return value->get<std::string>();
  }
  /// An integer within [least, greatest], or `otherwise` where the field is absent.
  Result<int64_t> integer(const char* key, int64_t least, int64_t greatest, int64_t otherwise) const {
    const json* value = find(key);
    if (!value) return otherwise;
    if (!value->is_number_integer()) return wrong_type(at(key), "`" + std::string(key) + "` is an integer");
    const bool is_huge = value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(greatest);
    if (is_huge || value->get<int64_t>() < least || value->get<int64_t>() > greatest) {
      return Problem{"out_of_range",
                     "`" + std::string(key) + "` is " + value->dump() + ", not within " + std::to_string(least) +
                         " to " + std::to_string(greatest),
                     at(key), ""};
    }
    return value->get<int64_t>();
  }

 private:
  Object(const json& value, std::string pointer) : value_(&value), pointer_(std::move(pointer)) {}
  const json* value_;
  std::string pointer_;
};

Result<std::string> tensor_or_output_name(const Object& object, const char* key) {
  QUARRY_ASSIGN(std::string name, object.text(key));
  if (!name.empty() && name.size() <= kMaxNameBytes && is_plain_text(name)) return name;
  return Problem{"invalid_name",
                 "a name is 1 to " + std::to_string(kMaxNameBytes) + " bytes of UTF-8 without control characters",
                 object.at(key), ""};
}

Result<InputSource> parse_source(const Object& object) {
  if (object.find("file") || !object.find("job")) {
    for (const char* other : {"job", "output"})
      if (object.find(other))
        return Problem{"conflict", "an input is {file, tensor} or {job, output}, not both", object.at(other), ""};
    QUARRY_ASSIGN(const std::string file, object.text("file"));
    const auto digest = parse_digest(file);
    if (!digest)
      return Problem{"invalid_digest", "`file` is the SHA-256 of a file: 64 lower-case hex digits", object.at("file"),
                     ""};
    QUARRY_ASSIGN(std::string tensor, tensor_or_output_name(object, "tensor"));
    return InputSource(TensorInput{*digest, std::move(tensor)});
  }
  if (object.find("tensor"))
    return Problem{"conflict", "an input is {file, tensor} or {job, output}, not both", object.at("tensor"), ""};
  QUARRY_ASSIGN(const std::string text, object.text("job"));
  const auto job = JobId::parse(text);
  if (!job) return Problem{"invalid_id", "`job` is the id of a job: job_ and 26 characters", object.at("job"), ""};
  QUARRY_ASSIGN(std::string output, tensor_or_output_name(object, "output"));
  return InputSource(JobOutputInput{*job, std::move(output)});
}

/// Calls take(name, value, pointer) for each member of an object of names; absent is empty.
template <class Take>
Status for_each_name(const Object& parent, const char* key, Take take) {
  const json* members = parent.find(key);
  if (!members) return {};
  if (!members->is_object()) return wrong_type(parent.at(key), "`" + std::string(key) + "` is an object of names");
  for (const auto& [name, value] : members->items()) QUARRY_TRY(take(name, value, json_pointer(parent.at(key), name)));
  return {};
}

Status parse_inputs(const Object& document, JobDocument& job) {
  static constexpr std::array<std::string_view, 4> kFields = {"file", "tensor", "job", "output"};
  return for_each_name(document, "inputs",
                       [&](const std::string& name, const json& value, const std::string& pointer) -> Status {
                         QUARRY_ASSIGN(const Object object, Object::open(value, pointer, kFields));
                         QUARRY_ASSIGN(InputSource source, parse_source(object));
                         job.inputs.emplace(name, std::move(source));
                         return {};
                       });
}

Status parse_carry(const Object& object, Stage& stage) {
  return for_each_name(object, "carry",
                       [&](const std::string& name, const json& value, const std::string& pointer) -> Status {
                         if (!value.is_string())
                           return wrong_type(pointer, "`carry` gives the name of an output to each input");
                         stage.carry.emplace(name, value.get<std::string>());
                         return {};
                       });
}

Status parse_feed(const Object& object, Stage& stage) {
  static constexpr std::array<std::string_view, 5> kFields = {"file", "tensor", "job", "output", "wrap"};
  return for_each_name(object, "feed",
                       [&](const std::string& name, const json& value, const std::string& pointer) -> Status {
                         QUARRY_ASSIGN(const Object feed, Object::open(value, pointer, kFields));
                         QUARRY_ASSIGN(InputSource source, parse_source(feed));
                         const json* wrap = feed.find("wrap");
                         if (wrap && !wrap->is_boolean()) return wrong_type(feed.at("wrap"), "`wrap` is true or false");
                         stage.feed.emplace(name, FeedSpec{std::move(source), wrap && wrap->get<bool>()});
                         return {};
                       });
}

Status parse_keep(const Object& object, Stage& stage) {
  return for_each_name(object, "keep",
                       [&](const std::string& name, const json& value, const std::string& pointer) -> Status {
                         if (value == "last")
                           stage.keep.emplace(name, KeepSpec::Last);
                         else if (value == "each")
                           stage.keep.emplace(name, KeepSpec::Each);
                         else
                           return wrong_type(pointer, "an output is kept \"last\" or \"each\"");
                         return {};
                       });
}

Status parse_stage(const Object& object, Stage& stage) {
  QUARRY_ASSIGN(const std::string graph, object.text("graph"));
  const auto digest = parse_graph_id(graph);
  if (!digest)
    return Problem{"invalid_id", "`graph` is the id of a graph: graph_ and 64 lower-case hex digits",
                   object.at("graph"), ""};
  stage.graph = *digest;
  QUARRY_ASSIGN(stage.steps, object.integer("steps", 1, kMaxSteps, 1));
  QUARRY_ASSIGN(stage.first_step, object.integer("first_step", 0, kMaxSteps - stage.steps, 0));
  QUARRY_TRY(parse_carry(object, stage));
  QUARRY_TRY(parse_feed(object, stage));
  return parse_keep(object, stage);
}

Result<uint64_t> parse_seed(const Object& document) {
  const json* seed = document.find("seed");
  if (!seed) return uint64_t{0};
  if (seed->is_number_unsigned()) return seed->get<uint64_t>();
  const Problem problem =
      wrong_type(document.at("seed"), "`seed` is an integer from 0 to 2^64 - 1, or the same as a decimal string");
  if (!seed->is_string()) return problem;
  const auto value = parse_number<uint64_t>(seed->get_ref<const std::string&>());
  if (!value) return problem;
  return *value;
}

Result<JobDocument> read_document(const json& value, std::string_view base) {
  static constexpr std::array<std::string_view, 5> kFields = {"version", "seed", "inputs", "stages",
                                                              "checkpoint_every"};
  static constexpr std::array<std::string_view, 6> kStageFields = {"graph", "steps", "first_step",
                                                                   "carry", "feed",  "keep"};
  QUARRY_ASSIGN(const Object document, Object::open(value, std::string(base), kFields));
  JobDocument job;
  if (!document.find("version")) return Problem{"missing_field", "`version` is needed here", std::string(base), ""};
  QUARRY_ASSIGN(const int64_t version, document.integer("version", INT64_MIN, INT64_MAX, 1));
  if (version != 1)
    return Problem{"unsupported_version", "job version " + std::to_string(version) + " is not known: this is version 1",
                   document.at("version"), ""};
  QUARRY_ASSIGN(job.seed, parse_seed(document));
  QUARRY_TRY(parse_inputs(document, job));
  const json* stages = document.find("stages");
  if (!stages) return Problem{"missing_field", "`stages` is needed here", std::string(base), ""};
  if (!stages->is_array()) return wrong_type(document.at("stages"), "`stages` is an array of one stage");
  if (stages->size() != 1)
    return Problem{"unsupported", "version 1 takes jobs of exactly one stage, not " + std::to_string(stages->size()),
                   document.at("stages"), ""};
  QUARRY_ASSIGN(const Object stage, Object::open(stages->front(), document.at("stages") + "/0", kStageFields));
  QUARRY_TRY(parse_stage(stage, job.stage));
  if (document.find("checkpoint_every")) {
    QUARRY_ASSIGN(job.checkpoint_every, document.integer("checkpoint_every", 1, kMaxSteps, 1));
  }
  return job;
}

json source_json(const InputSource& source) {
  if (const auto* tensor = std::get_if<TensorInput>(&source))
    return {{"file", to_hex(tensor->file)}, {"tensor", tensor->tensor}};
  const auto& output = std::get<JobOutputInput>(source);
  return {{"job", output.job.to_string()}, {"output", output.output}};
}

}  // namespace

Result<JobDocument> parse_job(std::string_view text, std::string_view base) {
  QUARRY_ASSIGN(const json value, parse_strict_json(text, base));
  return read_document(value, base);
}

std::string write_job(const JobDocument& job) {
  json inputs = json::object(), carry = json::object(), feed = json::object(), keep = json::object();
  for (const auto& [name, source] : job.inputs) inputs[name] = source_json(source);
  for (const auto& [input, output] : job.stage.carry) carry[input] = output;
  for (const auto& [name, spec] : job.stage.feed) {
    feed[name] = source_json(spec.source);
    feed[name]["wrap"] = spec.wrap;
  }
  for (const auto& [name, spec] : job.stage.keep) keep[name] = spec == KeepSpec::Each ? "each" : "last";
  json stage = {{"graph", "graph_" + to_hex(job.stage.graph)},
                {"steps", job.stage.steps},
                {"first_step", job.stage.first_step},
                {"carry", std::move(carry)},
                {"feed", std::move(feed)},
                {"keep", std::move(keep)}};
  json document = {{"version", job.version},
                   {"seed", std::to_string(job.seed)},
                   {"inputs", std::move(inputs)},
                   {"stages", json::array({std::move(stage)})}};
  if (job.checkpoint_every) document["checkpoint_every"] = *job.checkpoint_every;
  return document.dump();
}

}  // namespace quarry::graph
