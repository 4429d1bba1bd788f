#include <nlohmann/json.hpp>

#include "common/text.h"
#include "engine/graph/graph_reader.h"

namespace quarry::graph {

namespace {

/// The events go straight to the reader; only syntax errors are worded here.
struct JsonEvents : GraphReader {
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing ..."
    const std::string_view what = error.what();
    const size_t start = std::min(what.find("] "), what.size() - 2) + 2;
    return malformed("malformed_json", "byte " + std::to_string(position) + ": " + quoted_reason(what.substr(start)));
  }

 private:
  /// The reason may quote the text itself, at any length: it is cut and made printable.
  static std::string quoted_reason(std::string_view reason) {
    if (const size_t comma = reason.find(": "); comma != std::string_view::npos) reason.remove_prefix(comma + 2);
    const std::string text = quoted(reason);
    return text.substr(1, text.size() - 2);
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
