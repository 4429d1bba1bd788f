// The small text forms of HTTP that clients send, read apart from any socket: methods, percent-encoding, query
// parameters and ranges. Pure, so that the fuzz targets build without Asio.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quarry::http {

enum class Method : uint8_t { Get, Head, Put, Post, Delete };
std::string_view name(Method method);

struct Field {
  std::string name;  ///< lower case
  std::string value;
};

/// nullopt when a '%' is not followed by two hex digits.
std::optional<std::string> percent_decode(std::string_view text);
/// The first parameter of that name in a query string, percent-decoded; nullopt when absent or wrongly encoded.
std::optional<std::string> query_parameter(std::string_view query, std::string_view name);

struct ByteRange {
  uint64_t begin = 0, end = 0;  ///< half open
  bool operator==(const ByteRange&) const = default;
};
enum class RangeKind { Whole, Part, Unsatisfiable };
/// A Range field over `total` bytes (RFC 9110 14.1.2). Several ranges and forms not understood are ignored, as the RFC
/// allows: the whole is sent. `range` lies within `total` unless Unsatisfiable.
RangeKind read_range(std::string_view field, uint64_t total, ByteRange& range);

/// A Content-Range field of a request: "bytes first-last/total".
struct ContentRange {
  ByteRange bytes;
  uint64_t total = 0;
};
/// nullopt unless first <= last < total, all three given.
std::optional<ContentRange> read_content_range(std::string_view field);

}  // namespace quarry::http
