// The device itself: what it lists, how it fails, its slices and its cache.
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>

#include "engine/device/opencl/declarations.h"
#include "engine/device/opencl/opencl.h"
#include "tests/device/opencl/graph_runner.h"

namespace quarry::test {

using graph::Builder;
using graph::DType;
using graph::Op;

namespace {

class Directory {
 public:
  Directory() : path_(std::filesystem::temp_directory_path() / ("quarry_opencl_test_" + std::to_string(getpid()))) {}
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_.string(); }
  size_t count(const std::string& extension) const {
    size_t found = 0;
    for (const auto& file : std::filesystem::directory_iterator(path_)) found += file.path().extension() == extension;
    return found;
  }
  /// Which file on the disk the one with this extension is: another one after it was written anew.
  ino_t written(const std::string& extension) const {
    for (const auto& file : std::filesystem::directory_iterator(path_)) {
      struct stat info {};
      if (file.path().extension() == extension && stat(file.path().c_str(), &info) == 0) return info.st_ino;
    }
    return 0;
  }

 private:
  std::filesystem::path path_;
};

Tensor double_it(device::Device& device, const Tensor& x) {
  Builder b;
  const int64_t shape[] = {static_cast<int64_t>(x.size() / 4)};
  const graph::NodeId node = b.input("x", DType::F32, shape);
  b.output("y", b.binary(Op::Add, node, node));
  return run_graph(device, finish(b), {{"x", x}}).at("y");
}

}  // namespace

TEST_CASE("each listed device opens by its number and by a part of its name") {
  for (const device::DeviceInfo& info : device::list_devices()) {
    if (info.properties.backend != "opencl") continue;
    CHECK(device::open_device(info.selector, {}).ok());
    CHECK(device::open_device("opencl:" + info.properties.name.substr(0, 5), {}).ok());
  }
}

TEST_CASE("an unknown device is refused, and the known ones are named") {
  const auto refused = device::open_device("opencl:no such thing", {});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().code == "unknown_device");
  CHECK(refused.problem().action.find("opencl:0") != std::string::npos);
}

TEST_CASE(
    "a kernel's source lies in the cache for debugging, and a device that gives its binaries away has its there too") {
  const Directory directory;
  const Tensor x = random_tensor(DType::F32, 100, 1);
  const Tensor expected = double_it(*open("opencl"), x);
  const auto device = open("opencl", directory.path());
  CHECK(double_it(*device, x) == expected);
  CHECK(directory.count(".cl") == 1);
  CHECK(directory.count(".bin") == (device->properties().is_gpu ? 1 : 0));
}

TEST_CASE(
    "a kernel brings the declarations of the functions that it calls, at the widths that it names, and no others") {
  const std::string declared = device::opencl::declarations_for(
      "__kernel void kernel0(__global float8* x) { x[0] = select(x[0], convert_float8(as_int8(x[0])), x[0] < x[1]); }");
  for (const char* one : {"float8 select(float8, float8, int8);", "double select(double, double, long);",
                          "float8 convert_float8(int8);"}) {
    CHECK(declared.find(one) != std::string::npos);
  }
  for (const char* other : {"convert_int8", "float4", "fma(", "vload8("}) {
    CHECK(declared.find(other) == std::string::npos);
  }
}

TEST_CASE("a kernel that the driver refuses is reported with the line of its own source") {
  const auto driver = device::open_opencl_driver("opencl", {}).value();
  const auto refused = driver->build("__kernel void kernel0(__global int* x) {\n  x[0] = nobody_knows_it;\n}\n");
  REQUIRE(!refused.ok());
  CHECK(refused.problem().code == "compile_failed");
  CHECK(refused.problem().detail.find("2:10") != std::string::npos);
  CHECK(refused.problem().detail.find("nobody_knows_it") != std::string::npos);
}

TEST_CASE("a slice is a device of its own, with its compute units") {
  auto whole = open("opencl");
  if (whole->properties().compute_units < 2) return;
  for (uint32_t first : {0u, 1u}) {
    auto slice = device::open_device("opencl", {.first_compute_unit = first, .compute_units = 1});
    REQUIRE(slice.ok());
    // NVIDIA's OpenCL does not split a device: the slice is then the whole of it.
    if (!whole->properties().is_gpu) CHECK((*slice)->properties().compute_units == 1);
    const Tensor x = random_tensor(DType::F32, 1'000, 1);
    CHECK(double_it(**slice, x) == double_it(*whole, x));
  }
}

TEST_CASE("slices can be opened, used and closed one after the other") {
  auto whole = open("opencl");
  if (whole->properties().compute_units < 2) return;
  for (int i = 0; i < 300; ++i) {
    auto slice = device::open_device("opencl", {.first_compute_unit = 0, .compute_units = 1});
    REQUIRE(slice.ok());
    auto buffer = (*slice)->allocate(4'096);
    REQUIRE(buffer.ok());
    REQUIRE((*slice)->zero({buffer->get(), 0, 4'096}).ok());
    Tensor back(4'096, std::byte{1});
    REQUIRE((*slice)->copy_out(back, {buffer->get(), 0, 4'096}).ok());
    REQUIRE(std::all_of(back.begin(), back.end(), [](std::byte b) { return b == std::byte{0}; }));
    buffer->reset();
    slice->reset();
    // Whatever the driver has freed is soon written over.
    std::vector<Tensor> others;
    for (size_t bytes = 16; bytes < 4'096; bytes += 16) others.emplace_back(bytes, std::byte{0x41});
  }
}

TEST_CASE("buffers are copied, zeroed and offset; too large an allocation says so") {
  auto device = open("opencl");
  auto buffer = device->allocate(1'024);
  REQUIRE(buffer.ok());
  const Tensor bytes = random_tensor(DType::U8, 512, 1);
  REQUIRE(device->copy_in({buffer->get(), 0, 512}, bytes).ok());
  REQUIRE(device->copy({buffer->get(), 512, 512}, {buffer->get(), 0, 512}).ok());
  REQUIRE(device->zero({buffer->get(), 0, 256}).ok());
  Tensor back(1'024);
  REQUIRE(device->copy_out(back, {buffer->get(), 0, 1'024}).ok());
  CHECK(std::equal(bytes.begin(), bytes.end(), back.begin() + 512));
  CHECK(std::all_of(back.begin(), back.begin() + 256, [](std::byte b) { return b == std::byte{0}; }));
  const auto refused = device->allocate(uint64_t{1} << 60);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().code == "out_of_memory");
}

}  // namespace quarry::test
