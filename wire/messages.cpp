#include "wire/messages.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "wire/cbor.h"
#include "wire/fields.h"

namespace quarry::wire {
namespace {

// Writes the fields of one map. Bounds are checked here too, so that a bug shows at its source and not at the peer.
class Encoder {
 public:
  Encoder(CborWriter& out, uint32_t version) : out_(out), version_(version) {}
  bool since(uint32_t version) const { return version_ >= version; }

  template <class T>
  void write_map(const T& value) {
    const uint64_t outer = std::exchange(count_, 0);
    const size_t at = out_.begin_map();
    fields(*this, value);
    out_.end_map(at, std::exchange(count_, outer));
  }
  void type(std::string_view name) {
    key("t");
    out_.text(name);
  }
  uint64_t count() const { return count_; }

  template <class T>
  void number(std::string_view name, const T& value, uint64_t max = std::numeric_limits<T>::max()) {
    require(std::cmp_greater_equal(value, 0) && std::cmp_less_equal(value, max), name);
    key(name);
    out_.number(static_cast<uint64_t>(value));
  }
  void real(std::string_view name, double value) {
    require(std::isfinite(value) && value >= 0, name);
    key(name);
    out_.real(value);
  }
  void flag(std::string_view name, bool value) {
    key(name);
    out_.flag(value);
  }
  void text(std::string_view name, const std::string& value, size_t max) {
    require(value.size() <= max && is_plain_text(value), name);
    key(name);
    out_.text(value);
  }
  void detail(std::string_view name, const std::string& value) {
    key(name);
    out_.text(clip_text(value, kMaxDetailBytes));
  }
  template <class Kind>
  void id(std::string_view name, const Id<Kind>& value) {
    key(name);
    out_.bytes(std::as_bytes(std::span(value.bytes)));
  }
  void digest(std::string_view name, const Digest& value) {
    key(name);
    out_.bytes(std::as_bytes(std::span(value)));
  }
  void bytes(std::string_view name, const std::vector<std::byte>& value, size_t max) {
    require(value.size() <= max, name);
    key(name);
    out_.bytes(value);
  }
  template <class T>
  void object(std::string_view name, const T& value) {
    key(name);
    write_map(value);
  }
  template <class T>
  void optional(std::string_view name, const std::optional<T>& value) {
    if (value) object(name, *value);
  }
  void optional_bytes(std::string_view name, const std::optional<std::vector<std::byte>>& value, size_t max) {
    if (value) bytes(name, *value, max);
  }
  template <class T>
  void list(std::string_view name, const std::vector<T>& values, size_t max) {
    require(values.size() <= max, name);
    key(name);
    out_.array(values.size());
    for (const T& value : values) write_map(value);
  }
  template <class T>
  void optional_list(std::string_view name, const std::optional<std::vector<T>>& values, size_t max) {
    if (values) list(name, *values, max);
  }
  template <class Choice>
  void choice(std::string_view name, const Choice& value, Choice last) {
    number(name, static_cast<uint64_t>(value), static_cast<uint64_t>(last));
  }
  template <class Kind>
  void ids(std::string_view name, const std::vector<Id<Kind>>& values, size_t max) {
    require(values.size() <= max, name);
    key(name);
    out_.array(values.size());
    for (const auto& value : values) out_.bytes(std::as_bytes(std::span(value.bytes)));
  }
  void digests(std::string_view name, const std::vector<Digest>& values, size_t max) {
    require(values.size() <= max, name);
    key(name);
    out_.array(values.size());
    for (const auto& value : values) out_.bytes(std::as_bytes(std::span(value)));
  }
  void numbers(std::string_view name, const std::vector<uint64_t>& values, size_t max) {
    require(values.size() <= max, name);
    key(name);
    out_.array(values.size());
    for (const uint64_t value : values) out_.number(value);
  }
  void rates(std::string_view name, const std::map<std::string, double>& values, size_t max) {
    require(values.size() <= max, name);
    key(name);
    out_.map(values.size());
    for (const auto& [rate, value] : values) {
      require(rate.size() <= kMaxCodeBytes && is_plain_text(rate) && std::isfinite(value) && value >= 0, name);
      out_.text(rate);
      out_.real(value);
    }
  }
  void inputs(std::string_view name, const std::map<std::string, std::vector<Extent>>& values, size_t max,
              size_t max_extents) {
    require(values.size() <= max, name);
    key(name);
    out_.map(values.size());
    for (const auto& [input, extents] : values) {
      require(input.size() <= kMaxLabelBytes && is_plain_text(input) && extents.size() <= max_extents, name);
      out_.text(input);
      out_.array(extents.size());
      for (const Extent& extent : extents) write_map(extent);
    }
  }

 private:
  void key(std::string_view name) {
    ++count_;
    out_.text(name);
  }
  static void require(bool holds, std::string_view name) {
    if (!holds)
      throw std::length_error("a message to send has a value out of bounds in the field '" + std::string(name) + "'");
  }

  CborWriter& out_;
  const uint32_t version_;
  uint64_t count_ = 0;  // fields of the open map
};

// Reads the fields of one map in the table's order. The first thing that is wrong is kept, with its path; then nothing
// more is read.
class Decoder {
 public:
  Decoder(CborReader& in, uint32_t version) : in_(in), version_(version) {}
  bool since(uint32_t version) const { return version_ >= version; }
  void set_version(uint32_t version) { version_ = version; }

  template <class T>
  void read_map(T& value) {
    if (problem_) return;
    const auto count = in_.map();
    if (!count) return fail("", "is not a map");
    const uint64_t outer = std::exchange(left_, *count);
    fields(*this, value);
    end_map();
    left_ = outer;
  }
  void begin_message() {
    if (const auto count = in_.map(); count)
      left_ = *count;
    else
      fail("", "the frame is not a map");
  }
  std::string_view type() {
    if (!next("t")) return {};
    return value("t", in_.text(), "is not text").value_or(std::string_view{});
  }
  void end_map() {
    if (problem_ || left_ == 0) return;
    const auto name = next_key_ ? std::exchange(next_key_, std::nullopt) : in_.text();
    fail(name && name->size() <= kMaxLabelBytes && is_plain_text(*name) ? *name : "?",
         "is no field of this message, or is out of its order");
  }
  void end_message() {
    if (!problem_ && !in_.at_end()) fail("", "bytes follow the message");
  }
  void fail(std::string_view name, const char* what) {
    if (problem_) return;
    std::string pointer;
    for (const auto& step : path_) pointer += "/" + step;
    if (!name.empty()) pointer += "/" + std::string(name);
    problem_ = Problem{"malformed_message", pointer + " " + what, pointer,
                       "Check that both sides run releases of Quarry that follow each other."};
  }
  const std::optional<Problem>& problem() const { return problem_; }

  template <class T>
  void number(std::string_view name, T& out, uint64_t max = std::numeric_limits<T>::max()) {
    if (!next(name)) return;
    const auto got = value(name, in_.number(), "is not an unsigned integer");
    if (!got) return;
    if (*got > max) return fail(name, "is out of range");
    out = static_cast<T>(*got);
  }
  void real(std::string_view name, double& out) {
    if (next(name)) out = amount(name);
  }
  void flag(std::string_view name, bool& out) {
    if (next(name)) out = value(name, in_.flag(), "is not true or false").value_or(false);
  }
  void text(std::string_view name, std::string& out, size_t max) {
    if (next(name)) out = plain_text(name, max);
  }
  void detail(std::string_view name, std::string& out) { text(name, out, kMaxDetailBytes); }
  template <class Kind>
  void id(std::string_view name, Id<Kind>& out) {
    if (next(name)) exact(name, out.bytes);
  }
  void digest(std::string_view name, Digest& out) {
    if (next(name)) exact(name, out);
  }
  void bytes(std::string_view name, std::vector<std::byte>& out, size_t max) {
    if (!next(name)) return;
    const auto got = value(name, in_.bytes(), "is not a byte string");
    if (!got) return;
    if (got->size() > max) return fail(name, "is too long");
    out.assign(got->begin(), got->end());
  }
  template <class T>
  void object(std::string_view name, T& out) {
    if (!next(name)) return;
    path_.emplace_back(name);
    read_map(out);
    path_.pop_back();
  }
  template <class T>
  void optional(std::string_view name, std::optional<T>& out) {
    if (peek(name)) object(name, out.emplace());
  }
  void optional_bytes(std::string_view name, std::optional<std::vector<std::byte>>& out, size_t max) {
    if (peek(name)) bytes(name, out.emplace(), max);
  }
  template <class T>
  void list(std::string_view name, std::vector<T>& out, size_t max) {
    if (!next(name)) return;
    path_.emplace_back(name);
    items(out, max);
    path_.pop_back();
  }
  template <class T>
  void optional_list(std::string_view name, std::optional<std::vector<T>>& out, size_t max) {
    if (peek(name)) list(name, out.emplace(), max);
  }
  template <class Choice>
  void choice(std::string_view name, Choice& out, Choice last) {
    uint64_t number_of_it = 0;
    number(name, number_of_it, static_cast<uint64_t>(last));
    out = static_cast<Choice>(number_of_it);
  }
  template <class Kind>
  void ids(std::string_view name, std::vector<Id<Kind>>& out, size_t max) {
    array_of(name, out, max, sizeof(IdBytes), [&](Id<Kind>& item) { exact(name, item.bytes); });
  }
  void digests(std::string_view name, std::vector<Digest>& out, size_t max) {
    array_of(name, out, max, sizeof(Digest), [&](Digest& item) { exact(name, item); });
  }
  void numbers(std::string_view name, std::vector<uint64_t>& out, size_t max) {
    array_of(name, out, max, 1,
             [&](uint64_t& item) { item = value(name, in_.number(), "is not an unsigned integer").value_or(0); });
  }
  void rates(std::string_view name, std::map<std::string, double>& out, size_t max) {
    if (!next(name)) return;
    const auto count = map_count(name, max);
    for (uint64_t i = 0; i < count && !problem_; ++i) {
      auto rate = plain_text(name, kMaxCodeBytes);
      const double value = amount(name);
      if (!problem_ && !out.emplace(std::move(rate), value).second) fail(name, "has an entry twice");
    }
  }
  void inputs(std::string_view name, std::map<std::string, std::vector<Extent>>& out, size_t max, size_t max_extents) {
    if (!next(name)) return;
    const auto count = map_count(name, max);
    for (uint64_t i = 0; i < count && !problem_; ++i) {
      const auto [at, inserted] = out.emplace(plain_text(name, kMaxLabelBytes), std::vector<Extent>{});
      if (!inserted) return fail(name, "has an entry twice");
      path_.emplace_back(name);
      items(at->second, max_extents);
      path_.pop_back();
    }
  }

 private:
  // The key of the next entry is read ahead once, so that an optional field can be asked for without consuming
  // another's key.
  bool peek(std::string_view name) {
    if (problem_ || left_ == 0) return false;
    if (!next_key_) next_key_ = in_.text();
    return next_key_ == name;
  }
  bool next(std::string_view name) {
    if (problem_) return false;
    if (!peek(name)) {
      fail(name, "is missing");
      return false;
    }
    next_key_.reset();
    --left_;
    return true;
  }
  template <class T>
  std::optional<T> value(std::string_view name, std::optional<T> got, const char* what) {
    if (!got) fail(name, what);
    return got;
  }
  double amount(std::string_view name) {
    const auto got = problem_ ? std::nullopt : value(name, in_.real(), "is not a double");
    if (!got) return 0;
    if (!std::isfinite(*got) || *got < 0) fail(name, "is not finite and at least 0");
    return *got;
  }
  std::string plain_text(std::string_view name, size_t max) {
    const auto got = problem_ ? std::nullopt : value(name, in_.text(), "is not text");
    if (!got) return {};
    if (got->size() > max)
      fail(name, "is too long");
    else if (!is_plain_text(*got))
      fail(name, "is not UTF-8 without NUL");
    return problem_ ? std::string() : std::string(*got);
  }
  template <size_t N>
  void exact(std::string_view name, std::array<uint8_t, N>& out) {
    const auto got = problem_ ? std::nullopt : value(name, in_.bytes(), "is not a byte string");
    if (!got) return;
    if (got->size() != N) return fail(name, "has the wrong length");
    std::transform(got->begin(), got->end(), out.begin(), [](std::byte b) { return static_cast<uint8_t>(b); });
  }
  uint64_t map_count(std::string_view name, size_t max) {
    const auto count = value(name, in_.map(), "is not a map, or is cut short");
    if (count && *count > max) fail(name, "has too many entries");
    return problem_ ? 0 : *count;
  }
  template <class T, class Read>
  void array_of(std::string_view name, std::vector<T>& out, size_t max, size_t least_bytes, Read read) {
    if (!next(name)) return;
    const auto count = value(name, in_.array(least_bytes), "is not an array, or is cut short");
    if (!count) return;
    if (*count > max) return fail(name, "has too many items");
    out.resize(*count);
    for (T& item : out)
      if (!problem_) read(item);
  }
  template <class T>
  void items(std::vector<T>& out, size_t max) {
    const auto count = in_.array();
    if (!count) return fail("", "is not an array, or is cut short");
    if (*count > max) return fail("", "has too many items");
    for (uint64_t i = 0; i < *count && !problem_; ++i) {
      path_.push_back(std::to_string(i));
      read_map(out.emplace_back());
      path_.pop_back();
    }
  }

  CborReader& in_;
  uint32_t version_;
  uint64_t left_ = 0;                         // entries of the open map not yet read
  std::optional<std::string_view> next_key_;  // read ahead
  std::vector<std::string> path_;
  std::optional<Problem> problem_;
};

template <size_t... I>
std::optional<Message> make_message(std::string_view name, uint32_t version, std::index_sequence<I...>) {
  std::optional<Message> message;
  ((name == kMessages[I].name && version >= kMessages[I].since ? void(message.emplace(std::in_place_index<I>))
                                                               : void()),
   ...);
  return message;
}

template <class M, size_t... I>
constexpr size_t index_of(std::index_sequence<I...>) {
  return ((std::same_as<M, std::variant_alternative_t<I, Message>> ? I : 0) + ...);
}
template <class M>
constexpr MessageEntry kEntry = kMessages[index_of<M>(std::make_index_sequence<kMessages.size()>())];

/// What agrees on a version cannot depend on it.
template <class M>
constexpr uint32_t form_of(uint32_t version) {
  return Handshake<M> ? kOldestVersion : version;
}

template <class M>
void write_message(CborWriter& out, const M& message, uint32_t version) {
  Encoder encoder(out, form_of<M>(version));
  const size_t at = out.begin_map();
  encoder.type(kEntry<M>.name);
  fields(encoder, message);
  out.end_map(at, encoder.count());
}

template <class M>
void append_frames(const M& message, uint32_t version, std::vector<std::vector<std::byte>>& frames);

// Two halves of a batch, each with everything else of the message.
template <Batch M>
void append_halves(const M& message, uint32_t version, std::vector<std::vector<std::byte>>& frames) {
  for (const bool first : {true, false}) {
    M half = message;
    auto& items = batch_of(half);
    const auto middle = items.begin() + static_cast<std::ptrdiff_t>(items.size() / 2);
    if (first) {
      items.erase(middle, items.end());
    } else {
      items.erase(items.begin(), middle);
    }
    append_frames(half, version, frames);
  }
}

template <class M>
void append_frames(const M& message, uint32_t version, std::vector<std::vector<std::byte>>& frames) {
  if constexpr (Batch<M>)
    if (batch_of(message).size() > kMaxBatch) return append_halves(message, version, frames);
  CborWriter out(kFramePrefixBytes);
  write_message(out, message, version);
  auto frame = out.take();
  const size_t size = frame.size() - kFramePrefixBytes;
  if constexpr (Batch<M>)
    if (size > kMaxFrameBytes && batch_of(message).size() > 1) return append_halves(message, version, frames);
  if (size > kMaxFrameBytes) throw std::length_error("a message to send does not fit into one frame");
  for (size_t i = 0; i < kFramePrefixBytes; ++i)
    frame[i] = static_cast<std::byte>(size >> (8 * (kFramePrefixBytes - 1 - i)));
  frames.push_back(std::move(frame));
}

}  // namespace

std::vector<std::byte> encode(const Message& message, uint32_t version) {
  CborWriter out;
  std::visit(
      [&]<class M>(const M& value) {
        if (version < kEntry<M>.since)
          throw std::length_error("version " + std::to_string(version) + " has no message '" +
                                  std::string(kEntry<M>.name) + "'");
        write_message(out, value, version);
      },
      message);
  return out.take();
}

std::vector<std::vector<std::byte>> encode_frames(const Message& message, uint32_t version) {
  std::vector<std::vector<std::byte>> frames;
  std::visit(
      [&]<class M>(const M& value) {
        if (version >= kEntry<M>.since) append_frames(value, version, frames);
      },
      message);
  return frames;
}

Result<Message> decode(std::span<const std::byte> frame, uint32_t version) {
  if (frame.size() > kMaxFrameBytes) return Problem{"malformed_message", "The frame is over 8 MiB.", "", ""};
  CborReader in(frame);
  Decoder decoder(in, version);
  decoder.begin_message();
  const std::string_view type = decoder.type();
  auto message = make_message(type, version, std::make_index_sequence<kMessages.size()>());
  if (!message)
    decoder.fail("t", "names no message of this version");
  else
    std::visit(
        [&]<class M>(M& value) {
          decoder.set_version(form_of<M>(version));
          fields(decoder, value);
        },
        *message);
  decoder.end_map();
  decoder.end_message();
  if (decoder.problem()) return *decoder.problem();
  return std::move(*message);
}

std::optional<uint32_t> agreed_version(uint32_t peer_oldest, uint32_t peer_newest) {
  if (peer_oldest > kVersion || peer_newest < kOldestVersion || peer_oldest > peer_newest) return std::nullopt;
  return std::min(peer_newest, kVersion);
}

}  // namespace quarry::wire
