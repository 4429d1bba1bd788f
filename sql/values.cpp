#include "sql/values.h"

#include <stdexcept>

#include "common/text.h"
#include "common/utf8.h"

namespace quarry::sql {
namespace {

template <class T>
T number(std::string_view text) {
  if (const auto value = parse_number<T>(text)) return *value;
  bad_cell(text);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// Length of the UTF-8 character at the start of `text`, 0 when there is none that PostgreSQL would take.
size_t character_length(std::string_view text) {
  return text.front() == '\0' ? 0 : utf8_character_bytes(text);
}

}  // namespace

void bad_cell(std::string_view text) {
  throw std::logic_error("unexpected value from PostgreSQL: " + std::string(text.substr(0, 80)));
}

std::string sql_text(double value) {
  if (!std::isfinite(value)) return "0";  // measurements only; what was not measured is 0
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string sql_text(std::span<const std::byte> value) {
  return "\\x" + to_hex({reinterpret_cast<const uint8_t*>(value.data()), value.size()});
}

void append_element(std::string& array, std::string_view text) {
  array += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') array += '\\';
    array += c;
  }
  array += '"';
}

std::string clean_text(std::string_view text, size_t limit) {
  std::string out;
  while (!text.empty()) {
    const size_t length = character_length(text);
    const std::string_view piece = length == 0 ? std::string_view("?") : text.substr(0, length);
    if (out.size() + piece.size() > limit) break;
    out += piece;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

template <>
std::string from_text(std::string_view text) {
  return std::string(text);
}
template <>
int64_t from_text(std::string_view text) {
  return number<int64_t>(text);
}
template <>
int32_t from_text(std::string_view text) {
  return number<int32_t>(text);
}
template <>
uint64_t from_text(std::string_view text) {
  return number<uint64_t>(text);
}
template <>
uint32_t from_text(std::string_view text) {
  return number<uint32_t>(text);
}
template <>
bool from_text(std::string_view text) {
  if (text != "t" && text != "f") bad_cell(text);
  return text == "t";
}
template <>
double from_text(std::string_view text) {
  return number<double>(text);
}
template <>
UInt128 from_text(std::string_view text) {
  auto value = parse_uint128(text);
  if (!value) bad_cell(text);
  return *value;
}
template <>
Money from_text(std::string_view text) {
  auto value = Money::parse(text);
  if (!value) bad_cell(text);
  return *value;
}
template <>
Flops from_text(std::string_view text) {
  return {from_text<UInt128>(text)};
}
template <>
std::vector<std::byte> from_text(std::string_view text) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) bad_cell(text);
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 2 - 1);
  for (size_t i = 2; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) bad_cell(text);
    bytes.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return bytes;
}
template <>
Digest from_text(std::string_view text) {
  if (!text.starts_with("\\x")) bad_cell(text);
  auto digest = parse_digest(text.substr(2));
  if (!digest) bad_cell(text);
  return *digest;
}

}  // namespace quarry::sql
