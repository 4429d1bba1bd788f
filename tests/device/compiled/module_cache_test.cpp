// The cache of compiled modules, over OpenCL's driver with its binaries.
#include "engine/device/compiled/module_cache.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/device/compiled/pieces.h"
#include "engine/device/opencl/driver.h"
#include "tests/support/scratch.h"

namespace quarry::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<device::Driver> driver_that_gives_binaries() {
  cl_platform_id platform = nullptr;
  cl_device_id device = nullptr;
  REQUIRE(clGetPlatformIDs(1, &platform, nullptr) == CL_SUCCESS);
  REQUIRE(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr) == CL_SUCCESS);
  return device::opencl::OpenClDriver::open(device, {}, {}, device::opencl::KeepBinaries::Yes).value();
}

fs::path only_file(const fs::path& directory, const std::string& extension) {
  for (const auto& file : fs::directory_iterator(directory))
    if (file.path().extension() == extension) return file.path();
  return {};
}

/// Which file on the disk the one with this extension is: another one after it was written anew.
ino_t written(const fs::path& directory, const std::string& extension) {
  struct stat info {};
  return stat(only_file(directory, extension).c_str(), &info) == 0 ? info.st_ino : 0;
}

constexpr const char* kText =
    "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void kernel0(__global int* x) { x[0] = 1; }";

}  // namespace

TEST_CASE("a binary is found on disk by the next process, and a damaged one is rebuilt") {
  const Scratch scratch;
  const fs::path directory = scratch.path;
  const auto next_process = [&] {
    const auto driver = driver_that_gives_binaries();
    device::ModuleCache cache(*driver, directory);
    const auto module = cache.module(kText);
    REQUIRE(module.ok());
    CHECK((*module)->entry("kernel0").ok());
  };
  next_process();
  const ino_t first = written(directory, ".bin");
  CHECK(first != 0);
  CHECK(fs::exists(only_file(directory, ".cl")));
  next_process();
  CHECK(written(directory, ".bin") == first);
  fs::resize_file(only_file(directory, ".bin"), 10);
  next_process();
  CHECK(fs::file_size(only_file(directory, ".bin")) > 10);
}

TEST_CASE("a text that no compiler takes is kept, and the problem names its file") {
  const Scratch scratch;
  const auto driver = driver_that_gives_binaries();
  device::ModuleCache cache(*driver, scratch.path);
  const auto refused = cache.module("__kernel void kernel0(__global int* x) { x[0] = nobody_knows_it; }");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().code == "compile_failed");
  const fs::path text = only_file(scratch.path, ".cl");
  REQUIRE(fs::exists(text));
  CHECK(refused.problem().detail.find(text.string()) != std::string::npos);
}

TEST_CASE("the same text is built once while its module is held") {
  const auto driver = driver_that_gives_binaries();
  device::ModuleCache cache(*driver, "");
  const auto module = cache.module(kText).value();
  CHECK(cache.module(kText).value() == module);
}

TEST_CASE("a long launch is cut into pieces that cover each group once, and a short one is one piece") {
  for (const bool is_gpu : {false, true}) {
    const device::Properties properties{.compute_units = 2, .is_gpu = is_gpu};
    for (const uint64_t groups : {uint64_t{1}, uint64_t{7}, uint64_t{1000}, uint64_t{1} << 20}) {
      for (const double flops : {0.0, 1.0, 1e10, 1e12, 1e18}) {
        const codegen::Entry entry{.name = "k", .work_items = groups * 64, .local = 64, .flops = flops};
        const auto pieces = device::pieces_of(entry, properties);
        uint64_t next = 0;
        for (const device::Groups& piece : pieces) {
          CHECK(piece.first == next);
          CHECK(piece.items == 64);
          next += piece.count;
        }
        CHECK(next == groups);
        if (flops <= 1) CHECK(pieces.size() == 1);
        if (is_gpu && flops == 1e12 && groups >= 1000) CHECK(pieces.size() == 100);
      }
    }
  }
}

}  // namespace quarry::test
