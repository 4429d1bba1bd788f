// The part of CBOR (RFC 8949) that wire messages use: unsigned integers, doubles, booleans, text, byte strings, arrays
// and maps, all of definite length. Nothing here allocates by a length that was read: a reader hands out views into the
// frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quarry::wire {

enum class CborKind : uint8_t {
  Unsigned = 0,
  Negative = 1,
  Bytes = 2,
  Text = 3,
  Array = 4,
  Map = 5,
  Tag = 6,
  Simple = 7
};

class CborWriter {
 public:
  /// Leaves `prefix` zero bytes in front, for the frame's length.
  explicit CborWriter(size_t prefix = 0) : out_(prefix) {}

  void number(uint64_t value) { head(CborKind::Unsigned, value); }
  void flag(bool value) { out_.push_back(static_cast<std::byte>(value ? 0xf5 : 0xf4)); }
  void real(double value);
  void text(std::string_view value);
  void bytes(std::span<const std::byte> value);
  void array(uint64_t count) { head(CborKind::Array, count); }
  void map(uint64_t count) { head(CborKind::Map, count); }
  /// A map whose number of entries is known only after they are written.
  size_t begin_map();
  void end_map(size_t at, uint64_t count);

  std::vector<std::byte> take() { return std::move(out_); }

 private:
  void head(CborKind kind, uint64_t argument);
  void append(const void* data, size_t size);

  std::vector<std::byte> out_;
};

/// Reads one item after the other. Each call returns nullopt, and moves nothing, when the next item is not what was
/// asked for, is cut short or has an indefinite length.
class CborReader {
 public:
  explicit CborReader(std::span<const std::byte> in) : in_(in) {}

  std::optional<uint64_t> number() { return head(CborKind::Unsigned); }
  std::optional<bool> flag();
  std::optional<double> real();
  std::optional<std::string_view> text();
  std::optional<std::span<const std::byte>> bytes();
  /// The count is at most the bytes left, over `least_bytes` for each entry: a lie is found before anything is
  /// allocated.
  std::optional<uint64_t> array(size_t least_bytes = 1) { return counted(CborKind::Array, least_bytes); }
  std::optional<uint64_t> map() { return counted(CborKind::Map, 2); }
  bool at_end() const { return in_.empty(); }

 private:
  std::optional<uint64_t> head(CborKind kind);
  std::optional<uint64_t> counted(CborKind kind, size_t least_bytes);
  std::optional<std::span<const std::byte>> string(CborKind kind);

  std::span<const std::byte> in_;
};

/// Valid UTF-8 (RFC 3629) without NUL, which PostgreSQL's text cannot hold.
bool is_plain_text(std::string_view text);
/// The longest whole-character prefix of at most `max_bytes`, with what is not plain text replaced by '?'.
std::string clip_text(std::string_view text, size_t max_bytes);

}  // namespace quarry::wire
