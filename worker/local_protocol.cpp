#include "worker/local_protocol.h"

#include <bit>
#include <cstring>
#include <type_traits>

#include "engine/graph/limits.h"

namespace quarry::worker {
namespace {

constexpr size_t kMaxSandboxLayers = 32;
constexpr size_t kMaxShortText = 256;
static_assert(std::endian::native == std::endian::little,
              "the local protocol is in host order: both ends are on one machine");

// One list of fields a message, read by both archives below, so that writing and reading cannot drift apart.
class Writer {
 public:
  std::vector<std::byte> take() && { return std::move(out_); }
  bool failed() const { return false; }

  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(const T& value) { raw(std::as_bytes(std::span(&value, 1))); }
  /// An enumeration of bytes, `last` being its highest.
  template <class T>
  void choice(const T& value, T) {
    (*this)(static_cast<uint8_t>(value));
  }
  void digest(const Digest& value) { raw(std::as_bytes(std::span(value))); }
  void text(const std::string& value, size_t) {
    (*this)(static_cast<uint64_t>(value.size()));
    raw(std::as_bytes(std::span(value)));
  }
  void bytes(const std::vector<std::byte>& value, size_t) {
    (*this)(static_cast<uint64_t>(value.size()));
    raw(value);
  }
  template <class T>
  void list(const std::vector<T>& values, size_t) {
    (*this)(static_cast<uint64_t>(values.size()));
    for (const T& value : values) fields(*this, value);
  }

 private:
  void raw(std::span<const std::byte> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  std::vector<std::byte> out_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  bool failed() const { return failed_; }
  bool at_end() const { return in_.empty(); }

  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      (*this)(byte);
      if (byte > 1) failed_ = true;
      value = byte == 1;
    } else {
      raw(std::as_writable_bytes(std::span(&value, 1)));
    }
  }
  template <class T>
  void choice(T& value, T last) {
    uint8_t byte = 0;
    (*this)(byte);
    if (byte > static_cast<uint8_t>(last)) failed_ = true;
    value = static_cast<T>(byte);
  }
  void digest(Digest& value) { raw(std::as_writable_bytes(std::span(value))); }
  void text(std::string& value, size_t limit) {
    value.resize(length(limit));
    raw(std::as_writable_bytes(std::span(value)));
  }
  void bytes(std::vector<std::byte>& value, size_t limit) {
    value.resize(length(limit));
    raw(value);
  }
  template <class T>
  void list(std::vector<T>& values, size_t limit) {
    const size_t count = length(limit);
    for (size_t i = 0; i < count && !failed_; ++i) fields(*this, values.emplace_back());
  }

 private:
  /// A length within its limit and within what is left: every element takes at least one byte, so memory stays bounded
  /// by the message.
  size_t length(size_t limit) {
    uint64_t value = 0;
    (*this)(value);
    if (value > limit || value > in_.size()) failed_ = true;
    return failed_ ? 0 : static_cast<size_t>(value);
  }
  void raw(std::span<std::byte> out) {
    if (out.size() > in_.size()) failed_ = true;
    if (failed_ || out.empty()) return;
    std::memcpy(out.data(), in_.data(), out.size());
    in_ = in_.subspan(out.size());
  }
  std::span<const std::byte> in_;
  bool failed_ = false;
};

// M is T or const T: the writer never changes a message.
template <class A, class M, class T>
concept FieldsOf = std::is_same_v<std::remove_const_t<M>, T>;

template <class A, class M>
requires FieldsOf<A, M, AttachBlobs> || FieldsOf<A, M, CancelJob>
void fields(A& a, M& m) {
  a(m.ticket);
}
template <class A, class M>
requires FieldsOf<A, M, LocalExtent>
void fields(A& a, M& m) {
  a(m.blob), a(m.offset), a(m.bytes);
}
template <class A, class M>
requires FieldsOf<A, M, LocalInput>
void fields(A& a, M& m) {
  a.text(m.name, graph::kMaxNameBytes), a.list(m.extents, kMaxExtentsPerInput);
}
template <class A, class M>
requires FieldsOf<A, M, StartJob>
void fields(A& a, M& m) {
  a(m.ticket), a.digest(m.graph), a.text(m.job_document, kMaxLocalMessageBytes);
  a(m.first_step), a(m.steps), a(m.last_segment), a(m.memory_bound_bytes);
  a.list(m.inputs, graph::kMaxNodes), a(m.tenant);
}
template <class A, class M>
requires FieldsOf<A, M, JobStarted>
void fields(A& a, M& m) {
  a(m.ticket);
}
template <class A, class M>
requires FieldsOf<A, M, Calibrate>
void fields(A& a, M& m) {
  a(m.whole);
}
template <class A, class M>
requires FieldsOf<A, M, SandboxLayer>
void fields(A& a, M& m) {
  a.text(m.name, kMaxShortText), a(m.applied), a.text(m.detail, kMaxDetailBytes);
}
template <class A, class M>
requires FieldsOf<A, M, Ready>
void fields(A& a, M& m) {
  a.text(m.device_name, kMaxShortText), a.text(m.backend, kMaxShortText), a.text(m.driver, kMaxDetailBytes);
  a(m.memory_bytes), a(m.compute_units), a.list(m.sandbox, kMaxSandboxLayers);
}
template <class A, class M>
requires FieldsOf<A, M, CannotServe>
void fields(A& a, M& m) {
  a.text(m.detail, kMaxDetailBytes);
}
template <class A, class M>
requires FieldsOf<A, M, JobProgress>
void fields(A& a, M& m) {
  a(m.ticket), a.choice(m.phase, JobPhase::Running), a(m.done), a(m.total);
}
template <class A, class M>
requires FieldsOf<A, M, JobOutput>
void fields(A& a, M& m) {
  a(m.ticket), a(m.carried), a.text(m.name, graph::kMaxNameBytes), a(m.bytes);
}
template <class A, class M>
requires FieldsOf<A, M, InlineOutput>
void fields(A& a, M& m) {
  a(m.carried), a.text(m.name, graph::kMaxNameBytes), a.bytes(m.bytes, kMaxLocalInlineBytes);
}
template <class A, class M>
requires FieldsOf<A, M, JobDone>
void fields(A& a, M& m) {
  a(m.ticket), a.list(m.outputs, 2 * graph::kMaxOutputs), a(m.device_ns), a(m.compile_ns);
}
template <class A, class M>
requires FieldsOf<A, M, JobFailed>
void fields(A& a, M& m) {
  a(m.ticket), a.text(m.code, kMaxShortText), a.text(m.detail, kMaxDetailBytes);
}
template <class A, class M>
requires FieldsOf<A, M, Calibrated>
void fields(A& a, M& m) {
  a(m.f16_flops_per_s), a(m.f32_flops_per_s), a(m.f64_flops_per_s), a(m.bytes_per_s), a(m.launches_per_s);
}

template <class Variant>
std::vector<std::byte> encode_variant(const Variant& message) {
  Writer writer;
  writer(static_cast<uint8_t>(message.index()));
  std::visit([&](const auto& m) { fields(writer, m); }, message);
  return std::move(writer).take();
}

template <class Variant, size_t I = 0>
bool emplace_alternative(Variant& message, size_t index) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (index != I) return emplace_alternative<Variant, I + 1>(message, index);
    message.template emplace<I>();
    return true;
  }
  return false;
}

template <class Variant>
Result<Variant> decode_variant(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  uint8_t kind = 0;
  reader(kind);
  Variant message;
  if (reader.failed() || !emplace_alternative(message, kind))
    return Problem{"local_protocol", "a message of unknown kind " + std::to_string(kind), "", ""};
  std::visit([&](auto& m) { fields(reader, m); }, message);
  if (reader.failed() || !reader.at_end())
    return Problem{"local_protocol", "a malformed message of kind " + std::to_string(kind), "", ""};
  return message;
}

}  // namespace

std::vector<std::byte> encode(const ToExecutor& message) {
  return encode_variant(message);
}
std::vector<std::byte> encode(const FromExecutor& message) {
  return encode_variant(message);
}
Result<ToExecutor> decode_to_executor(std::span<const std::byte> bytes) {
  return decode_variant<ToExecutor>(bytes);
}
Result<FromExecutor> decode_from_executor(std::span<const std::byte> bytes) {
  return decode_variant<FromExecutor>(bytes);
}

}  // namespace quarry::worker
