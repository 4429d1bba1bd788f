#include "common/id.h"

namespace quarry {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";  // Crockford: no i, l, o, u
constexpr size_t kDigits = 26;                                              // 130 bits hold 128

int digit_value(char c) {
  const auto at = kAlphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

IdBytes make_uuid_v7(WallTime now, RandomSource& random) {
  IdBytes bytes{};
  random.fill(std::as_writable_bytes(std::span(bytes)));
  const auto millis = static_cast<uint64_t>(now.micros / 1000);
  for (size_t i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(millis >> (8 * (5 - i)));
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x70);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  return bytes;
}

std::string encode_id(std::string_view prefix, const IdBytes& bytes) {
  std::string text(prefix);
  uint32_t buffer = 0;
  int bits = 2;  // two leading zero bits pad 128 to 130
  for (uint8_t byte : bytes) {
    buffer = buffer << 8 | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text.push_back(kAlphabet[buffer >> bits & 31]);
    }
    buffer &= (1u << bits) - 1;
  }
  return text;
}

std::optional<IdBytes> decode_id(std::string_view prefix, std::string_view text) {
  if (!text.starts_with(prefix) || text.size() != prefix.size() + kDigits) return std::nullopt;
  text.remove_prefix(prefix.size());
  if (digit_value(text[0]) > 7) return std::nullopt;  // the padding bits must be zero
  IdBytes bytes{};
  uint32_t buffer = 0;
  int bits = -2;
  size_t at = 0;
  for (char c : text) {
    const int value = digit_value(c);
    if (value < 0) return std::nullopt;
    buffer = buffer << 5 | static_cast<uint32_t>(value);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = static_cast<uint8_t>(buffer >> bits);
      buffer &= (1u << bits) - 1;
    }
  }
  return bytes;
}

std::string uuid_text(const IdBytes& bytes) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(hex[bytes[i] >> 4]);
    text.push_back(hex[bytes[i] & 15]);
  }
  return text;
}

std::optional<IdBytes> parse_uuid(std::string_view text) {
  IdBytes bytes{};
  size_t nibbles = 0;
  for (char c : text) {
    if (c == '-') continue;
    const int value = hex_value(c);
    if (value < 0 || nibbles == 32) return std::nullopt;
    bytes[nibbles / 2] = static_cast<uint8_t>(bytes[nibbles / 2] << 4 | value);
    ++nibbles;
  }
  return nibbles == 32 ? std::optional(bytes) : std::nullopt;
}

}  // namespace quarry
