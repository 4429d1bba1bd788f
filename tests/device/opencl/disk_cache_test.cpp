// The bound of the folder of compiled kernels. A program of its own: CTest gives it a PoCL folder that it may empty.
#include "engine/device/compiled/disk_cache.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "tests/device/opencl/graph_runner.h"

namespace quarry::test {

using graph::DType;
namespace fs = std::filesystem;

TEST_CASE("a cache over its bound loses what was used longest ago: files of ours and folders of PoCL's alike") {
  const fs::path root = fs::temp_directory_path() / ("quarry_disk_cache_test_" + std::to_string(getpid()));
  fs::create_directories(root / "pocl/AB/old");
  fs::create_directories(root / "pocl/AB/touched");
  const auto now = fs::file_time_type::clock::now();
  const auto write = [&](const char* name, std::chrono::hours age) {
    std::ofstream(root / name) << std::string(1'000, 'x');
    fs::last_write_time(root / name, now - age);
  };
  using std::chrono::hours;
  write("new.cl", hours(1));
  write("old.cl", hours(9));
  write("pocl/AB/old/program.bc", hours(8));
  write("pocl/AB/touched/program.bc", hours(9));
  write("pocl/AB/touched/last_accessed", hours(2));
  fs::last_write_time(root / "pocl/AB/old", now - hours(8));
  fs::last_write_time(root / "pocl/AB/touched", now - hours(9));
  const auto left = [&] {
    std::string names;
    for (const char* name : {"new.cl", "old.cl", "pocl/AB/old", "pocl/AB/touched"})
      names += fs::exists(root / name) ? std::string(names.empty() ? "" : " ") + name : "";
    return names;
  };
  device::trim_cache(root, 5'000);
  CHECK(left() == "new.cl old.cl pocl/AB/old pocl/AB/touched");
  device::trim_cache(root, 4'999);
  CHECK(left() == "new.cl pocl/AB/touched");
  device::trim_cache(root, 0);
  CHECK(left() == "");
  fs::remove_all(root);
  device::trim_cache(root, 0);  // nothing there is nothing to do
}

TEST_CASE("the size of a cache is looked at once in ten minutes, by whichever process comes first") {
  const fs::path root = fs::temp_directory_path() / ("quarry_disk_cache_test_" + std::to_string(getpid()));
  fs::create_directories(root);
  const auto write = [&] { std::ofstream(root / "kernel.cl") << std::string(1'000, 'x'); };
  write();
  device::trim_cache_now_and_then(root, 500);
  CHECK_FALSE(fs::exists(root / "kernel.cl"));
  write();
  device::trim_cache_now_and_then(root, 500);
  CHECK(fs::exists(root / "kernel.cl"));
  fs::last_write_time(root / "trimmed", fs::file_time_type::clock::now() - std::chrono::minutes(11));
  device::trim_cache_now_and_then(root, 500);
  CHECK_FALSE(fs::exists(root / "kernel.cl"));
  fs::remove_all(root);
}

TEST_CASE("kernels that are loaded run on when the cache is emptied, and others compile") {
  const char* const pocl = std::getenv("POCL_CACHE_DIR");
  REQUIRE(pocl != nullptr);
  const fs::path root = fs::path(pocl).parent_path();
  const auto device = open("opencl", root);
  const auto twice = [](device::Device& on, const Tensor& x) {
    graph::Builder b;
    const int64_t shape[] = {static_cast<int64_t>(x.size() / 4)};
    const graph::NodeId node = b.input("x", DType::F32, shape);
    b.output("y", b.binary(graph::Op::Add, node, node));
    return run_graph(on, finish(b), {{"x", x}}).at("y");
  };
  const Tensor x = random_tensor(DType::F32, 100, 1), y = random_tensor(DType::F32, 50'000, 2);
  const Tensor expected = twice(*open("interpreter"), x);
  CHECK(twice(*device, x) == expected);
  REQUIRE_FALSE(fs::is_empty(root));
  device::trim_cache(root, 0);
  const fs::recursive_directory_iterator left(root);
  CHECK(std::none_of(fs::begin(left), fs::end(left),
                     [](const fs::directory_entry& one) { return one.is_regular_file(); }));
  CHECK(twice(*device, x) == expected);
  CHECK(twice(*device, y) == twice(*open("interpreter"), y));
}

}  // namespace quarry::test
