#include <sched.h>
#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/worker/support.h"

namespace quarry::worker::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<BlobCache> open(const std::string& directory, uint64_t limit, const std::string& boot = "boot 1") {
  auto cache = BlobCache::open(directory, limit, boot);
  REQUIRE(cache.ok());
  return std::move(*cache);
}

std::vector<std::byte> blob(size_t bytes, int fill) {
  return std::vector<std::byte>(bytes, static_cast<std::byte>(fill));
}
BlobKey key_of(const std::vector<std::byte>& bytes) {
  return {sha256(bytes), false};
}

size_t files_below(const std::string& directory) {
  size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) count += entry.is_regular_file();
  return count;
}

TEST_CASE("a blob is found again, also by the next process") {
  const TemporaryDirectory directory;
  const auto bytes = blob(1000, 1);
  {
    const auto cache = open(directory.path(), 10'000);
    CHECK_FALSE(cache->find(key_of(bytes)));
    put(*cache, bytes);
    REQUIRE(cache->find(key_of(bytes)));
  }
  const auto cache = open(directory.path(), 10'000);
  const auto pin = cache->find(key_of(bytes));
  REQUIRE(pin);
  CHECK(pin->bytes() == 1000);
  std::vector<std::byte> read(1000);
  const auto file = pin->open();
  REQUIRE(file.ok());
  REQUIRE(read_exactly(file->get(), 0, read).ok());
  CHECK(read == bytes);
}

TEST_CASE("on a disk that is fuller than the bound expects, cached blobs make room and pinned ones stay") {
  const TemporaryDirectory directory;
  std::thread([&] {  // a mount that only this thread sees, and that goes with it
    const bool mounted = ::unshare(CLONE_NEWNS) == 0 &&
                         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=1m") == 0;
    if (!mounted) {
      WARN("only root may mount here");
      return;
    }
    const auto cache = open(directory.path(), 100 << 20);
    const auto pinned = put(*cache, blob(300'000, 1));
    for (int i = 2; i < 10; ++i) put(*cache, blob(300'000, i));
    CHECK(cache->find(key_of(blob(300'000, 9))));
    CHECK_FALSE(cache->find(key_of(blob(300'000, 2))));
    CHECK(cache->find(pinned.key()));
    const auto writer = cache->begin({sha256("too large"), false}, 900'000);
    REQUIRE_FALSE(writer.ok());
    CHECK(writer.problem().code == "cache_full");
    CHECK(files_below(directory.path() + "/incoming") == 0);
    CHECK(cache->used_bytes() == 300'000);
  })
      .join();
}

TEST_CASE("small blobs are bounded by their number, the least recently used go first, also at the next start") {
  const TemporaryDirectory directory;
  const auto open_three = [&] { return std::move(BlobCache::open(directory.path(), 10'000, "boot 1", 3).value()); };
  auto cache = open_three();
  for (int i = 0; i < 10; ++i) put(*cache, blob(1, i));
  CHECK(cache->used_bytes() == 3);
  CHECK(files_below(directory.path() + "/blobs") == 3);
  CHECK(cache->find(key_of(blob(1, 9))));
  CHECK_FALSE(cache->find(key_of(blob(1, 6))));
  cache = nullptr;
  CHECK(open_three()->used_bytes() <= 3);
}

TEST_CASE("a blob whose file was removed or cut short is not found, and can be fetched again") {
  const TemporaryDirectory directory;
  const auto cache = open(directory.path(), 10'000);
  const auto removed = blob(1000, 1), cut = blob(2000, 2);
  put(*cache, removed);
  put(*cache, cut);
  for (const auto& entry : fs::recursive_directory_iterator(directory.path() + "/blobs")) {
    if (!entry.is_regular_file()) continue;
    entry.file_size() == 1000 ? (void)fs::remove(entry.path()) : fs::resize_file(entry.path(), 500);
  }
  CHECK_FALSE(cache->find(key_of(removed)));
  CHECK_FALSE(cache->find(key_of(cut)));
  CHECK(cache->used_bytes() == 0);
  put(*cache, cut);
  CHECK(cache->find(key_of(cut)));
}

TEST_CASE("bytes that do not have the hash they are named by leave nothing behind") {
  const TemporaryDirectory directory;
  const auto cache = open(directory.path(), 10'000);
  auto writer = cache->begin({sha256("something else"), false}, 4);
  REQUIRE(writer.ok());
  REQUIRE((*writer)->append(blob(4, 7)).ok());
  const auto pin = (*writer)->commit();
  REQUIRE_FALSE(pin.ok());
  CHECK(pin.problem().code == "hash_mismatch");
  writer->reset();
  CHECK(cache->used_bytes() == 0);
  CHECK(files_below(directory.path()) == 1);  // the boot id
}

TEST_CASE("a blob that is shorter or longer than it was said to be is refused") {
  const TemporaryDirectory directory;
  const auto cache = open(directory.path(), 10'000);
  auto writer = cache->begin(key_of(blob(4, 1)), 8);
  REQUIRE((*writer)->append(blob(4, 1)).ok());
  CHECK((*writer)->commit().problem().code == "hash_mismatch");
  auto longer = cache->begin(key_of(blob(4, 1)), 2);
  CHECK((*longer)->append(blob(4, 1)).problem().code == "hash_mismatch");
}

TEST_CASE("the least recently used blob makes room") {
  const TemporaryDirectory directory;
  const auto cache = open(directory.path(), 3000);
  put(*cache, blob(1000, 1));
  put(*cache, blob(1000, 2));
  put(*cache, blob(1000, 3));
  REQUIRE(cache->find(key_of(blob(1000, 1))));  // now the second is the oldest
  put(*cache, blob(1000, 4));
  CHECK(cache->find(key_of(blob(1000, 1))));
  CHECK_FALSE(cache->find(key_of(blob(1000, 2))));
  CHECK(cache->used_bytes() == 3000);
}

TEST_CASE("a pinned blob is never removed, and what cannot fit beside it is refused") {
  const TemporaryDirectory directory;
  const auto cache = open(directory.path(), 3000);
  const BlobPin held = put(*cache, blob(2000, 1));
  const auto refused = cache->begin(key_of(blob(1500, 2)), 1500);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().code == "cache_full");
  CHECK(held.open().ok());
}

TEST_CASE("what a crash left half written is removed at the next start") {
  const TemporaryDirectory directory;
  open(directory.path(), 10'000);
  std::ofstream(directory.path() + "/incoming/0") << "half a blob";
  const auto cache = open(directory.path(), 10'000);
  CHECK(cache->used_bytes() == 0);
  CHECK(files_below(directory.path()) == 1);
}

TEST_CASE("after a crash of the machine the cache starts empty, as its files were not synced") {
  const TemporaryDirectory directory;
  put(*open(directory.path(), 10'000, "boot 1"), blob(10, 1));
  CHECK_FALSE(open(directory.path(), 10'000, "boot 2")->find(key_of(blob(10, 1))));
}

TEST_CASE("a smaller bound at the next start removes the oldest blobs") {
  const TemporaryDirectory directory;
  {
    const auto cache = open(directory.path(), 10'000);
    for (int fill = 0; fill < 5; ++fill) put(*cache, blob(1000, fill));
  }
  CHECK(open(directory.path(), 2000)->used_bytes() == 2000);
}

TEST_CASE("a discarded blob is gone once nobody uses it") {
  const TemporaryDirectory directory;
  const auto cache = open(directory.path(), 10'000);
  {
    const BlobPin held = put(*cache, blob(10, 1));
    cache->discard(held.key());
    CHECK_FALSE(cache->find(held.key()));
    CHECK(held.open().ok());
  }
  CHECK(cache->used_bytes() == 0);
}

}  // namespace
}  // namespace quarry::worker::test
