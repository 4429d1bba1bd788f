#include "wire/messages.h"

#include <catch2/catch.hpp>
#include <stdexcept>

#include "tests/wire/sample.h"
#include "wire/cbor.h"

using namespace quarry;
using namespace quarry::wire;

namespace {

Fence some_fence(uint8_t n) {
  Fence fence{1234567890123456789u, {}, 3, 42, 2};
  fence.job.bytes[15] = n;
  return fence;
}

// A map of one type and the given raw items after it.
std::vector<std::byte> frame_of(std::string_view type, unsigned entries, const std::function<void(CborWriter&)>& rest) {
  CborWriter out;
  out.map(entries);
  out.text("t");
  out.text(type);
  rest(out);
  return out.take();
}

}  // namespace

TEST_CASE("every message comes back as it was sent") {
  for (uint64_t seed = 0; seed < 50; ++seed)
    for (size_t type = 0; type < kMessages.size(); ++type) {
      INFO("seed " << seed << ", message " << kMessages[type].name);
      const Message message = Sampler(seed * 1000 + type).message(type);
      const auto bytes = encode(message);
      const auto back = decode(bytes);
      REQUIRE(back.ok());
      REQUIRE(back.value().index() == type);
      REQUIRE(encode(back.value()) == bytes);
    }
}

TEST_CASE("in every version a message comes back with what that version has, and defaults for the rest") {
  for (uint32_t version = kOldestVersion; version <= kVersion; ++version)
    for (uint64_t seed = 0; seed < 20; ++seed)
      for (size_t type = 0; type < kMessages.size(); ++type) {
        INFO("version " << version << ", seed " << seed << ", message " << kMessages[type].name);
        const Message sent = Sampler(seed * 1000 + type).message(type);  // with every field of the newest version
        if (version < kMessages[type].since) {
          CHECK(encode_frames(sent, version).empty());
          CHECK(decode(encode(sent), version).problem().pointer == "/t");
          continue;
        }
        const auto bytes = encode(sent, version);
        const auto back = decode(bytes, version);
        REQUIRE(back.ok());
        REQUIRE(encode(*back, version) == bytes);
        // Had the fields of newer versions not kept their defaults, the newest form would show it.
        const Message plain = Sampler(seed * 1000 + type, version).message(type);
        const auto plain_back = decode(encode(plain, version), version);
        REQUIRE(plain_back.ok());
        REQUIRE(encode(*plain_back) == encode(plain));
      }
}

TEST_CASE("a field of another version is refused, whichever side is older") {
  const Message progress = Progress{{{some_fence(1), 1, 2, Phase::Compiling, 212, 1'050}}};
  CHECK(decode(encode(progress, 2), 1).problem().pointer == "/attempts/0/phase");
  CHECK(decode(encode(progress, 1), 2).problem().pointer == "/attempts/0/phase");
}

TEST_CASE("what agrees on the version has one form for ever") {
  for (size_t type = 0; type < kMessages.size(); ++type) {
    const Message message = Sampler(type).message(type);
    const bool handshake = std::visit([]<class M>(const M&) { return Handshake<M>; }, message);
    for (uint32_t version = kOldestVersion; handshake && version <= kVersion; ++version)
      CHECK(encode(message, version) == encode(message, kOldestVersion));
  }
}

TEST_CASE("both sides use the newest version that both speak") {
  CHECK(agreed_version(kOldestVersion, kVersion) == kVersion);
  CHECK(agreed_version(kOldestVersion, kVersion + 5) == kVersion);
  CHECK(agreed_version(kOldestVersion, kVersion - 1) == kVersion - 1);
  CHECK_FALSE(agreed_version(kVersion + 1, kVersion + 2));
  CHECK_FALSE(agreed_version(0, kOldestVersion - 1));
  CHECK_FALSE(agreed_version(kVersion, kOldestVersion));
}

TEST_CASE("version 1 is on the wire as its first release wrote it") {
  constexpr size_t kFirstMessages = 23;
  Sha256 hash;
  for (uint64_t seed = 0; seed < 50; ++seed)
    for (size_t type = 0; type < kFirstMessages; ++type)
      hash.update(encode(Sampler(seed * 1000 + type, 1).message(type), 1));
  CHECK(to_hex(hash.finish()) == "7cc3268b5f46920578c6f93483690dc056afad07a5bf6b8141c39c2f82c65eaf");
}

TEST_CASE("a map's count is written in full, however many entries it has") {
  for (const unsigned count : {0U, 1U, 23U, 24U, 25U, 255U, 256U, 300U, 70'000U}) {
    CborWriter out;
    const size_t outer = out.begin_map();
    out.text("inner");
    const size_t at = out.begin_map();
    for (unsigned i = 0; i < count; ++i) {
      out.number(i);
      out.number(i);
    }
    out.end_map(at, count);
    out.end_map(outer, 1);
    const auto bytes = out.take();
    CborReader in(bytes);
    REQUIRE(in.map() == 1);
    REQUIRE(in.text() == "inner");
    REQUIRE(in.map() == count);
    for (unsigned i = 0; i < 2 * count; ++i) REQUIRE(in.number() == i / 2);
    CHECK(in.at_end());
  }
}

TEST_CASE("a fence, an optional and bytes keep their values") {
  const Message sent =
      AttemptsEnded{{{some_fence(7), {}, false, "device_error", ReadyJob{{}, {}, 3, 99, 1024, 0x80, 5}}}};
  const auto got = decode(encode(sent));
  REQUIRE(got.ok());
  const auto& ended = std::get<AttemptsEnded>(got.value()).attempts.at(0);
  CHECK(ended.fence == some_fence(7));
  CHECK(ended.code == "device_error");
  REQUIRE(ended.next);
  CHECK(ended.next->submitted_at_us == 99);
}

TEST_CASE("a frame cut short anywhere is refused") {
  for (size_t type = 0; type < kMessages.size(); ++type) {
    const auto bytes = encode(Sampler(type).message(type));
    const size_t step = std::max<size_t>(1, bytes.size() / 300);
    for (size_t size = 0; size < bytes.size(); size += step) REQUIRE_FALSE(decode(std::span(bytes).first(size)).ok());
  }
}

TEST_CASE("a frame with any byte changed is refused or still within all bounds") {
  for (size_t type = 0; type < kMessages.size(); ++type) {
    const auto bytes = encode(Sampler(type + 100).message(type));
    const size_t step = std::max<size_t>(1, bytes.size() / 200);
    for (size_t at = 0; at < bytes.size(); at += step)
      for (int flip : {0x01, 0x20, 0x80, 0xff}) {
        auto changed = bytes;
        changed[at] ^= static_cast<std::byte>(flip);
        if (const auto message = decode(changed); message.ok()) CHECK_NOTHROW(encode(message.value()));
      }
  }
}

TEST_CASE("an unknown message is refused by name") {
  const auto problem = decode(frame_of("launch_missiles", 1, [](CborWriter&) {})).problem();
  CHECK(problem.pointer == "/t");
}

TEST_CASE("an unknown field is refused and named") {
  const auto refused = decode(frame_of("heartbeat", 3, [](CborWriter& out) {
    out.text("running");
    out.number(1);
    out.text("mood");
    out.text("fine");
  }));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().pointer == "/mood");
}

TEST_CASE("a missing field is refused and named with its path") {
  const auto refused = decode(frame_of("session_down", 2, [](CborWriter& out) {
    out.text("session");
    out.map(0);
  }));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().pointer == "/session/id");
}

TEST_CASE("a field given twice is refused") {
  CHECK_FALSE(decode(frame_of("heartbeat", 3, [](CborWriter& out) {
                for (int i = 0; i < 2; ++i) {
                  out.text("running");
                  out.number(1);
                }
              })).ok());
}

TEST_CASE("a number out of its range is refused") {
  CHECK_FALSE(decode(frame_of("heartbeat", 2, [](CborWriter& out) {
                out.text("running");
                out.number(uint64_t{1} << 31);
              })).ok());
}

TEST_CASE("text that PostgreSQL could not hold is refused") {
  for (const std::string_view text : {std::string_view("a\0b", 3), std::string_view("\xff"),
                                      std::string_view("\xc0\x80"), std::string_view("\xed\xa0\x80")}) {
    CHECK_FALSE(decode(frame_of("refusal", 3, [&](CborWriter& out) {
                  out.text("code");
                  out.text(text);
                  out.text("detail");
                  out.text("");
                })).ok());
  }
}

TEST_CASE("a list that claims more items than the frame could hold is refused before anything is allocated") {
  CHECK_FALSE(decode(frame_of("leases", 2, [](CborWriter& out) {
                out.text("leases");
                out.array(uint64_t{1} << 40);
              })).ok());
}

TEST_CASE("bytes after the message are refused") {
  auto bytes = encode(Heartbeat{1});
  bytes.push_back(std::byte{0});
  CHECK_FALSE(decode(bytes).ok());
}

TEST_CASE("deep nesting is refused without recursion") {
  std::vector<std::byte> bytes(1 << 20, std::byte{0x81});
  CHECK_FALSE(decode(bytes).ok());
}

TEST_CASE("a long failure text is clipped on a whole character") {
  std::string detail;
  while (detail.size() < 3'000) detail += "\xe2\x82\xac";
  const auto got = decode(encode(Refusal{"code", detail + std::string("\0", 1)}));
  REQUIRE(got.ok());
  const auto& clipped = std::get<Refusal>(got.value()).detail;
  CHECK(clipped.size() == kMaxDetailBytes / 3 * 3);
}

TEST_CASE("sending a value past its bound is a bug that names the field") {
  CHECK_THROWS_AS(encode(Heartbeat{-1}), std::length_error);
  CHECK_THROWS_WITH(encode(BlobPut{1, {}, 10, 0, std::vector<std::byte>(kMaxBlobPartBytes + 1)}),
                    Catch::Contains("'bytes'"));
}

TEST_CASE("a batch too large for one frame is sent as several, in order") {
  Completions batch;
  for (uint8_t i = 0; i < 200; ++i) {
    Completion completion{some_fence(i), {}, {}, 0, 0, 0, ""};
    for (int k = 0; k < 5; ++k)
      completion.kept.push_back({"y" + std::to_string(k), {}, 16'384, std::vector<std::byte>(kMaxInlineOutputBytes)});
    batch.completions.push_back(std::move(completion));
  }
  uint8_t next = 0;
  const auto frames = encode_frames(batch);
  CHECK(frames.size() >= 2);
  for (const auto& frame : frames) {
    REQUIRE(frame.size() <= kFramePrefixBytes + kMaxFrameBytes);
    const auto part = decode(std::span(frame).subspan(kFramePrefixBytes));
    REQUIRE(part.ok());
    for (const auto& completion : std::get<Completions>(part.value()).completions)
      CHECK(completion.fence == some_fence(next++));
  }
  CHECK(next == 200);
}

TEST_CASE("a batch of more than the allowed items is sent as several") {
  SessionsSeen seen;
  seen.sessions.resize(5'000);
  size_t items = 0;
  for (const auto& frame : encode_frames(seen)) {
    const auto part = decode(std::span(frame).subspan(kFramePrefixBytes));
    REQUIRE(part.ok());
    items += std::get<SessionsSeen>(part.value()).sessions.size();
  }
  CHECK(items == 5'000);
}

TEST_CASE("the largest part of a blob arrives byte by byte") {
  const BlobData part{1, 1 << 30, std::vector<std::byte>(kMaxBlobPartBytes, std::byte{7}), ""};
  const auto arrived = decode(encode(part));
  REQUIRE(arrived.ok());
  CHECK(std::get<BlobData>(*arrived).bytes == part.bytes);
}
