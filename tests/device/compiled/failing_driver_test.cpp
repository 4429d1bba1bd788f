// How a compiled device reports a driver that fails.
#include <catch2/catch.hpp>

#include "engine/device/compiled/compiled_device.h"
#include "engine/lower/lower.h"
#include "tests/support/scratch.h"

namespace quarry::test {
namespace {

enum class Fails { Build, Entry, Launch, Wait };

class FailingModule final : public device::Module {
 public:
  explicit FailingModule(Fails at) : at_(at) {}
  Result<std::shared_ptr<device::Entry>> entry(const std::string&) override {
    if (at_ == Fails::Entry) return Problem{"device_error", "the driver is broken", "", ""};
    return std::make_shared<device::Entry>();
  }
  std::vector<char> binary() const override { return {}; }

 private:
  Fails at_;
};

class FailingDriver final : public device::Driver {
 public:
  explicit FailingDriver(Fails at) : at_(at) {}
  const device::Capabilities& capabilities() const override { return capabilities_; }
  Result<std::shared_ptr<device::Buffer>> allocate(uint64_t) override { return broken(); }
  Status copy_in(device::BufferRange, std::span<const std::byte>) override { return {}; }
  Status copy_out(std::span<std::byte>, device::BufferRange) override { return {}; }
  Status copy(device::BufferRange, device::BufferRange) override { return {}; }
  Status zero(device::BufferRange) override { return {}; }
  Result<std::shared_ptr<device::Module>> build(const std::string&) override {
    if (at_ == Fails::Build) return broken();
    return std::shared_ptr<device::Module>(std::make_shared<FailingModule>(at_));
  }
  Result<std::shared_ptr<device::Module>> load(std::span<const char>) override { return broken(); }
  Status launch(device::Entry&, const device::Groups&, std::span<const device::Argument>) override {
    return at_ == Fails::Launch ? Status(broken()) : Status();
  }
  Status wait() override { return at_ == Fails::Wait ? Status(broken()) : Status(); }

 private:
  static Problem broken() { return {"device_error", "the driver is broken", "", ""}; }
  Fails at_;
  device::Capabilities capabilities_;
};

}  // namespace

TEST_CASE("a device error names the kernel by what it computes, and the file that keeps its text") {
  graph::Builder b;
  const int64_t shape[] = {12, 34}, axis[] = {1};
  b.output("y", b.reduce(graph::Op::ReduceMax, b.input("x", graph::DType::F32, shape), axis));
  const auto graph = std::make_shared<const graph::NormalGraph>(graph::normalise(b.finish().value()));
  const lower::Kernel kernel = lower::partition(graph, {}).at(0);
  for (const Fails at : {Fails::Build, Fails::Entry, Fails::Launch, Fails::Wait}) {
    const Scratch scratch;
    device::CompiledDevice device(std::make_unique<FailingDriver>(at), scratch.path);
    std::string detail;
    if (const auto executable = device.compile(kernel, 0); executable.ok()) {
      const Status launched = device.launch(**executable, {}, std::vector<device::BufferRange>(1), {}, {});
      detail = launched.ok() ? device.wait().problem().detail : launched.problem().detail;
    } else {
      detail = executable.problem().detail;
    }
    INFO(detail);
    CHECK(detail.find("REDUCE_MAX f32[12,1]") != std::string::npos);
    CHECK(detail.find("the driver is broken") != std::string::npos);
    const size_t path = detail.find(scratch.path.string());
    REQUIRE(path != std::string::npos);
    CHECK(std::filesystem::exists(detail.substr(path, detail.find(".cl", path) + 3 - path)));
  }
}

}  // namespace quarry::test
