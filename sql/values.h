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
/// A vector is a PostgreSQL array; its empty optionals are NULL elements.
template <class T>
Param to_param(const std::vector<T>& values) {
  std::string array = "{";
  for (const auto& value : values) {
    if (array.size() > 1) array += ',';
    if constexpr (requires { value.has_value(); }) {
      if (value)
        append_element(array, sql_text(*value));
      else
        array += "NULL";
    } else if constexpr (std::integral<T>) {
      array += sql_text(value);
    } else {
      append_element(array, sql_text(value));
    }
  }
  array += '}';
  return array;
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
  static T read(std::string_view text) { return from_text<T>(text); }
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
