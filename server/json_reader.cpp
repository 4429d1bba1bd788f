#include "server/json_reader.h"

#include <algorithm>

namespace quarry::server {

namespace {

constexpr size_t kMaxDepth = 64;

Problem malformed(const std::string& what, const std::string& pointer) {
  return {"malformed_json", "the body is not the JSON expected here: " + what, pointer, "correct the JSON"};
}

/// Walks over JSON text from its front. Positions, never copies.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void skip_blanks() {
    const size_t end = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(end, rest_.size()));
  }
  bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool at_end() {
    skip_blanks();
    return rest_.empty();
  }
  /// One value as raw text; nullopt when brackets or quotes do not match.
  std::optional<std::string_view> take_value() {
    skip_blanks();
    if (rest_.empty()) return std::nullopt;
    if (rest_.front() == '"') return take_string();
    if (rest_.front() == '{' || rest_.front() == '[') return take_nested();
    return take_front(std::min(rest_.find_first_of(",]} \t\r\n"), rest_.size()));
  }
  std::optional<std::string_view> take_string() {
    const size_t end = string_end(rest_, 0);
    return end == 0 ? std::nullopt : take_front(end);
  }

 private:
  std::optional<std::string_view> take_front(size_t length) {
    if (length == 0) return std::nullopt;
    const std::string_view front = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return front;
  }
  /// The position after the string that starts at `at`, or 0.
  static size_t string_end(std::string_view text, size_t at) {
    if (at >= text.size() || text[at] != '"') return 0;
    for (size_t i = at + 1;;) {
      i = text.find_first_of("\"\\", i);
      if (i == std::string_view::npos) return 0;
      if (text[i] == '"') return i + 1;
      i += 2;
    }
  }
  std::optional<std::string_view> take_nested() {
    std::string open;
    for (size_t i = 0; i < rest_.size();) {
      i = rest_.find_first_of("\"{}[]", i);
      if (i == std::string_view::npos) return std::nullopt;
      const char c = rest_[i];
      if (c == '"') {
        i = string_end(rest_, i);
        if (i == 0) return std::nullopt;
        continue;
      }
      ++i;
      if (c == '{' || c == '[') {
        if (open.size() == kMaxDepth) return std::nullopt;
        open += c;
        continue;
      }
      if (open.empty() || open.back() != (c == '}' ? '{' : '[')) return std::nullopt;
      open.pop_back();
      if (open.empty()) return take_front(i);
    }
    return std::nullopt;
  }

  std::string_view rest_;
};

std::optional<unsigned> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  unsigned value = 0;
  for (char c : text.substr(0, 4)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return value;
}

void append_utf8(std::string& out, unsigned point) {
  const auto add = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (point < 0x80) return add(point);
  if (point < 0x800) {
    add(0xc0 | point >> 6);
  } else {
    if (point < 0x10000) {
      add(0xe0 | point >> 12);
    } else {
      add(0xf0 | point >> 18);
      add(0x80 | (point >> 12 & 0x3f));
    }
    add(0x80 | (point >> 6 & 0x3f));
  }
  add(0x80 | (point & 0x3f));
}

/// Decodes the escape after a backslash at the front of `text` and removes it.
bool take_escape(std::string_view& text, std::string& out) {
  constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
  const char c = text.front();
  text.remove_prefix(1);
  if (const size_t at = kNames.find(c); at != std::string_view::npos) {
    out += kValues[at];
    return true;
  }
  auto point = c == 'u' ? hex4(text) : std::nullopt;
  if (!point) return false;
  text.remove_prefix(4);
  if (*point >= 0xdc00 && *point < 0xe000) return false;
  if (*point >= 0xd800 && *point < 0xdc00) {
    const auto low = text.starts_with("\\u") ? hex4(text.substr(2)) : std::nullopt;
    if (!low || *low < 0xdc00 || *low >= 0xe000) return false;
    point = 0x10000 + ((*point - 0xd800) << 10) + (*low - 0xdc00);
    text.remove_prefix(6);
  }
  append_utf8(out, *point);
  return true;
}

}  // namespace

Result<std::string> read_string(std::string_view json, const std::string& pointer) {
  Scanner scanner(json);
  scanner.skip_blanks();
  const auto raw = scanner.take_string();
  if (!raw || !scanner.at_end()) return malformed("a string was expected", pointer);
  std::string_view inside = raw->substr(1, raw->size() - 2);
  std::string out;
  while (!inside.empty()) {
    const char c = inside.front();
    if (static_cast<unsigned char>(c) < 0x20) return malformed("a control character stands in a string", pointer);
    inside.remove_prefix(1);
    if (c != '\\')
      out += c;
    else if (!take_escape(inside, out))
      return malformed("an escape in a string is not one of JSON's", pointer);
  }
  return out;
}

Result<std::map<std::string, std::string_view>> read_object(std::string_view json,
                                                            std::initializer_list<std::string_view> allowed,
                                                            const std::string& pointer) {
  Scanner scanner(json);
  if (!scanner.take('{')) return malformed("an object was expected", pointer);
  std::map<std::string, std::string_view> members;
  if (!scanner.take('}')) {
    do {
      scanner.skip_blanks();
      const auto raw_name = scanner.take_string();
      if (!raw_name || !scanner.take(':')) return malformed("a member has no name", pointer);
      QUARRY_ASSIGN(const std::string name, read_string(*raw_name, pointer));
      if (std::find(allowed.begin(), allowed.end(), name) == allowed.end())
        return Problem{"unknown_field", "there is no field '" + name.substr(0, 64) + "' here",
                       pointer + "/" + name.substr(0, 64), "remove it, or correct its name"};
      const auto value = scanner.take_value();
      if (!value) return malformed("the value does not end", pointer + "/" + name);
      if (!members.emplace(name, *value).second) return malformed("a member stands twice", pointer + "/" + name);
    } while (scanner.take(','));
    if (!scanner.take('}')) return malformed("an object does not end", pointer);
  }
  if (!scanner.at_end()) return malformed("text follows the object", pointer);
  return members;
}

Result<std::vector<std::string_view>> read_array(std::string_view json, size_t most, const std::string& pointer) {
  Scanner scanner(json);
  if (!scanner.take('[')) return malformed("an array was expected", pointer);
  std::vector<std::string_view> values;
  if (!scanner.take(']')) {
    do {
      const auto value = scanner.take_value();
      if (!value) return malformed("a value does not end", pointer + "/" + std::to_string(values.size()));
      if (values.size() == most)
        return Problem{"too_many_items", "there are over " + std::to_string(most) + " items", pointer,
                       "send several requests"};
      values.push_back(*value);
    } while (scanner.take(','));
    if (!scanner.take(']')) return malformed("an array does not end", pointer);
  }
  if (!scanner.at_end()) return malformed("text follows the array", pointer);
  return values;
}

}  // namespace quarry::server
