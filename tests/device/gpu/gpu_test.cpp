// The driver of CUDA and HIP without a card: over a fake library, and with the real compilers.
#include "engine/device/gpu/gpu.h"

#include <dlfcn.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "engine/device/gpu/compilers.h"
#include "engine/device/gpu/driver.h"
#include "tests/device/gpu/fake_cuda.h"
#include "tests/support/scratch.h"

namespace quarry::test {
namespace {

using device::Argument;
using device::gpu::GpuDriver;
using device::gpu::TextCompiler;
using device::gpu::Vendor;

Vendor fake(const std::string& library) {
  Vendor vendor = device::gpu::cuda();
  vendor.libraries = {std::string(QUARRY_FAKE_LIBRARIES) + "/lib" + library + ".so"};
  return vendor;
}

FakeCuda& state() {
  void* library = dlopen(fake("fake_cuda").libraries[0].c_str(), RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(library != nullptr);
  return *reinterpret_cast<FakeCuda* (*)()>(dlsym(library, "fake_cuda"))();
}

/// Gives the text as the binary.
class NoCompiler final : public TextCompiler {
 public:
  const std::string& identity() const override { return identity_; }
  Result<std::vector<char>> compile(const std::string& text) const override {
    return std::vector<char>(text.begin(), text.end());
  }

 private:
  std::string identity_ = "none";
};

std::unique_ptr<device::Driver> opened() {
  const Vendor vendor = fake("fake_cuda");
  return GpuDriver::open(device::gpu::load_library(vendor).value(), vendor, 0, {.compute_units = 132},
                         std::make_unique<NoCompiler>())
      .value();
}

constexpr const char* kText = R"(extern "C" __global__ void kernel0(int* x) { x[0] = 1; })";

}  // namespace

TEST_CASE("a library's card is described, with the address by which other backends know it too") {
  const auto devices = device::survey_gpus(fake("fake_cuda"));
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].selector == "cuda:0");
  CHECK(devices[0].left_out.empty());
  const device::Properties& properties = devices[0].properties;
  CHECK(properties.name == "Fake H200");
  CHECK(properties.card == "0000:3b:00.0");
  CHECK(properties.compute_units == 132);
  CHECK(properties.memory_bytes == (uint64_t{1} << 30) / 16 * 15);
  CHECK(properties.is_gpu);
}

TEST_CASE("a driver that is missing, lacks a function, is too old or does not start is left out, and says why") {
  const auto reason = [](const std::string& library) {
    const auto devices = device::survey_gpus(fake(library));
    REQUIRE(devices.size() == 1);
    CHECK(devices[0].selector == "cuda");
    CHECK_FALSE(device::open_gpu_driver(fake(library), "cuda", {}).ok());
    return devices[0].left_out;
  };
  CHECK(reason("nothing_like_it").find("nothing_like_it") != std::string::npos);
  CHECK(reason("fake_cuda_incomplete").find("cuLaunchKernel") != std::string::npos);
  CHECK(reason("fake_cuda_old").find("CUDA 12.3") != std::string::npos);
  CHECK(reason("fake_cuda_broken").find("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)") != std::string::npos);
}

TEST_CASE("bytes come in through pinned memory, however many they are, and `from` may be reused at once") {
  const auto driver = opened();
  const size_t bytes = (size_t{100} << 20) + 13;  // more than all of the pinned memory
  const auto buffer = driver->allocate(bytes).value();
  std::vector<std::byte> from(bytes), back(bytes);
  for (size_t i = 0; i < bytes; ++i) from[i] = static_cast<std::byte>(i * 7 + i / 251);
  const std::vector<std::byte> expected = from;
  REQUIRE(driver->copy_in({buffer.get(), 0, bytes}, from).ok());
  std::fill(from.begin(), from.end(), std::byte{0});
  REQUIRE(driver->copy_out(back, {buffer.get(), 0, bytes}).ok());
  CHECK(back == expected);
  REQUIRE(driver->zero({buffer.get(), 256, 512}).ok());
  REQUIRE(driver->copy({buffer.get(), 1024, 256}, {buffer.get(), 256, 256}).ok());
  REQUIRE(driver->copy_out(std::span(back).first(1280), {buffer.get(), 0, 1280}).ok());
  CHECK(std::equal(back.begin(), back.begin() + 256, expected.begin()));
  CHECK(std::all_of(back.begin() + 256, back.begin() + 768, [](std::byte b) { return b == std::byte{0}; }));
  CHECK(std::equal(back.begin() + 768, back.begin() + 1024, expected.begin() + 768));
  CHECK(std::all_of(back.begin() + 1024, back.begin() + 1280, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("a launch gets its groups, its arguments in order, and the number of its first group") {
  const auto driver = opened();
  state().launches.clear();
  state().arguments = 4;
  const auto buffer = driver->allocate(1024).value();
  const auto entry = driver->build("text").value()->entry("kernel0").value();
  const Argument arguments[] = {Argument::address(buffer.get()), Argument::number(int64_t{-5}),
                                Argument::number(int32_t{7})};
  REQUIRE(driver->launch(*entry, {3, 11, 64}, arguments).ok());
  const FakeLaunch& launch = state().launches.back();
  CHECK(launch.groups == 11);
  CHECK(launch.items == 64);
  CHECK(launch.arguments[0] != 0);
  CHECK(static_cast<int64_t>(launch.arguments[1]) == -5);
  CHECK(static_cast<int32_t>(launch.arguments[2]) == 7);
  CHECK(launch.arguments[3] == 3);
  CHECK_FALSE(driver->launch(*entry, {0, uint64_t{1} << 31, 64}, arguments).ok());
}

TEST_CASE("everything that a driver takes it gives back") {
  const int before = [] {
    opened().reset();
    return state().live;
  }();
  CHECK(before == 0);
  {
    const auto driver = opened();
    const auto buffer = driver->allocate(1024).value();
    const auto entry = driver->build("text").value()->entry("kernel0").value();
    CHECK(state().live > 0);
  }
  CHECK(state().live == 0);
}

TEST_CASE("errors of the driver are named: a fault, memory, a text that it does not take, a kernel that is not there") {
  const auto driver = opened();
  state().fault = 700;
  const Status fault = driver->wait();
  state().fault = 0;
  CHECK(fault.problem().code == "device_error");
  CHECK(fault.problem().detail.find("CUDA_ERROR_ILLEGAL_ADDRESS (700)") != std::string::npos);
  CHECK(driver->allocate(uint64_t{1} << 40).problem().code == "out_of_memory");
  const auto refused = driver->build("no PTX");
  CHECK(refused.problem().code == "compile_failed");
  CHECK(refused.problem().detail.find("line 1: no PTX") != std::string::npos);
  const auto missing = driver->build("text").value()->entry("kernel1");
  CHECK(missing.problem().detail.find("kernel1") != std::string::npos);
}

TEST_CASE("one card is one device: the earlier backend's") {
  const auto card = [](const char* selector, const char* address) {
    device::DeviceInfo info{selector, {}, ""};
    info.properties.card = address;
    return info;
  };
  std::vector<device::DeviceInfo> devices{card("cuda:0", "0000:3b:00.0"),   card("cuda:1", "0000:5e:00.0"),
                                          card("opencl:0", "0000:3b:00.0"), card("opencl:1", ""),
                                          card("opencl:2", "0000:5e:00.0"), card("opencl:3", "")};
  devices[1].left_out = "too old";
  device::leave_out_twins(devices);
  CHECK(devices[0].left_out.empty());
  CHECK(devices[2].left_out.find("cuda:0") != std::string::npos);
  CHECK(devices[3].left_out.empty());
  CHECK(devices[4].left_out.empty());  // cuda does not offer it
  CHECK(devices[5].left_out.empty());
}

TEST_CASE("clang makes PTX of a kernel, and reports the line of one that it does not take") {
  const auto compiler = device::gpu::clang_for_cuda("sm_90a");
  REQUIRE(compiler.ok());
  CHECK((*compiler)->identity().find("clang") != std::string::npos);
  const std::string declared = "#define __global__ __attribute__((global))\n" + std::string(kText);
  const auto ptx = (*compiler)->compile(declared);
  REQUIRE(ptx.ok());
  const std::string text(ptx->begin(), ptx->end());
  CHECK(text.find(".target sm_90a") != std::string::npos);
  CHECK(text.find(".entry kernel0") != std::string::npos);
  const auto refused = (*compiler)->compile("int x;\nint y = nobody_knows_it;\n");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().code == "compile_failed");
  CHECK(refused.problem().detail.find(":2:") != std::string::npos);
  CHECK(refused.problem().detail.find("nobody_knows_it") != std::string::npos);
}

TEST_CASE("a clang that does not know the card is passed over") {
  const Scratch scratch;
  const std::string path = std::getenv("PATH");
  // Each says its version, and compiles nothing; the real ones come after them in PATH.
  for (const char* name : {"clang-19", "clang-18"}) {
    scratch.write(name,
                  "#!/bin/sh\n[ \"$1\" = --version ] && echo old clang && exit 0\necho unsupported chip >&2\nexit 1\n");
    std::filesystem::permissions(scratch.path / name, std::filesystem::perms::owner_all);
  }
  setenv("PATH", (scratch.path.string() + ":" + path).c_str(), 1);
  const auto compiler = device::gpu::clang_for_cuda("sm_90a");
  setenv("PATH", path.c_str(), 1);
  REQUIRE_FALSE(compiler.ok());
  CHECK(compiler.problem().code == "compiler_missing");
  CHECK(compiler.problem().detail.find("unsupported chip") != std::string::npos);
}

TEST_CASE("NVRTC, where it is installed, makes a cubin of the same kernel") {
  const auto compiler = device::gpu::nvrtc("sm_90a");
  if (!compiler.ok()) return;
  const auto cubin = (*compiler)->compile(kText);
  REQUIRE(cubin.ok());
  CHECK(std::string(cubin->begin() + 1, cubin->begin() + 4) == "ELF");
  const auto refused = (*compiler)->compile("int x;\nint y = nobody_knows_it;\n");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().detail.find("nobody_knows_it") != std::string::npos);
}

TEST_CASE("a compiler that hangs is killed, and one that wants too much memory fails") {
  const auto hung = device::gpu::run_child({"sleep", "1000"}, "", 1);
  REQUIRE_FALSE(hung.ok());
  CHECK(hung.problem().code == "compiler_timeout");
  const auto greedy = device::gpu::run_child({"/usr/bin/python3", "-c", "bytearray(8 << 30)"}, "", 300);
  REQUIRE(greedy.ok());
  CHECK(greedy->status != 0);
  CHECK(greedy->errors.find("MemoryError") != std::string::npos);
  const auto fine = device::gpu::run_child({"cat"}, std::string(1 << 20, 'x'), 300);
  REQUIRE(fine.ok());
  CHECK(fine->output == std::string(1 << 20, 'x'));
  const auto missing = device::gpu::run_child({"no-such-compiler"}, "", 300);
  CHECK((missing.ok() && WIFEXITED(missing->status) && WEXITSTATUS(missing->status) == 127));
}

}  // namespace quarry::test
