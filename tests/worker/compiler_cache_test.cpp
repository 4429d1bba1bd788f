// What an executor may load from its compiler cache after others have written there.
#include "worker/compiler_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/worker/support.h"

namespace quarry::worker::test {
namespace {

namespace fs = std::filesystem;

struct Cache {
  Cache() { fs::create_directories(path / "pocl/AB"); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path / name) << text; }
  bool has(const std::string& name) const { return fs::exists(fs::symlink_status(path / name)); }
  void seal(NewFiles new_files = NewFiles::Keep, const std::string& boot = "one boot") const {
    REQUIRE(seal_compiler_cache(path.string(), path.string() + ".seal", new_files, boot, ::getuid()).ok());
  }
  TemporaryDirectory directory;
  fs::path path = directory.path() + "/compiler";
};

TEST_CASE("a compiled kernel that was changed after it was sealed is removed") {
  const Cache cache;
  cache.seal();
  cache.write("a.bin", "a kernel");
  cache.write("pocl/AB/b.so", "another");
  cache.seal();
  REQUIRE(cache.has("a.bin"));
  SECTION("of another length") {
    cache.write("pocl/AB/b.so", "another one");
  }
  SECTION("of the same length and time") {
    const auto time = fs::last_write_time(cache.path / "pocl/AB/b.so");
    cache.write("pocl/AB/b.so", "Another");
    fs::last_write_time(cache.path / "pocl/AB/b.so", time);
  }
  SECTION("emptied") {
    cache.write("pocl/AB/b.so", "");
  }
  cache.seal();
  CHECK(cache.has("a.bin"));
  CHECK_FALSE(cache.has("pocl/AB/b.so"));
}

TEST_CASE("what an executor compiled is kept, unless it crashed or the machine did") {
  const Cache cache;
  cache.seal();
  cache.write("old.bin", "sealed");
  cache.seal();
  cache.write("new.bin", "not sealed yet");
  SECTION("an executor that ended well") {
    cache.seal();
    CHECK(cache.has("new.bin"));
  }
  SECTION("an executor that crashed") {
    cache.seal(NewFiles::Drop);
    CHECK_FALSE(cache.has("new.bin"));
  }
  SECTION("a machine that started again: files are not synced") {
    cache.seal(NewFiles::Keep, "another boot");
    CHECK_FALSE(cache.has("new.bin"));
  }
  CHECK(cache.has("old.bin"));
}

TEST_CASE("a cache without a seal, or with one that is no seal, is emptied") {
  const Cache cache;
  cache.write("a.bin", "a kernel");
  if (GENERATE(false, true)) std::ofstream(cache.path.string() + ".seal") << "one boot\nnonsense\n\xff\xfe a.bin\n";
  cache.seal(NewFiles::Drop);
  CHECK_FALSE(cache.has("a.bin"));
}

TEST_CASE("nothing but plain files stays in a compiler cache, and no link is followed") {
  const Cache cache;
  cache.seal();
  const std::string outside = cache.directory.path() + "/outside";
  std::ofstream(outside) << "a file of somebody else";
  fs::create_symlink(outside, cache.path / "link.bin");
  fs::create_directory_symlink(cache.directory.path(), cache.path / "pocl/up");
  REQUIRE(::mkfifo((cache.path / "pipe").c_str(), 0600) == 0);
  cache.write("two\nlines", "a name that would be two lines of the seal");
  cache.seal();
  for (const char* name : {"link.bin", "pocl/up", "pipe", "two\nlines"}) CHECK_FALSE(cache.has(name));
  CHECK(fs::exists(outside));
}

}  // namespace
}  // namespace quarry::worker::test
