#include "sql/stored_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "sql/values.h"

namespace quarry::sql {
namespace {

using nlohmann::json;
constexpr size_t kMaxName = 1'024;

/// A JSON string; bytes that are no UTF-8 become U+FFFD.
std::string string_text(const std::string& value) {
  return json(value).dump(-1, ' ', false, json::error_handler_t::replace);
}

json parse(std::string_view text) {
  return json::parse(text);
}
Digest digest(const json& value) {
  const auto parsed = parse_digest(value.get<std::string>());
  if (!parsed) throw std::logic_error("a stored digest is malformed");
  return *parsed;
}

}  // namespace

std::string inputs_to_json(const Inputs& inputs) {
  json object = json::object();
  for (const auto& [name, extents] : inputs) {
    json list = json::array();
    for (const auto& extent : extents) list.push_back({to_hex(extent.blob), extent.offset, extent.bytes});
    object[clean_text(name, kMaxName)] = std::move(list);
  }
  return object.dump();
}

Inputs inputs_from_json(std::string_view text) {
  Inputs inputs;
  const json object = parse(text);
  for (const auto& [name, list] : object.items()) {
    auto& extents = inputs[name];
    for (const auto& item : list)
      extents.push_back({digest(item.at(0)), item.at(1).get<uint64_t>(), item.at(2).get<uint64_t>()});
  }
  return inputs;
}

std::string values_to_json(const std::vector<wire::Produced>& produced) {
  json object = json::object();
  for (const auto& value : produced) object[clean_text(value.name, kMaxName)] = {to_hex(value.blob), value.bytes};
  return object.dump();
}

Values values_from_json(std::string_view text) {
  Values values;
  const json object = parse(text);
  for (const auto& [name, item] : object.items()) values[name] = {digest(item.at(0)), item.at(1).get<uint64_t>()};
  return values;
}

std::string rate_card_to_json(const std::map<std::string, double>& rate_card) {
  json object = json::object();
  for (const auto& [name, value] : rate_card)
    if (std::isfinite(value)) object[clean_text(name, kMaxName)] = value;
  return object.dump();
}

std::vector<std::string> outputs_kept_each(std::string_view document) {
  std::vector<std::string> names;
  const json parsed = json::parse(document, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("stages") || !parsed["stages"].is_array()) return names;
  for (const auto& stage : parsed["stages"]) {
    if (!stage.is_object() || !stage.contains("keep") || !stage["keep"].is_object()) continue;
    for (const auto& [name, how] : stage["keep"].items())
      if (how == "each") names.push_back(name);
  }
  return names;
}

std::string payload(std::initializer_list<PayloadField> fields) {
  std::string text = "{";
  for (const auto& field : fields) {
    if (text.size() > 1) text += ',';
    text += std::string("\"") + field.name + "\":" + (field.is_string ? string_text(field.value) : field.value);
  }
  return text + "}";
}

}  // namespace quarry::sql
