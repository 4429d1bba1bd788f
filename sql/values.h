// How C++ values travel to PostgreSQL and back: the text form of a parameter, arrays for unnest(), and cells of a
// result. One overload a type; nothing here knows a table.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/flops.h"
#include "common/id.h"
#include "common/money.h"
#include "common/sha256.h"

namespace quarry::sql {

/// Text of one value; nullopt is NULL.
using Param = std::optional<std::string>;

inline std::string sql_text(std::string_view value) {
  return std::string(value);
}
inline std::string sql_text(const Money& value) {
  return value.to_string();
}
inline std::string sql_text(const Flops& value) {
  return value.to_string();
}
inline std::string sql_text(UInt128 value) {
  return to_decimal(value);
}
inline std::string sql_text(bool value) {
  return value ? "t" : "f";
}
std::string sql_text(double value);
inline std::string sql_text(const Digest& value) {
  return "\\x" + to_hex(value);
}
std::string sql_text(std::span<const std::byte> value);
template <class Kind>
std::string sql_text(const Id<Kind>& value) {
  return value.uuid();
}
template <std::integral T>
std::string sql_text(T value) {
  return std::to_string(value);
}
/// States and reasons are stored as their numbers.
template <class T>
requires std::is_enum_v<T> std::string sql_text(T value) {
  return std::to_string(static_cast<int>(value));
}

/// Appends one element to an array's text, quoted and escaped.
void append_element(std::string& array, std::string_view text);

template <class T>
Param to_param(const T& value) {
  return sql_text(value);
}
template <class T>
Param to_param(const std::optional<T>& value) {
  return value ? to_param(*value) : Param{};
}
/// The text of a PostgreSQL array, made element by element; an empty optional is a NULL element.
class ArrayText {
 public:
  template <class T>
  void add(const T& value) {
    if (text_.size() > 1) text_ += ',';
    if constexpr (requires { value.has_value(); }) {
      if (value)
        append_element(text_, sql_text(*value));
      else
        text_ += "NULL";
    } else if constexpr (std::integral<T>) {
      text_ += sql_text(value);
    } else {
      append_element(text_, sql_text(value));
    }
  }
  std::string take() {
    text_ += '}';
    return std::move(text_);
  }

 private:
  std::string text_ = "{";
};
template <class T>
Param to_param(const std::vector<T>& values) {
  ArrayText array;
  for (const auto& value : values) array.add(value);
  return array.take();
}

/// Text from outside made fit for a text column: valid UTF-8 without NUL, at most `limit` bytes.
std::string clean_text(std::string_view text, size_t limit);

/// Cells of a result, by type. A value that PostgreSQL could not have sent throws std::logic_error.
template <class T>
T from_text(std::string_view text);
template <>
std::string from_text<std::string>(std::string_view text);
template <>
int64_t from_text<int64_t>(std::string_view text);
template <>
int32_t from_text<int32_t>(std::string_view text);
template <>
uint64_t from_text<uint64_t>(std::string_view text);
template <>
uint32_t from_text<uint32_t>(std::string_view text);
template <>
bool from_text<bool>(std::string_view text);
template <>
double from_text<double>(std::string_view text);
template <>
UInt128 from_text<UInt128>(std::string_view text);
template <>
Money from_text<Money>(std::string_view text);
template <>
Flops from_text<Flops>(std::string_view text);
template <>
Digest from_text<Digest>(std::string_view text);
template <>
std::vector<std::byte> from_text<std::vector<std::byte>>(std::string_view text);
[[noreturn]] void bad_cell(std::string_view text);

template <class T>
struct Cell {
  static T read(std::string_view text) {
    if constexpr (std::is_enum_v<T>)
      return static_cast<T>(from_text<int32_t>(text));
    else
      return from_text<T>(text);
  }
};
template <class Kind>
struct Cell<Id<Kind>> {
  static Id<Kind> read(std::string_view text) {
    auto id = Id<Kind>::from_uuid(text);
    if (!id) bad_cell(text);
    return *id;
  }
};
template <>
struct Cell<WallTime> {  // selected as micros(column)
  static WallTime read(std::string_view text) { return {from_text<int64_t>(text)}; }
};

}  // namespace quarry::sql
