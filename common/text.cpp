#include "common/text.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "common/utf8.h"

namespace quarry {

size_t utf8_character_bytes(std::string_view text) {
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<uint8_t>(text[at]) : uint32_t{0}; };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return text.empty() ? 0 : 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  uint32_t point = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xd800 && point < 0xe000;
  return overlong || surrogate || point > 0x10ffff ? 0 : length;
}

namespace {

constexpr size_t kMaxQuotedBytes = 64;

bool is_control(char c) {
  return static_cast<uint8_t>(c) < 0x20 || c == 0x7f;
}

std::string printable(std::string_view text) {
  std::string out;
  size_t i = 0;
  while (i < text.size() && i < kMaxQuotedBytes) {
    const size_t length = utf8_character_bytes(text.substr(i));
    if (length == 0 || is_control(text[i])) {
      out += '?';
      ++i;
      continue;
    }
    out += text.substr(i, length);
    i += length;
  }
  return i < text.size() ? out + "..." : out;
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment), letter case ignored.
size_t edit_distance(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) { return (x | 0x20) == (y | 0x20); };
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1)});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_character_bytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool is_plain_text(std::string_view text) {
  return std::ranges::none_of(text, is_control) && is_utf8(text);
}

std::string quote(std::string_view text) {
  return "\"" + printable(text) + "\"";
}

std::string json_pointer(std::string_view parent, std::string_view member) {
  std::string pointer = std::string(parent) + "/";
  for (char c : printable(member)) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c;
  }
  return pointer;
}

std::string suggestion(std::string_view word, std::span<const std::string_view> known) {
  constexpr size_t kMaxCompared = 1000;  // a stranger may have chosen both the word and the names
  std::string_view nearest;
  size_t least = SIZE_MAX;
  for (std::string_view candidate : known.first(std::min(known.size(), kMaxCompared))) {
    // At most a third of the letters may differ: further away the list helps more than a guess.
    const size_t most = std::max<size_t>(1, candidate.size() / 3);
    const size_t longer = std::max(word.size(), candidate.size()), shorter = std::min(word.size(), candidate.size());
    if (longer > kMaxQuotedBytes || longer - shorter > most) continue;
    const size_t distance = edit_distance(word, candidate);
    if (distance <= most && distance < least) least = distance, nearest = candidate;
  }
  if (!nearest.empty()) return "did you mean " + quote(nearest) + "?";
  constexpr size_t kMaxListed = 32;
  std::string list = "known are ";
  for (size_t i = 0; i < std::min(known.size(), kMaxListed); ++i) list += (i > 0 ? ", " : "") + printable(known[i]);
  if (known.size() > kMaxListed) list += ", ...";
  return list;
}

}  // namespace quarry
