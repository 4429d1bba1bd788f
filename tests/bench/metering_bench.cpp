// Looks for jobs that take much more of a device than they are metered for: every op of every dtype, then random jobs
// of each family, and the worst of them with a number changed. Judges by the processor time of this process, which is
// the device's where the device is the processor, so that a busy machine does not matter. One JSON line for each family
// and for the worst of all. --device, --seed, --tries (of a family), --family; --verbose 1 prints each new worst job.
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "engine/meter/meter.h"
#include "engine/run/run.h"
#include "tests/meter/hostile.h"

using namespace quarry;
using testing::HostileJob;

namespace {

constexpr int64_t kPoints = 1 << 22;  // of a kernel: long beside a launch, short enough for thousands of jobs
constexpr uint64_t kMostMemory = uint64_t{2} << 30;
constexpr double kLeastSeconds = 0.02;
constexpr double kLongKernelSeconds = 0.5e-3, kTimesLarger = 64;

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class RandomBytes : public run::ByteSource {
 public:
  RandomBytes(uint64_t size, graph::DType dtype) : size_(size), dtype_(dtype) {}
  uint64_t size() const override { return size_; }
  // Numbers near 1 of every dtype: no kernel is slow because of subnormals.
  Status read(uint64_t offset, std::span<std::byte> out) override {
    const auto width = static_cast<size_t>(graph::byte_size(dtype_));
    uint64_t state = offset * 0x9e3779b97f4a7c15ULL + 1;
    for (size_t at = 0; at + width <= out.size(); at += width) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      uint64_t bits = state >> 60;
      const uint64_t fraction = state >> 40;
      if (dtype_ == graph::DType::F32) bits = 0x3f800000u | (fraction & 0x7fffff);
      if (dtype_ == graph::DType::F64) bits = 0x3ff0000000000000ULL | (fraction << 20);
      if (dtype_ == graph::DType::F16) bits = 0x3c00u | (fraction & 0x3ff);
      if (dtype_ == graph::DType::BF16) bits = 0x3f80u | (fraction & 0x7f);
      if (dtype_ == graph::DType::Bool) bits &= 1;
      std::memcpy(out.data() + at, &bits, width);
    }
    return {};
  }

 private:
  uint64_t size_;
  graph::DType dtype_;
};

struct Measured {
  double ratio = 0;    // of device seconds per metered FLOP to the matrix product's
  double seconds = 0;  // of a step
  double compile = 0;  // of the whole graph
  double metered = 0;  // of a step
  uint64_t kernels = 0;
};

class Search {
 public:
  Search(device::Device& device, uint64_t seed) : device_(device), random_(seed) {
    const auto product = measure(matrix_product());
    if (!product) std::exit(1);
    per_flop_ = product->seconds / product->metered;
    std::printf("{\"name\": \"processor seconds a metered PFLOP, matrix product\", \"value\": %.4g, \"unit\": \"s\"}\n",
                per_flop_ * 1e15);
  }

  /// Half of the tries are new jobs, half are one of the worst with a number or two changed.
  void run(const std::string& family, int tries, bool verbose) {
    struct Found {
      std::vector<uint32_t> words;
      Measured measured;
    };
    std::vector<Found> worst;
    for (int i = 0; i < tries; ++i) {
      std::vector<uint32_t> words = testing::random_words(random_, 200);
      if (i % 2 == 1 && !worst.empty()) {
        words = worst[random_() % worst.size()].words;
        for (uint64_t changes = 1 + random_() % 3; changes > 0; --changes)
          words[random_() % 60] = static_cast<uint32_t>(random_());
      }
      std::optional<Measured> measured;
      try {
        measured = measure(testing::hostile_job(words, kPoints, family));
      } catch (const std::exception& refused) {
        continue;
      }
      if (!measured) continue;
      worst.push_back({words, *measured});
      std::ranges::sort(worst, [](const Found& a, const Found& b) { return a.measured.ratio > b.measured.ratio; });
      if (worst.size() > 8) worst.resize(8);
      if (worst.front().words == words && verbose) {
        std::fprintf(stderr, "%s  try %d  ratio %.1f  seconds %.4g  metered %.4g  compile %.2f\n", family.c_str(), i,
                     measured->ratio, measured->seconds, measured->metered, measured->compile);
        if (measured->ratio > 20) show(testing::hostile_job(words, kPoints, family));
      }
    }
    if (worst.empty()) return;
    report("worst ratio, " + family, worst.front().measured.ratio, "");
    worst_ = std::max(worst_, worst.front().measured.ratio);
  }

  void each_op(bool verbose) {
    double worst = 0;
    for (const HostileJob& job : testing::jobs_of_one_op(kPoints)) {
      const auto measured = measure(job);
      if (!measured) continue;
      worst = std::max(worst, measured->ratio);
      if (verbose)
        std::fprintf(stderr, "%s  ratio %.1f  seconds %.4g\n", job.kind.c_str(), measured->ratio, measured->seconds);
    }
    report("worst ratio, one op", worst, "");
    worst_ = std::max(worst_, worst);
  }

  void finish() const {
    report("worst ratio of all", worst_, "");
    report("longest compilation of a kernel", longest_compile_, "s");
  }

 private:
  static void report(const std::string& name, double value, const char* unit) {
    std::printf("{\"name\": \"metering, %s\", \"value\": %.4g, \"unit\": \"%s\"}\n", name.c_str(), value, unit);
    std::fflush(stdout);
  }

  static HostileJob matrix_product() {
    testing::Pen pen;
    HostileJob job;
    job.graph = pen.done(pen.matmul(pen.in("a", {1'024, 1'024}), pen.in("b", {1'024, 1'024})));
    return job;
  }

  static void show(const HostileJob& job) {
    const std::string text = graph::write_json(graph::normalise(job.graph).graph);
    std::fprintf(stderr, "%s\n", text.substr(0, 3'000).c_str());
  }

  // A long kernel is one of which there is a larger one: its constant is then small beside its work. So jobs of a few
  // milliseconds tell of those of minutes.
  static double work_of_larger(const Measured& measured) {
    const double constants = static_cast<double>(meter::kFlopsPerStoredValue) * static_cast<double>(measured.kernels);
    const bool is_long = measured.seconds > kLongKernelSeconds * static_cast<double>(measured.kernels);
    return is_long ? measured.metered - constants * (1 - 1.0 / kTimesLarger) : measured.metered;
  }

  // Nothing where the job is refused, as a service would.
  std::optional<Measured> measure(const HostileJob& job) {
    auto normal = std::make_shared<graph::NormalGraph>(graph::normalise(job.graph));
    const auto count = meter::count(*normal, job.usage);
    if (!count.ok() || count->memory_bound_bytes > kMostMemory) return std::nullopt;
    run::Program program{.graph = normal, .steps = 100'000, .carry = job.usage.carry};
    for (const std::string& input : job.usage.feed) program.feed.push_back({input, 3, true});
    for (const std::string& output : job.usage.keep_each) program.keep.push_back({output, run::KeepMode::Each});
    Measured out;
    out.metered = static_cast<double>(count->metered().count);
    out.kernels = count->stored_values;
    const double start = processor_seconds();
    auto prepared = run::prepare(device_, program, kMostMemory);
    if (!prepared.ok()) {
      std::fprintf(stderr, "%s: %s %s\n", job.kind.c_str(), prepared.problem().code.c_str(),
                   prepared.problem().detail.substr(0, 300).c_str());
      return std::nullopt;
    }
    out.compile = processor_seconds() - start;
    longest_compile_ =
        std::max(longest_compile_, out.compile / static_cast<double>(std::max<uint64_t>(1, out.kernels)));
    for (const graph::NodeId node : normal->graph.inputs()) {
      const std::string name(normal->graph.input_name(node));
      const uint64_t bytes = meter::value_bytes(normal->graph, node);
      const uint64_t slices = std::ranges::count(job.usage.feed, name) > 0 ? 3 : 1;
      if (!(*prepared)->set_input(name, std::make_shared<RandomBytes>(bytes * slices, normal->graph[node].dtype)).ok())
        return std::nullopt;
    }
    int64_t done = 0;
    const auto steps = [&](int64_t count_of) {
      const double begin = processor_seconds();
      if (!(*prepared)->advance(done, count_of, {}).ok()) std::exit(1);
      done += count_of;
      return processor_seconds() - begin;
    };
    double spent = steps(1);  // pages are touched for the first time
    int64_t taken = 1;
    spent = steps(1);
    while (spent < kLeastSeconds && taken < 200) {
      const int64_t more = std::min<int64_t>(200, taken * 2);
      spent = steps(more);
      taken = more;
    }
    out.seconds = spent / static_cast<double>(taken);
    out.ratio = per_flop_ == 0 ? 0 : out.seconds / work_of_larger(out) / per_flop_;
    return out;
  }

  device::Device& device_;
  std::mt19937_64 random_;
  double per_flop_ = 0, worst_ = 0, longest_compile_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  std::map<std::string, std::string> options;
  for (int i = 1; i + 1 < count; i += 2) options[arguments[i]] = arguments[i + 1];
  const auto number = [&](const char* name, int otherwise) {
    return options.contains(name) ? std::atoi(options[name].c_str()) : otherwise;
  };
  auto device = device::open_device(options.contains("--device") ? options["--device"] : "opencl", {});
  if (!device.ok()) return 1;
  Search search(**device, static_cast<uint64_t>(number("--seed", 1)));
  if (!options.contains("--family") || options["--family"] == "one op") search.each_op(options.contains("--verbose"));
  for (const std::string& family : testing::hostile_families()) {
    if (options.contains("--family") && options["--family"] != family) continue;
    search.run(family, number("--tries", 40), options.contains("--verbose"));
  }
  search.finish();
}
