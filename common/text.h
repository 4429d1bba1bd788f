// Text from strangers: checking it, and quoting it in messages.
#pragma once

#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quarry {

/// Well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);
/// Well-formed UTF-8 without control characters: fit for names.
bool is_plain_text(std::string_view text);

/// The text in double quotes for a message: cut after 64 bytes, and what is not plain text shown as '?'.
std::string quote(std::string_view text);

/// `parent` + "/" + the member by RFC 6901, made printable like quote().
std::string json_pointer(std::string_view parent, std::string_view member);

/// The number that the whole text is, as std::from_chars reads it; nothing when it is anything else or does not fit.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

/// How to go on after an unknown word: `did you mean "axes"?` if a known one is near, else `known are a, b, c` (32 at
/// most).
std::string suggestion(std::string_view word, std::span<const std::string_view> known);

}  // namespace quarry
