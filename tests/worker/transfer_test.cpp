// Blobs on their way in and out, part by part, without a network: the test is the server.
#include <catch2/catch.hpp>
#include <deque>

#include "tests/worker/support.h"
#include "worker/blob_fetcher.h"
#include "worker/blob_uploader.h"

namespace quarry::worker::test {
namespace {

constexpr size_t kPart = wire::kMaxBlobPartBytes;

std::vector<std::byte> pattern(size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251);
  return out;
}

struct Fetching {
  explicit Fetching(std::vector<std::byte> content) : blob(std::move(content)), key{sha256(blob), false} {}

  void fetch() {
    fetcher.fetch(key, [this](Result<BlobPin> pin) {
      ++ends;
      if (!pin.ok()) problem = pin.problem().code;
    });
  }
  wire::BlobData answer(const wire::BlobGet& get) const {
    const auto from = blob.begin() + static_cast<ptrdiff_t>(get.offset);
    const auto bytes = static_cast<ptrdiff_t>(std::min<uint64_t>(get.bytes, blob.size() - get.offset));
    return {get.request, blob.size(), {from, from + bytes}, ""};
  }
  wire::BlobGet next() {
    REQUIRE_FALSE(asked.empty());
    const wire::BlobGet get = asked.front();
    asked.pop_front();
    return get;
  }
  void answer_all() {
    while (!asked.empty()) fetcher.received(answer(next()));
  }

  std::vector<std::byte> blob;
  BlobKey key;
  TemporaryDirectory directory;
  std::unique_ptr<BlobCache> cache = BlobCache::open(directory.path(), 1 << 30, "boot").value();
  std::deque<wire::BlobGet> asked;
  bool up = true;
  int ends = 0;
  std::string problem;
  BlobFetcher fetcher{*cache, [this](const wire::Message& message) {
                        if (up) asked.push_back(std::get<wire::BlobGet>(message));
                        return up;
                      }};
};

TEST_CASE("a blob of many parts is asked for ahead and joined in order") {
  Fetching f(pattern(20 * kPart + 5));
  f.fetch();
  f.fetcher.received(f.answer(f.next()));
  CHECK(f.asked.size() == 16);
  SECTION("as they come") {
    f.answer_all();
  }
  SECTION("overtaking one another") {
    while (!f.asked.empty()) {
      std::swap(f.asked.front(), f.asked.back());
      f.fetcher.received(f.answer(f.next()));
    }
  }
  CHECK(f.ends == 1);
  CHECK(f.problem.empty());
  CHECK(f.cache->find(f.key)->bytes() == f.blob.size());
}

TEST_CASE("an empty blob is a blob") {
  Fetching f({});
  f.fetch();
  f.answer_all();
  CHECK(f.ends == 1);
  CHECK(f.cache->find(f.key));
}

TEST_CASE("after a broken link a fetch goes on where it was, once its lease is said again") {
  Fetching f(pattern(5 * kPart));
  f.fetch();
  f.fetcher.received(f.answer(f.next()));
  f.fetcher.received(f.answer(f.next()));
  const wire::BlobGet late = f.next();
  f.asked.clear();
  f.fetcher.link_up();
  CHECK(f.asked.empty());
  f.fetcher.again(f.key);
  CHECK(f.asked.front().offset == 2 * kPart);
  f.fetcher.received(f.answer(late));  // of the earlier link: not counted twice
  f.answer_all();
  CHECK(f.ends == 1);
  CHECK(f.problem.empty());
}

TEST_CASE("wrong bytes, a changed size, an empty part and a missing blob end the fetch and leave nothing") {
  Fetching f(pattern(3 * kPart));
  f.fetch();
  wire::BlobData data = f.answer(f.next());
  std::string expected = "hash_mismatch";
  SECTION("wrong bytes") {
    data.bytes[0] ^= std::byte{1};
    f.fetcher.received(data);
    f.answer_all();
  }
  SECTION("a changed size") {
    f.fetcher.received(data);
    data = f.answer(f.next());
    data.total_bytes += 1;
    f.fetcher.received(data);
  }
  SECTION("an empty part") {
    data.bytes.clear();
    f.fetcher.received(data);
  }
  SECTION("a missing blob") {
    expected = "blob_missing";
    f.fetcher.received({data.request, 0, {}, "not_found"});
  }
  CHECK(f.ends == 1);
  CHECK(f.problem == expected);
  CHECK_FALSE(f.cache->find(f.key));
  CHECK(f.cache->used_bytes() == 0);
}

struct Uploading {
  explicit Uploading(std::vector<std::byte> content) : blob(std::move(content)) {
    file = std::make_shared<const FileDescriptor>(make_memory_file("blob", blob).value());
  }
  void put() {
    uploader.put(sha256(blob), blob.size(), file, [this](const Status& status) {
      ++ends;
      if (!status.ok()) problem = status.problem().code;
    });
  }
  void acknowledge_all() {
    while (!sent.empty()) {
      const wire::BlobPut part = sent.front();
      sent.pop_front();
      if (part.offset == 0) received.clear();
      received.insert(received.end(), part.bytes.begin(), part.bytes.end());
      uploader.received({part.request, received.size() == part.total_bytes, ""});
    }
  }
  std::vector<std::byte> blob, received;
  std::shared_ptr<const FileDescriptor> file;
  std::deque<wire::BlobPut> sent;
  bool up = true;
  int ends = 0;
  std::string problem;
  BlobUploader uploader{[this](const wire::Message& message) {
    if (up) sent.push_back(std::get<wire::BlobPut>(message));
    return up;
  }};
};

TEST_CASE("an output is put in parts, in order, with a bounded number on their way") {
  Uploading u(pattern(40 * kPart + 1));
  u.put();
  CHECK(u.sent.size() == 16);
  u.acknowledge_all();
  CHECK(u.ends == 1);
  CHECK(u.problem.empty());
  CHECK(u.received == u.blob);
}

TEST_CASE("an upload cut by a broken link starts again, and one without a link waits for it") {
  Uploading u(pattern(3 * kPart));
  u.up = false;
  u.put();
  CHECK(u.sent.empty());
  u.up = true;
  u.uploader.link_up();
  u.sent.pop_back();
  u.sent.clear();
  u.uploader.link_up();
  CHECK(u.sent.front().offset == 0);
  u.acknowledge_all();
  CHECK(u.ends == 1);
  CHECK(u.received == u.blob);
}

TEST_CASE("two puts of one blob are one upload, and a refusal reaches both") {
  Uploading u(pattern(100));
  u.put();
  u.put();
  REQUIRE(u.sent.size() == 1);
  u.uploader.received({u.sent.front().request, false, "no_space"});
  CHECK(u.ends == 2);
  CHECK(u.problem == "upload_failed");
}

}  // namespace
}  // namespace quarry::worker::test
