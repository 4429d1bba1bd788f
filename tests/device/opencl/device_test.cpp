// The device itself: what it lists, how it fails, its slices and its cache.
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>

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
  std::filesystem::file_time_type written(const std::string& extension) const {
    for (const auto& file : std::filesystem::directory_iterator(path_)) {
      if (file.path().extension() == extension) return file.last_write_time();
    }
    return {};
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
    "a kernel that a second process asks for is found on disk by the third, its source beside it, and a damaged binary "
    "is rebuilt") {
  const Directory directory;
  const Tensor x = random_tensor(DType::F32, 100, 1);
  const Tensor expected = double_it(*open("opencl"), x);
  for (int process = 0; process < 2; ++process) CHECK(double_it(*open("opencl", directory.path()), x) == expected);
  CHECK(directory.count(".bin") == 1);
  CHECK(directory.count(".cl") == 1);
  const auto first = directory.written(".bin");
  CHECK(double_it(*open("opencl", directory.path()), x) == expected);
  CHECK(directory.written(".bin") == first);
  for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
    if (file.path().extension() == ".bin") std::filesystem::resize_file(file.path(), 10);
  }
  CHECK(double_it(*open("opencl", directory.path()), x) == expected);
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
