// Messages with every field filled, at random but reproducibly, by walking the table of fields that the codec walks.
#pragma once

#include <random>

#include "wire/fields.h"

namespace quarry::wire {

class Sampler {
 public:
  /// Fields that are newer than `version` keep their defaults.
  explicit Sampler(uint64_t seed, uint32_t version = kVersion) : random_(seed), version_(version) {}
  bool since(uint32_t version) const { return version_ >= version; }

  template <size_t... I>
  Message message(size_t index, std::index_sequence<I...>) {
    Message out;
    ((I == index ? fill(out.emplace<I>()) : void()), ...);
    return out;
  }
  Message message(size_t index) { return message(index, std::make_index_sequence<kMessages.size()>()); }

  template <class T>
  void number(std::string_view, T& v, uint64_t max = std::numeric_limits<T>::max()) {
    const uint64_t bits = random_() >> (random_() % 64);
    v = static_cast<T>(random_() % 8 == 0 ? max : max == ~uint64_t{0} ? bits : bits % (max + 1));
  }
  void real(std::string_view, double& v) { v = static_cast<double>(random_() >> 11) / 1e9; }
  void flag(std::string_view, bool& v) { v = random_() % 2; }
  void text(std::string_view, std::string& v, size_t max) { v = some_text(max); }
  void detail(std::string_view, std::string& v) { v = some_text(kMaxDetailBytes); }
  template <class Kind>
  void id(std::string_view, Id<Kind>& v) {
    for (auto& byte : v.bytes) byte = static_cast<uint8_t>(random_());
  }
  void digest(std::string_view, Digest& v) {
    for (auto& byte : v) byte = static_cast<uint8_t>(random_());
  }
  void bytes(std::string_view, std::vector<std::byte>& v, size_t max) {
    v.resize(random_() % 16 == 0 ? max : random_() % 100);
    for (auto& byte : v) byte = static_cast<std::byte>(random_());
  }
  template <class T>
  void object(std::string_view, T& v) {
    fill(v);
  }
  template <class T>
  void optional(std::string_view, std::optional<T>& v) {
    if (random_() % 2) fill(v.emplace());
  }
  void optional_bytes(std::string_view name, std::optional<std::vector<std::byte>>& v, size_t max) {
    if (random_() % 2) bytes(name, v.emplace(), max);
  }
  template <class T>
  void list(std::string_view, std::vector<T>& v, size_t) {
    v.resize(random_() % 4);
    for (T& item : v) fill(item);
  }
  template <class T>
  void optional_list(std::string_view name, std::optional<std::vector<T>>& v, size_t max) {
    if (random_() % 2) list(name, v.emplace(), max);
  }
  template <class Choice>
  void choice(std::string_view, Choice& v, Choice last) {
    v = static_cast<Choice>(random_() % (static_cast<uint64_t>(last) + 1));
  }
  void digests(std::string_view name, std::vector<Digest>& v, size_t) {
    v.resize(random_() % 4);
    for (auto& item : v) digest(name, item);
  }
  void numbers(std::string_view name, std::vector<uint64_t>& v, size_t) {
    v.resize(random_() % 4);
    for (auto& item : v) number(name, item);
  }
  template <class Kind>
  void ids(std::string_view name, std::vector<Id<Kind>>& v, size_t) {
    v.resize(random_() % 4);
    for (auto& item : v) id(name, item);
  }
  void rates(std::string_view name, std::map<std::string, double>& v, size_t) {
    for (uint64_t i = random_() % 4; i > 0; --i) real(name, v[some_text(kMaxCodeBytes)]);
  }
  void inputs(std::string_view name, std::map<std::string, std::vector<Extent>>& v, size_t, size_t) {
    for (uint64_t i = random_() % 4; i > 0; --i) list(name, v[some_text(kMaxLabelBytes)], 0);
  }

 private:
  template <class T>
  void fill(T& value) {
    fields(*this, value);
  }
  std::string some_text(size_t max) {
    static constexpr std::array<std::string_view, 5> kCharacters{"a", "\x7f", "\xc3\xa9", "\xe2\x82\xac",
                                                                 "\xf0\x9f\x98\x80"};
    std::string text;
    const uint64_t characters = random_() % 20;
    for (uint64_t i = 0; i < characters; ++i)
      if (const auto next = kCharacters[random_() % kCharacters.size()]; text.size() + next.size() <= max) text += next;
    return text;
  }

  std::mt19937_64 random_;
  const uint32_t version_;
};

}  // namespace quarry::wire
