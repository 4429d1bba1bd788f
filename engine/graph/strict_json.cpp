#include "engine/graph/strict_json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "common/text.h"
#include "engine/graph/limits.h"

namespace quarry::graph {

namespace {

using nlohmann::json;

/// Builds the value from parse events. Each open container stands on a stack with the key or index that is being read
/// in it.
class DocumentReader {
 public:
  explicit DocumentReader(std::string_view base) : base_(base) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(json::binary_t&) { return false; }
  bool start_object(size_t) { return open(json::object()); }
  bool start_array(size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& key) {
    Level& level = levels_.back();
    level.key = key;
    if (!level.value->contains(key)) return true;
    return refuse("duplicate_field", quote(key) + " is there twice");
  }
  bool parse_error(size_t position, const std::string&, const json::exception& error) {
    problem_ = Problem{"malformed_json", syntax_problem(position, error.what()), base_, ""};
    return false;
  }

  Result<json> result() {
    if (problem_) return std::move(*problem_);
    return std::move(root_);
  }

 private:
  struct Level {
    json* value;
    std::string key;
  };

  bool refuse(std::string code, std::string detail) {
    std::string pointer = base_;
    for (const Level& level : levels_) {
      // The item being read already stands in its array, unless it is the very one that is refused.
      const bool is_innermost = &level == &levels_.back();
      if (level.value->is_array())
        pointer += "/" + std::to_string(level.value->size() - (is_innermost ? 0 : 1));
      else
        pointer = json_pointer(pointer, level.key);
    }
    problem_ = Problem{std::move(code), std::move(detail), std::move(pointer), ""};
    return false;
  }

  json* place(json value) {
    if (levels_.empty()) return &(root_ = std::move(value));
    json& parent = *levels_.back().value;
    if (!parent.is_array()) return &(parent[levels_.back().key] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }

  bool add(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (levels_.size() >= static_cast<size_t>(kMaxNesting))
      return refuse("limit_exceeded", "nested over the limit of " + std::to_string(kMaxNesting) + " levels");
    levels_.push_back({place(std::move(container)), ""});
    return true;
  }

  bool close() {
    levels_.pop_back();
    return true;
  }

  std::string base_;
  json root_;
  std::vector<Level> levels_;
  std::optional<Problem> problem_;
};

}  // namespace

std::string syntax_problem(size_t position, std::string_view what) {
  // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - ...; expected
  // ..."
  for (std::string_view separator : {"] ", ": "})
    if (const size_t at = what.find(separator); at != std::string_view::npos) what.remove_prefix(at + separator.size());
  const std::string reason = quote(what.substr(0, what.find("; ")));
  return "byte " + std::to_string(position) + ": " + reason.substr(1, reason.size() - 2);
}

Result<json> parse_strict_json(std::string_view text, std::string_view base) {
  if (text.size() > kMaxDocumentBytes) {
    return Problem{"limit_exceeded",
                   "the document is over the limit of " + std::to_string(kMaxDocumentBytes) + " bytes",
                   std::string(base), ""};
  }
  DocumentReader reader(base);
  json::sax_parse(text.begin(), text.end(), &reader);
  return reader.result();
}

}  // namespace quarry::graph
