// Deterministic CBOR (RFC 8949, section 4.2.1): every value has exactly one encoding, so that hashes over it are well
// defined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quarry {

/// Appends values to a buffer that can be read and cleared between uses. Integers, lengths and floats take their
/// shortest exact form. The caller announces the size of each array and map, then writes that many items or key-value
/// pairs; keys in the order of cbor_key_less.
class CborWriter {
 public:
  void unsigned_integer(uint64_t value) { head(0, value); }
  void integer(int64_t value);
  void bytes(std::span<const uint8_t> value);
  void text(std::string_view value);
  void array(size_t items) { head(4, items); }
  void map(size_t pairs) { head(5, pairs); }
  void boolean(bool value) { put(value ? 0xf5 : 0xf4); }
  /// As binary16, binary32 or binary64, whichever is the shortest that keeps the value; every NaN is written as
  /// 0xf97e00.
  void floating(double value);

  std::span<const std::byte> data() const { return data_; }
  void clear() { data_.clear(); }
  std::vector<std::byte> take() && { return std::move(data_); }

 private:
  void put(uint64_t byte) { data_.push_back(static_cast<std::byte>(byte)); }
  void big_endian(uint64_t value, int size);
  void head(uint8_t major, uint64_t argument);

  std::vector<std::byte> data_;
};

struct CborItem {
  enum class Kind { Unsigned, Negative, Bytes, Text, Array, Map, Boolean, Null, Floating };
  Kind kind = Kind::Null;
  uint64_t number = 0;     ///< Unsigned: the value. Array, Map: how many items or pairs follow. Boolean: 0 or 1
  int64_t negative = 0;    ///< Negative: the value
  double floating = 0;     ///< Floating: the value
  std::string_view bytes;  ///< Bytes; Text, as UTF-8. Points into the input
};

/// Reads one item after the other; the caller keeps track of what is nested in what, so there is no recursion here.
/// Refuses indefinite lengths, tags, simple values other than true, false and null, integers below -2^63, text that is
/// not UTF-8, and counts greater than the bytes that are left.
class CborReader {
 public:
  explicit CborReader(std::span<const std::byte> input) : input_(input) {}
  /// nullopt at a broken item and at the end; error() then says what is wrong and at which byte.
  std::optional<CborItem> next();
  bool at_end() const { return at_ == input_.size(); }
  const std::string& error() const { return error_; }

 private:
  std::nullopt_t broken(const char* what);
  std::optional<CborItem> simple(uint8_t info, uint64_t argument);

  std::span<const std::byte> input_;
  size_t at_ = 0;
  size_t item_at_ = 0;
  std::string error_;
};

/// The order of text keys in a map: that of their encoded bytes, so shorter keys come first.
inline bool cbor_key_less(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace quarry
