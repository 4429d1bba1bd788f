#include <nlohmann/json.hpp>

#include "engine/graph/graph_reader.h"
#include "engine/graph/strict_json.h"

namespace quarry::graph {

namespace {

/// The events go straight to the reader; only syntax errors are worded here.
struct JsonEvents : GraphReader {
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) {
    return malformed("malformed_json", syntax_problem(position, error.what()));
  }
};

}  // namespace

Result<Graph> parse_json(std::string_view text) {
  JsonEvents reader;
  if (text.size() > kMaxTextBytes)
    reader.malformed("limit_exceeded", "the text is over the limit of " + std::to_string(kMaxTextBytes) + " bytes");
  else
    nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return reader.result();
}

}  // namespace quarry::graph
