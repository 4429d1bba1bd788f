#include "sql/outputs.h"

#include <nlohmann/json.hpp>

#include "sql/values.h"

namespace quarry::sql {
namespace {

using nlohmann::json;
constexpr size_t kMaxName = 1'024;

using Named = std::map<std::string_view, uint64_t>;

std::optional<std::string> differs(const Named& expected, const std::vector<wire::Produced>& produced,
                                   const char* kind) {
  Named came;
  for (const wire::Produced& value : produced) {
    const auto wanted = expected.find(value.name);
    if (wanted == expected.end()) return std::string(kind) + " value '" + value.name + "' was not asked for";
    if (wanted->second != value.bytes)
      return std::string(kind) + " value '" + value.name + "' has " + std::to_string(value.bytes) +
             " bytes instead of " + std::to_string(wanted->second);
    if (!came.emplace(value.name, value.bytes).second)
      return std::string(kind) + " value '" + value.name + "' came twice";
  }
  for (const auto& [name, bytes] : expected)
    if (!came.contains(name)) return std::string(kind) + " value '" + std::string(name) + "' is missing";
  return std::nullopt;
}

}  // namespace

std::string outputs_to_json(const JobOutputs& outputs) {
  json kept = json::object(), carried = json::object();
  for (const auto& [name, output] : outputs.kept) kept[clean_text(name, kMaxName)] = {output.bytes, output.each};
  for (const auto& [name, bytes] : outputs.carried) carried[clean_text(name, kMaxName)] = bytes;
  return json{{"kept", std::move(kept)}, {"carried", std::move(carried)}}.dump();
}

JobOutputs outputs_from_json(std::string_view text) {
  JobOutputs outputs;
  const json object = json::parse(text);
  for (const auto& [name, value] : object.at("kept").items())
    outputs.kept[name] = {value.at(0).get<uint64_t>(), value.at(1).get<bool>()};
  for (const auto& [name, bytes] : object.at("carried").items()) outputs.carried[name] = bytes.get<uint64_t>();
  return outputs;
}

std::vector<wire::ExpectedOutput> segment_outputs(const JobOutputs& outputs, int64_t steps, bool last_segment) {
  std::vector<wire::ExpectedOutput> expected;
  for (const auto& [name, output] : outputs.kept) {
    if (output.each)
      expected.push_back({name, output.bytes * static_cast<uint64_t>(steps), false});
    else if (last_segment)
      expected.push_back({name, output.bytes, false});
  }
  if (!last_segment)
    for (const auto& [name, bytes] : outputs.carried) expected.push_back({name, bytes, true});
  return expected;
}

std::optional<std::string> why_inline_rejected(const wire::Completion& completion) {
  for (const auto* values : {&completion.kept, &completion.carried})
    for (const wire::Produced& value : *values) {
      if (!value.inline_bytes) continue;
      const bool fits =
          value.inline_bytes->size() <= wire::kMaxInlineOutputBytes && value.inline_bytes->size() == value.bytes;
      if (!fits || sha256(*value.inline_bytes) != value.blob)
        return "the bytes of value '" + value.name + "' do not have its size or hash";
    }
  return std::nullopt;
}

std::optional<std::string> why_rejected(const std::vector<wire::ExpectedOutput>& expected,
                                        const wire::Completion& completion) {
  Named kept, carried;
  for (const wire::ExpectedOutput& output : expected)
    (output.carried ? carried : kept).emplace(output.name, output.bytes);
  if (auto why = differs(kept, completion.kept, "kept")) return why;
  if (auto why = differs(carried, completion.carried, "carried")) return why;
  return why_inline_rejected(completion);
}

}  // namespace quarry::sql
