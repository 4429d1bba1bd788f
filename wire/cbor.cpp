#include "wire/cbor.h"

#include <array>
#include <bit>

#include "common/utf8.h"

namespace quarry::wire {
namespace {

// Length of the character that starts `text` (1 to 4), or 0 when it is not UTF-8 or is NUL.
size_t character_bytes(std::string_view text) {
  return text.front() == '\0' ? 0 : utf8_character_bytes(text);
}

}  // namespace

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    const size_t length = character_bytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string clip_text(std::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const size_t length = character_bytes(text);
    if (out.size() + std::max<size_t>(length, 1) > max_bytes) break;
    if (length == 0)
      out.push_back('?');
    else
      out.append(text.substr(0, length));
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

void CborWriter::append(const void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out_.insert(out_.end(), bytes, bytes + size);
}

void CborWriter::head(CborKind kind, uint64_t argument) {
  const auto major = static_cast<uint8_t>(static_cast<uint8_t>(kind) << 5);
  if (argument < 24) {
    out_.push_back(static_cast<std::byte>(major | argument));
    return;
  }
  const int log_size = argument <= 0xff ? 0 : argument <= 0xffff ? 1 : argument <= 0xffff'ffff ? 2 : 3;
  std::array<std::byte, 9> head;
  const size_t size = size_t{1} << log_size;
  head[0] = static_cast<std::byte>(major | (24 + log_size));
  for (size_t i = 0; i < size; ++i) head[1 + i] = static_cast<std::byte>(argument >> (8 * (size - 1 - i)));
  append(head.data(), 1 + size);
}

void CborWriter::real(double value) {
  std::array<std::byte, 9> item;
  const auto bits = std::bit_cast<uint64_t>(value);
  item[0] = std::byte{0xfb};
  for (size_t i = 0; i < 8; ++i) item[1 + i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  append(item.data(), item.size());
}

void CborWriter::text(std::string_view value) {
  head(CborKind::Text, value.size());
  append(value.data(), value.size());
}

void CborWriter::bytes(std::span<const std::byte> value) {
  head(CborKind::Bytes, value.size());
  append(value.data(), value.size());
}

size_t CborWriter::begin_map() {
  out_.push_back(std::byte{0xa0});
  return out_.size() - 1;
}

// One byte was left for the head, which holds a count up to 23. A longer head moves the entries back.
void CborWriter::end_map(size_t at, uint64_t count) {
  CborWriter longer;
  longer.head(CborKind::Map, count);
  out_[at] = longer.out_.front();
  out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(at) + 1, longer.out_.begin() + 1, longer.out_.end());
}

std::optional<uint64_t> CborReader::head(CborKind kind) {
  if (in_.empty()) return std::nullopt;
  const auto first = static_cast<uint8_t>(in_[0]);
  if (first >> 5 != static_cast<uint8_t>(kind)) return std::nullopt;
  const uint8_t info = first & 0x1f;
  if (info < 24) {
    in_ = in_.subspan(1);
    return info;
  }
  if (info > 27) return std::nullopt;
  const size_t size = size_t{1} << (info - 24);
  if (in_.size() < 1 + size) return std::nullopt;
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<uint8_t>(in_[1 + i]);
  in_ = in_.subspan(1 + size);
  return value;
}

std::optional<uint64_t> CborReader::counted(CborKind kind, size_t least_bytes) {
  const auto before = in_;
  const auto count = head(kind);
  if (count && *count <= in_.size() / least_bytes) return count;
  in_ = before;
  return std::nullopt;
}

std::optional<std::span<const std::byte>> CborReader::string(CborKind kind) {
  const auto before = in_;
  const auto size = head(kind);
  if (!size || *size > in_.size()) {
    in_ = before;
    return std::nullopt;
  }
  const auto value = in_.first(*size);
  in_ = in_.subspan(*size);
  return value;
}

std::optional<std::string_view> CborReader::text() {
  const auto value = string(CborKind::Text);
  if (!value) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(value->data()), value->size());
}

std::optional<std::span<const std::byte>> CborReader::bytes() {
  return string(CborKind::Bytes);
}

std::optional<bool> CborReader::flag() {
  if (in_.empty() || (in_[0] != std::byte{0xf4} && in_[0] != std::byte{0xf5})) return std::nullopt;
  const bool value = in_[0] == std::byte{0xf5};
  in_ = in_.subspan(1);
  return value;
}

std::optional<double> CborReader::real() {
  if (in_.size() < 9 || in_[0] != std::byte{0xfb}) return std::nullopt;
  uint64_t bits = 0;
  for (size_t i = 1; i < 9; ++i) bits = bits << 8 | static_cast<uint8_t>(in_[i]);
  in_ = in_.subspan(9);
  return std::bit_cast<double>(bits);
}

}  // namespace quarry::wire
