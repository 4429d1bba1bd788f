#include "server/http/syntax.h"

#include <algorithm>
#include <charconv>

namespace quarry::http {

std::string_view name(Method method) {
  switch (method) {
    case Method::Get:
      return "GET";
    case Method::Head:
      return "HEAD";
    case Method::Put:
      return "PUT";
    case Method::Post:
      return "POST";
    case Method::Delete:
      return "DELETE";
  }
  return "";
}

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Removes the number at the front of `text`; nullopt when there is none, or it does not fit.
std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(wanted.size());
  return true;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::optional<std::string> query_parameter(std::string_view query, std::string_view wanted) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == wanted) return percent_decode(pair.substr(std::min(equals + 1, pair.size())));
  }
  return std::nullopt;
}

RangeKind read_range(std::string_view field, uint64_t total, ByteRange& range) {
  range = {0, total};
  if (!take(field, "bytes=")) return RangeKind::Whole;
  if (take(field, "-")) {  // the last so many bytes
    const auto last = take_number(field);
    if (!last || !field.empty()) return RangeKind::Whole;
    if (*last == 0 || total == 0) return RangeKind::Unsatisfiable;
    range.begin = total - std::min(total, *last);
    return RangeKind::Part;
  }
  const auto first = take_number(field);
  if (!first || !take(field, "-")) return RangeKind::Whole;
  const bool open = field.empty();
  const auto last = take_number(field);
  if (!open && (!last || !field.empty() || *last < *first)) return RangeKind::Whole;
  if (*first >= total) return RangeKind::Unsatisfiable;
  range = {*first, open ? total : std::min(*last, total - 1) + 1};
  return RangeKind::Part;
}

std::optional<ContentRange> read_content_range(std::string_view field) {
  if (!take(field, "bytes ")) return std::nullopt;
  const auto first = take_number(field);
  if (!first || !take(field, "-")) return std::nullopt;
  const auto last = take_number(field);
  if (!last || !take(field, "/")) return std::nullopt;
  const auto total = take_number(field);
  if (!total || !field.empty() || *last < *first || *last >= *total) return std::nullopt;
  return ContentRange{{*first, *last + 1}, *total};
}

}  // namespace quarry::http
