// Kernels by templates: what a driver that runs tile programs is asked to do.
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/device/compiled/compiled_device.h"
#include "engine/lower/lower.h"

namespace quarry::test {
namespace {

using device::Argument;
using device::BufferRange;
using graph::DType;
using graph::NodeId;
using Shape = std::vector<int64_t>;

class HostBuffer final : public device::Buffer {
 public:
  explicit HostBuffer(uint64_t size) : size_(size) {}
  uint64_t bytes() const override { return size_; }

 private:
  uint64_t size_;
};

struct Launch {
  device::Groups groups;
  std::vector<Argument> arguments;
};
struct Log {
  std::string text;
  std::vector<Launch> launches;
  std::vector<device::BoxView> views;
  size_t copies = 0;
  std::vector<device::Buffer*> zeroed;
};

class AnyModule final : public device::Module {
 public:
  Result<std::shared_ptr<device::Entry>> entry(const std::string&) override {
    return std::make_shared<device::Entry>();
  }
  std::vector<char> binary() const override { return {}; }
};

class HopperDriver final : public device::Driver {
 public:
  HopperDriver(Log& log, bool runs_tile_programs) : log_(log) {
    capabilities_.target.dialect = codegen::Dialect::Cuda;
    capabilities_.target.is_gpu = true;
    capabilities_.target.compute_units = 132;
    capabilities_.runs_tile_programs = runs_tile_programs;
  }
  const device::Capabilities& capabilities() const override { return capabilities_; }
  Result<std::shared_ptr<device::Buffer>> allocate(uint64_t bytes) override {
    return std::shared_ptr<device::Buffer>(std::make_shared<HostBuffer>(bytes));
  }
  Status copy_in(BufferRange, std::span<const std::byte>) override {
    ++log_.copies;
    return {};
  }
  Status copy_out(std::span<std::byte>, BufferRange) override { return {}; }
  Status copy(BufferRange, BufferRange) override { return {}; }
  Status zero(BufferRange range) override {
    log_.zeroed.push_back(range.buffer);
    return {};
  }
  Result<std::shared_ptr<device::Module>> build(const std::string& text) override {
    log_.text = text;
    return std::shared_ptr<device::Module>(std::make_shared<AnyModule>());
  }
  Result<std::shared_ptr<device::Module>> load(std::span<const char>) override { return build(""); }
  Status launch(device::Entry&, const device::Groups& groups, std::span<const Argument> arguments) override {
    log_.launches.push_back({groups, {arguments.begin(), arguments.end()}});
    return {};
  }
  Status wait() override { return {}; }
  Result<device::BoxDescription> describe(const device::BoxView& view) override {
    log_.views.push_back(view);
    device::BoxDescription description{};
    std::memcpy(description.data(), &view.array.buffer, sizeof view.array.buffer);
    std::memcpy(description.data() + 8, &view.array.offset, sizeof view.array.offset);
    return description;
  }

 private:
  Log& log_;
  device::Capabilities capabilities_;
};

// left [m, k] times right [n, k], in `dtype` with a SUM in f32 for 16-bit inputs.
lower::Kernel matmul(DType dtype, int64_t m, int64_t n, int64_t k) {
  graph::Builder b;
  const Shape whole{m, n, k}, axis{2};
  NodeId left = b.reshape(b.input("left", dtype, Shape{m, k}), Shape{m, 1, k});
  NodeId right = b.reshape(b.input("right", dtype, Shape{n, k}), Shape{1, n, k});
  if (dtype == DType::BF16) {
    left = b.cast(left, DType::F32);
    right = b.cast(right, DType::F32);
  }
  b.output("out", b.reduce(graph::Op::ReduceSum,
                           b.binary(graph::Op::Mul, b.expand(left, whole), b.expand(right, whole)), axis));
  const auto graph = std::make_shared<const graph::NormalGraph>(graph::normalise(b.finish().value()));
  return lower::partition(graph, {}).back();
}

struct Run {
  Log log;
  uint64_t scratch = 0;
  HostBuffer result{1}, left{1}, right{1}, workspace{1};
};

// Compiles the kernel and launches it `times` times on the same buffers.
std::unique_ptr<Run> run(const lower::Kernel& kernel, uint64_t most_scratch, int times = 1, bool tiles = true) {
  auto done = std::make_unique<Run>();
  device::CompiledDevice device(std::make_unique<HopperDriver>(done->log, tiles), "");
  const auto executable = device.compile(kernel, most_scratch);
  REQUIRE(executable.ok());
  done->scratch = (*executable)->scratch_bytes();
  for (int i = 0; i < times; ++i) {
    const BufferRange reads[] = {{&done->left, 256, 0}, {&done->right, 512, 0}};
    REQUIRE(device.launch(**executable, {&done->result, 1024, 0}, reads, {&done->workspace, 2048, 0}, {}).ok());
  }
  return done;
}

int32_t number(const Argument& argument) {
  CHECK(argument.buffer == nullptr);
  return static_cast<int32_t>(argument.bits);
}

}  // namespace

TEST_CASE(
    "a matmul of 16-bit inputs is launched as a persistent kernel over tensor maps, which are described once a "
    "binding") {
  const auto done = run(matmul(DType::BF16, 4096, 4096, 4096), 0, 3);
  CHECK(done->log.text.find("wgmma") != std::string::npos);
  CHECK(done->scratch == 0);
  CHECK(done->log.copies == 1);
  REQUIRE(done->log.launches.size() == 3);
  const Launch& launch = done->log.launches[0];
  CHECK(launch.groups.count == 132);
  CHECK(launch.groups.items == 384);
  CHECK(launch.groups.shared_bytes > 200'000);
  // maps, first tile, end, tiles along m and n, steps of each role
  REQUIRE(launch.arguments.size() == 7);
  CHECK(launch.arguments[0].buffer != nullptr);
  CHECK(number(launch.arguments[1]) == 0);
  CHECK(number(launch.arguments[2]) == number(launch.arguments[3]) * number(launch.arguments[4]));
  CHECK(number(launch.arguments[5]) == 4096 / 64);
  REQUIRE(done->log.views.size() == 9);
  CHECK(done->log.views[0].array.buffer == &done->left);
  CHECK(done->log.views[0].array.offset == 256);
  CHECK(done->log.views[0].extents == std::vector<uint64_t>{4096, 4096});
  CHECK(done->log.views[0].strides == std::vector<uint64_t>{8192});
  CHECK(done->log.views[0].swizzle_bytes == 128);
  CHECK(done->log.views[2].array.buffer == &done->result);
}

TEST_CASE("a split sum gets its workspace in the scratch memory and counters of its own that start at 0") {
  const auto done = run(matmul(DType::BF16, 16, 4096, 4096), uint64_t{32} << 20);
  REQUIRE(done->scratch > 0);
  CHECK(done->scratch <= uint64_t{32} << 20);
  REQUIRE(done->log.zeroed.size() == 1);
  const std::vector<Argument>& arguments = done->log.launches.at(0).arguments;
  // maps, result and its offset in elements, workspace and its offset in bytes, counters
  CHECK(arguments.at(1).buffer == &done->result);
  CHECK(arguments.at(2).bits == 1024 / 4);
  CHECK(arguments.at(3).buffer == &done->workspace);
  CHECK(arguments.at(4).bits == 2048);
  CHECK(arguments.at(5).buffer == done->log.zeroed[0]);
}

TEST_CASE("a sum that is rounded to 16 bits is stored as such by the kernel that computes it") {
  graph::Builder b;
  const Shape whole{2048, 2048, 512}, axis{2}, plain{2048, 512};
  const auto input = [&](const char* name, const Shape& shape) {
    return b.expand(b.reshape(b.cast(b.input(name, DType::BF16, plain), DType::F32), shape), whole);
  };
  const NodeId product = b.binary(graph::Op::Mul, input("x", {2048, 1, 512}), input("y", {1, 2048, 512}));
  b.output("out", b.cast(b.reshape(b.reduce(graph::Op::ReduceSum, product, axis), Shape{2048, 2048}), DType::BF16));
  const auto graph = std::make_shared<const graph::NormalGraph>(graph::normalise(b.finish().value()));
  Log log;
  device::CompiledDevice device(std::make_unique<HopperDriver>(log, true), "");
  const auto takes = [&](const lower::Kernel& kernel) { return device.takes_rounded_sum(kernel); };
  const auto kernels = lower::fuse_casts(lower::partition(graph, {}), takes);
  REQUIRE(kernels.size() == 1);
  REQUIRE(device.compile(kernels[0], 0).ok());
  CHECK(log.text.find("wgmma") != std::string::npos);
  CHECK(log.text.find("pack_bf16(c[e") != std::string::npos);
}

TEST_CASE("f32 matmuls go by split products from 2^24 products on, and by loops below") {
  CHECK(run(matmul(DType::F32, 256, 256, 256), 0)->log.text.find("six_products") != std::string::npos);
  CHECK(run(matmul(DType::F32, 128, 128, 256), 0)->log.text.find("six_products") == std::string::npos);
}

TEST_CASE("a kernel that would run for more than a tenth of a second is launched in ranges of tiles") {
  const auto done = run(matmul(DType::BF16, 65536, 65536, 32768), 0);
  REQUIRE(done->log.launches.size() > 1);
  int32_t next = 0;
  for (const Launch& launch : done->log.launches) {
    CHECK(number(launch.arguments[1]) == next);
    next = number(launch.arguments[2]);
  }
  CHECK(next == number(done->log.launches[0].arguments[3]) * number(done->log.launches[0].arguments[4]));
}

TEST_CASE("what no template takes, and what a driver without tile programs gets, goes by loops") {
  CHECK(run(matmul(DType::I32, 512, 512, 512), 0)->log.text.find("wgmma") == std::string::npos);
  CHECK(run(matmul(DType::BF16, 512, 512, 511), 0)->log.text.find("wgmma") == std::string::npos);
  CHECK(run(matmul(DType::BF16, 512, 512, 512), 0, 1, false)->log.text.find("wgmma") == std::string::npos);
}

TEST_CASE("sums of squares, whose product reads one buffer twice, are chosen for at every rank") {
  for (const Shape& shape : std::vector<Shape>{{1}, {3}, {1000}, {70'001}, {33, 64}, {7, 300, 8}, {64, 4096}}) {
    for (DType dtype : {DType::F16, DType::BF16, DType::F32}) {
      for (int64_t axis = 0; axis < static_cast<int64_t>(shape.size()); ++axis) {
        graph::Builder b;
        const NodeId x = b.input("x", dtype, shape);
        const int64_t axes[] = {axis};
        b.output("sum", b.reduce(graph::Op::ReduceSum, b.binary(graph::Op::Mul, x, x), axes));
        const auto graph = std::make_shared<const graph::NormalGraph>(graph::normalise(b.finish().value()));
        for (const lower::Kernel& kernel : lower::partition(graph, {})) {
          Log log;
          device::CompiledDevice device(std::make_unique<HopperDriver>(log, true), "");
          HostBuffer buffer{1};
          const auto executable = device.compile(kernel, uint64_t{8} << 20);
          REQUIRE(executable.ok());
          const std::vector<BufferRange> reads(kernel.reads.size(), BufferRange{&buffer, 0, 0});
          CHECK(device.launch(**executable, {&buffer, 0, 0}, reads, {&buffer, 0, 0}, {}).ok());
        }
      }
    }
  }
}

}  // namespace quarry::test
