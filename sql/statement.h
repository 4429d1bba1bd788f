// SQL text that is made at compile time. A prepared statement is identified by the address of its text, so the text
// must be a constant: a Statement can be made of nothing else.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <string_view>
#include <type_traits>

namespace quarry::sql {

/// A constant's characters, `size` of them and a NUL.
template <size_t size>
struct Text {
  char data[size + 1]{};
};

/// Appends to a text; past its end is an error of the compiler.
class TextWriter {
 public:
  constexpr explicit TextWriter(char* into) : into_(into) {}
  constexpr TextWriter& operator<<(std::string_view text) {
    for (const char c : text) {
      if (into_ != nullptr) into_[size_] = c;
      ++size_;
    }
    return *this;
  }
  constexpr TextWriter& operator<<(int number) {
    if (number >= 10) *this << number / 10;
    const char digit = static_cast<char>('0' + number % 10);
    return *this << std::string_view(&digit, 1);
  }
  constexpr size_t size() const { return size_; }

 private:
  char* into_;  ///< nullptr: only counts
  size_t size_ = 0;
};

/// The text that `write(TextWriter&)` appends. A lambda without captures: it runs twice, first to learn the size.
template <class Write>
consteval auto written(Write) {
  constexpr size_t size = [] {
    TextWriter counter(nullptr);
    Write()(counter);
    return counter.size();
  }();
  Text<size> text;
  TextWriter writer(text.data);
  Write()(writer);
  return text;
}

template <class T>
inline constexpr size_t kTextSize = 0;
template <size_t n>
inline constexpr size_t kTextSize<char[n]> = n - 1;
template <size_t n>
inline constexpr size_t kTextSize<Text<n>> = n;

template <size_t n>
constexpr std::string_view view(const char (&literal)[n]) {
  return {literal, n - 1};
}
template <size_t n>
constexpr std::string_view view(const Text<n>& text) {
  return {text.data, n};
}

/// Literals and texts, one after the other.
template <class... Parts>
consteval auto joined(const Parts&... parts) {
  Text<(kTextSize<Parts> + ...)> text;
  TextWriter writer(text.data);
  (writer << ... << view(parts));
  return text;
}

class Statement {
 public:
  consteval Statement(const char* literal) : text_(literal) {}
  template <size_t n>
  consteval Statement(const Text<n>& text) : text_(text.data) {}
  constexpr const char* text() const { return text_; }
  friend constexpr bool operator==(Statement, Statement) = default;

 private:
  const char* text_;
};

}  // namespace quarry::sql

template <>
struct std::hash<quarry::sql::Statement> {
  size_t operator()(quarry::sql::Statement statement) const { return std::hash<const char*>()(statement.text()); }
};
