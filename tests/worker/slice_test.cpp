// Real executor processes, driven as the agent drives them.
#include "worker/slice.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/worker/support.h"

namespace quarry::worker::test {
namespace {

namespace fs = std::filesystem;

struct Ended {
  uint64_t ticket;
  std::string code;  ///< empty: done
  std::string detail;
  LocalResult result;
};

class Bench {
 public:
  explicit Bench(const std::string& device = "interpreter", const std::string& program = QUARRY_EXECUTOR,
                 std::chrono::milliseconds start_limit = std::chrono::minutes(1),
                 ExecutorSpec::CompileLimit compile_limit = {})
      : program_(program),
        start_limit_(start_limit),
        compile_limit_(compile_limit),
        cache_(BlobCache::open(directory_.path() + "/cache", uint64_t{1} << 30, "boot").value()),
        slice_(io_, spec(device), handlers()) {
    slice_.start();
    if (start_limit == std::chrono::minutes(1))
      REQUIRE(run_until(io_, [&] { return ready_ || !cannot_serve_.empty(); }));
  }

  uint64_t submit(const GraphFile& graph, const graph::Stage& stage,
                  const std::map<std::string, std::vector<std::byte>>& inputs, bool last_segment = true,
                  int64_t first_step = 0, int64_t steps = -1, uint32_t time_limit_ms = 60'000) {
    LocalJob job;
    job.time_limit_ms = time_limit_ms;
    job.start = {.ticket = next_ticket_++, .graph = graph.id, .first_step = first_step};
    job.start.steps = steps < 0 ? stage.steps : steps;
    job.start.last_segment = last_segment;
    job.blobs.push_back(put(*cache_, graph));
    std::vector<std::string> names;
    for (const auto& [name, bytes] : inputs) {
      job.start.inputs.push_back({name, {{static_cast<uint32_t>(job.blobs.size()), 0, bytes.size()}}});
      job.blobs.push_back(put(*cache_, bytes));
      if (stage.feed.find(name) == stage.feed.end()) names.push_back(name);
    }
    graph::Stage named = stage;
    named.graph = graph.id;
    job.start.job_document = document(named, names);
    const uint64_t ticket = job.start.ticket;
    slice_.submit(std::move(job));
    return ticket;
  }

  /// The doubling of one blob, with more that it never reads.
  uint64_t submit_with_many_blobs(size_t blobs) {
    const GraphFile graph = doubling_graph();
    LocalJob job;
    job.time_limit_ms = 60'000;
    job.start = {.ticket = next_ticket_++, .graph = graph.id, .first_step = 0};
    job.start.steps = 1;
    job.start.last_segment = true;
    job.blobs.push_back(put(*cache_, graph));
    const std::vector<std::byte> bytes = floats({1, 2, 3, 4});
    job.blobs.push_back(put(*cache_, bytes));
    // Found, not put again: a disk takes its time for thousands of files, and the job in front has a minute.
    while (job.blobs.size() < blobs) job.blobs.push_back(cache_->find(job.blobs.back().key()).value());
    job.start.inputs.push_back({"x", {{1, 0, bytes.size()}}});
    graph::Stage stage;
    stage.graph = graph.id;
    job.start.job_document = document(stage, {"x"});
    const uint64_t ticket = job.start.ticket;
    slice_.submit(std::move(job));
    return ticket;
  }

  const Ended& wait(uint64_t ticket) {
    const auto find = [&] {
      return std::find_if(ended_.begin(), ended_.end(), [&](const Ended& e) { return e.ticket == ticket; });
    };
    REQUIRE(run_until(io_, [&] { return find() != ended_.end(); }));
    return *find();
  }

  void wait_until_it_runs(uint64_t ticket) {
    REQUIRE(run_until(io_, [&] { return progress_.count(ticket) > 0; }));
  }

  const LocalOutput& output(const Ended& ended, const std::string& name) {
    for (const LocalOutput& output : ended.result.outputs)
      if (output.name == name) return output;
    FAIL("no output " << name << ", " << ended.code << " " << ended.detail);
    return ended.result.outputs.front();
  }

  std::string program_;
  std::chrono::milliseconds start_limit_;
  ExecutorSpec::CompileLimit compile_limit_;
  boost::asio::io_context io_;
  TemporaryDirectory directory_;
  std::unique_ptr<BlobCache> cache_;
  std::vector<Ended> ended_;
  std::vector<JobProgress> phases_;
  std::map<uint64_t, int64_t> progress_;  ///< steps
  std::optional<Ready> ready_;
  std::optional<Calibrated> calibrated_;
  std::string cannot_serve_;
  int starts_ = 0;
  Slice slice_;

 private:
  ExecutorSpec spec(const std::string& device) const {
    ExecutorSpec spec;
    spec.program = program_;
    spec.device = device;
    spec.cache = directory_.path() + "/compiler";
    spec.user_id = kFirstExecutorUser;
    spec.start_limit = start_limit_;
    spec.compile_limit = compile_limit_;
    return spec;
  }
  Slice::Handlers handlers() {
    Slice::Handlers handlers;
    handlers.on_ready = [this](const Ready& ready) { ready_ = ready, ++starts_; };
    handlers.on_cannot_serve = [this](const std::string& detail) { cannot_serve_ = detail; };
    handlers.on_progress = [this](const JobProgress& progress) {
      phases_.push_back(progress);
      if (progress.phase == JobPhase::Running) progress_[progress.ticket] = progress.done;
    };
    handlers.on_done = [this](uint64_t ticket, LocalResult result) {
      ended_.push_back({ticket, "", "", std::move(result)});
    };
    handlers.on_failed = [this](uint64_t ticket, const std::string& code, const std::string& detail) {
      ended_.push_back({ticket, code, detail, {}});
    };
    handlers.on_calibrated = [this](const Calibrated& figures) { calibrated_ = figures; };
    return handlers;
  }
  uint64_t next_ticket_ = 1;
};

graph::Stage steps(int64_t count) {
  graph::Stage stage;
  stage.steps = count;
  return stage;
}
graph::Stage counting(int64_t count) {
  graph::Stage stage = steps(count);
  stage.carry["w"] = "w_next";
  return stage;
}

/// Long enough to be interrupted, were it left alone.
uint64_t submit_slow(Bench& bench, uint32_t time_limit_ms = 60'000) {
  return bench.submit(slow_graph(), counting(1'000'000), {{"w", floats({0})}}, true, 0, -1, time_limit_ms);
}

TEST_CASE("a job's outputs are what its graph says") {
  Bench bench;
  const Ended& ended = bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4.5})}}));
  CHECK(as_floats(bench.output(ended, "y").small) == std::vector<float>{2, 4, 6, 9});
}

TEST_CASE("jobs end in the order they were handed over, each with its own inputs") {
  Bench bench;
  std::vector<uint64_t> tickets;
  for (int i = 0; i < 50; ++i)
    tickets.push_back(bench.submit(doubling_graph(), steps(1), {{"x", floats({float(i), 0, 0, 0})}}));
  bench.wait(tickets.back());
  REQUIRE(bench.ended_.size() == 50);
  for (size_t i = 0; i < 50; ++i) {
    CHECK(bench.ended_[i].ticket == tickets[i]);
    CHECK(as_floats(bench.ended_[i].result.outputs.at(0).small)[0] == 2.0F * static_cast<float>(i));
  }
}

TEST_CASE("a segment that is not the last gives its carried values, and the next one goes on from them") {
  Bench bench;
  graph::Stage stage = counting(10);
  stage.keep["seen"] = graph::KeepSpec::Each;
  const Ended& first = bench.wait(bench.submit(counting_graph(), stage, {{"w", floats({0})}}, false, 0, 6));
  CHECK(as_floats(bench.output(first, "seen").small) == std::vector<float>{10, 20, 30, 40, 50, 60});
  const LocalOutput carried = [&] {
    const LocalOutput& w = bench.output(first, "w");
    CHECK(w.carried);
    return LocalOutput{true, "w", w.bytes, {}, w.small};
  }();
  CHECK(as_floats(carried.small) == std::vector<float>{6});
  const Ended& second = bench.wait(bench.submit(counting_graph(), stage, {{"w", carried.small}}, true, 6, 4));
  CHECK(as_floats(bench.output(second, "seen").small) == std::vector<float>{70, 80, 90, 100});
  CHECK(second.result.outputs.size() == 1);
}

TEST_CASE("a large output comes as a memory file") {
  Bench bench;
  constexpr int64_t kElements = 100'000;
  std::vector<float> x(kElements, 1.25F);
  const Ended& ended = bench.wait(bench.submit(wide_graph(kElements), steps(1), {{"x", floats(x)}}));
  const LocalOutput& y = bench.output(ended, "y");
  REQUIRE(y.file.valid());
  std::vector<std::byte> bytes(y.bytes);
  REQUIRE(read_exactly(y.file.get(), 0, bytes).ok());
  CHECK(as_floats(bytes) == std::vector<float>(kElements, 2.5F));
}

TEST_CASE("a graph that is not the one of the job is refused by its executor") {
  Bench bench;
  GraphFile wrong = doubling_graph();
  wrong.id = sha256("another graph");
  CHECK(bench.wait(bench.submit(wrong, steps(1), {{"x", floats({1, 2, 3, 4})}})).code == "graph_mismatch");
  CHECK(bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}})).code.empty());
}

TEST_CASE("an input that is shorter than the graph needs ends as graph_error") {
  Bench bench;
  CHECK(bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1})}})).code == "graph_error");
}

TEST_CASE("a running job is cancelled between launches, and the next one runs") {
  Bench bench;
  const uint64_t slow = submit_slow(bench);
  const uint64_t next = bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}});
  bench.wait_until_it_runs(slow);
  bench.slice_.cancel(slow);
  CHECK(bench.wait(slow).code == "cancelled");
  CHECK(bench.wait(next).code.empty());
  CHECK(bench.starts_ == 1);
}

TEST_CASE("a job that is cancelled before it runs never runs") {
  Bench bench;
  const uint64_t slow = submit_slow(bench);
  const uint64_t waiting = bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}});
  bench.wait_until_it_runs(slow);
  bench.slice_.cancel(waiting);
  bench.slice_.cancel(slow);
  CHECK(bench.wait(waiting).code == "cancelled");
}

TEST_CASE("kill -9 of the executor costs the running job its attempt and nothing else") {
  Bench bench;
  const uint64_t slow = submit_slow(bench);
  std::vector<uint64_t> others;
  for (int i = 0; i < 5; ++i)
    others.push_back(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, float(i)})}}));
  bench.wait_until_it_runs(slow);
  SECTION("the process that was started") {
    ::kill(bench.slice_.executor_pid(), SIGKILL);
  }
  SECTION("the one that holds the device") {
    ::kill(process_tree(bench.slice_.executor_pid()).back(), SIGKILL);
  }
  CHECK(bench.wait(slow).code == "executor_crashed");
  for (size_t i = 0; i < others.size(); ++i)
    CHECK(as_floats(bench.output(bench.wait(others[i]), "y").small)[3] == 2.0F * static_cast<float>(i));
  CHECK(bench.starts_ == 2);
}

TEST_CASE("an attempt over its time limit is ended, and the next job runs") {
  Bench bench;
  const uint64_t slow = submit_slow(bench, 300);
  const uint64_t next = bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}});
  CHECK(bench.wait(slow).code == "time_limit");
  CHECK(bench.wait(next).code.empty());
}

TEST_CASE("what an attempt takes to compile does not count towards its time limit") {
  Bench bench("compiles for a second", QUARRY_HOSTILE_EXECUTOR);
  const auto inputs = std::map<std::string, std::vector<std::byte>>{{"x", floats({1, 2, 3, 4})}};
  const Ended& ended = bench.wait(bench.submit(doubling_graph(), steps(1), inputs, true, 0, -1, 300));
  INFO(ended.detail);
  CHECK(ended.code.empty());
}

TEST_CASE("a compiler that does not end is ended with its executor, and the failure names the kernel") {
  Bench bench("compiles for ever", QUARRY_HOSTILE_EXECUTOR, std::chrono::minutes(1),
              {std::chrono::milliseconds(50), std::chrono::milliseconds(1)});
  const Ended& ended = bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}}));
  CHECK(ended.code == "compile_limit");
  CHECK(ended.detail.find("kernel 2 of 3") != std::string::npos);
}

constexpr int kKernels = 24;

uint64_t submit_kernels(Bench& bench, int kernels = kKernels) {
  return bench.submit(graph_of_kernels(kernels), steps(1), {{"x", floats(std::vector<float>(64, 1))}});
}

TEST_CASE("an executor tells how many kernels of a new graph are compiled, and nothing of one that it knows") {
  Bench bench;
  REQUIRE(bench.wait(submit_kernels(bench)).code.empty());
  REQUIRE(bench.phases_.size() >= 3);
  CHECK(bench.phases_[0].phase == JobPhase::Compiling);
  CHECK(bench.phases_[0].total == 0);  // the graph is not planned yet
  CHECK(bench.phases_[1].phase == JobPhase::Compiling);
  CHECK(bench.phases_[1].total == kKernels);
  CHECK(std::is_sorted(bench.phases_.begin(), bench.phases_.end(),
                       [](const JobProgress& a, const JobProgress& b) { return a.phase < b.phase; }));
  CHECK(bench.phases_.back().phase == JobPhase::Running);
  bench.phases_.clear();
  REQUIRE(bench.wait(submit_kernels(bench)).code.empty());
  for (const JobProgress& progress : bench.phases_) CHECK(progress.phase == JobPhase::Running);
}

/// Texts of kernels and, where the driver keeps them by itself, its programs.
int64_t compiled_files(const Bench& bench, const std::string& suffix) {
  int64_t found = 0;
  for (const auto& file : fs::recursive_directory_iterator(bench.directory_.path() + "/compiler"))
    found += file.path().filename().string().ends_with(suffix);
  return found;
}

TEST_CASE("a job is cancelled between two kernels that are compiled, and its executor lives on") {
  Bench bench("opencl");
  if (!bench.ready_) {
    WARN("no OpenCL device here: " << bench.cannot_serve_);
    return;
  }
  const uint64_t ticket = submit_kernels(bench, 64);                         // which takes seconds
  REQUIRE(run_until(bench.io_, [&] { return bench.phases_.size() >= 2; }));  // the first kernel is being compiled
  bench.slice_.cancel(ticket);
  CHECK(bench.wait(ticket).code == "cancelled");
  CHECK(bench.starts_ == 1);
}

TEST_CASE("what an executor has compiled when it is killed is not compiled again") {
  Bench bench("opencl");
  if (!bench.ready_) {
    WARN("no OpenCL device here: " << bench.cannot_serve_);
    return;
  }
  const uint64_t first = submit_kernels(bench);
  const auto half_compiled = [&] { return !bench.phases_.empty() && bench.phases_.back().done >= kKernels / 2; };
  REQUIRE(run_until(bench.io_, half_compiled));
  const int64_t done = bench.phases_.back().done;
  ::kill(process_tree(bench.slice_.executor_pid()).back(), SIGKILL);
  REQUIRE(bench.wait(first).code == "executor_crashed");
  CHECK(compiled_files(bench, "program.bc") >= done);
  CHECK(bench.wait(submit_kernels(bench)).code.empty());
}

TEST_CASE("a device that hangs when it is opened does not keep the jobs that wait for it") {
  Bench bench("a device that hangs when it is opened", QUARRY_HOSTILE_EXECUTOR, std::chrono::milliseconds(50));
  const int first = bench.slice_.executor_pid();
  const Ended& ended = bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}}));
  CHECK(ended.code == "device_error");
  CHECK(run_until(bench.io_, [&] {  // and the process that hangs is replaced
    const int now = bench.slice_.executor_pid();
    return now != 0 && now != first;
  }));
}

TEST_CASE("jobs whose blobs are together more than a process can map run one after the other") {
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  constexpr size_t kJobs = 5, kBlobs = 14'000;  // the kernel allows a process 65,530 mappings
  if (files.rlim_max < kBlobs + 1'000) {
    WARN("too few open files are allowed here");
    return;
  }
  const rlimit before = files;
  files.rlim_cur = files.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  Bench bench;
  const uint64_t slow = submit_slow(bench);
  bench.wait_until_it_runs(slow);
  std::vector<uint64_t> tickets;
  while (tickets.size() < kJobs) tickets.push_back(bench.submit_with_many_blobs(kBlobs));
  const int64_t steps_before = bench.progress_[slow];
  REQUIRE(run_until(bench.io_, [&] { return bench.progress_[slow] > steps_before + 200 || !bench.ended_.empty(); }));
  bench.slice_.cancel(slow);
  CHECK(bench.wait(slow).code == "cancelled");
  for (const uint64_t ticket : tickets) CHECK(bench.wait(ticket).code.empty());
  CHECK(bench.starts_ == 1);
  CHECK(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("a device that does not exist is reported, not retried in a storm") {
  Bench bench("opencl:no-such-device");
  CHECK_FALSE(bench.cannot_serve_.empty());
}

TEST_CASE("the rate card of a device is measured") {
  Bench bench;
  bench.slice_.calibrate(true);
  REQUIRE(run_until(bench.io_, [&] { return bench.calibrated_.has_value(); }));
  CHECK(bench.calibrated_->f16_flops_per_s > 0);
  CHECK(bench.calibrated_->f32_flops_per_s > 0);
  CHECK(bench.calibrated_->f64_flops_per_s > 0);
  CHECK(bench.calibrated_->bytes_per_s > 0);
  CHECK(bench.calibrated_->launches_per_s > 0);
}

TEST_CASE("the executor has no network, no credentials and no files of others") {
  Bench bench;
  const int pid = process_tree(bench.slice_.executor_pid()).back();

  const std::string status = read_proc(pid, "status");
  INFO(status);
  CHECK(status.find("Seccomp:\t2") != std::string::npos);
  CHECK(status.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(status.find("CapEff:\t0000000000000000") != std::string::npos);
  if (::geteuid() == 0) CHECK(status.find("Uid:\t" + std::to_string(kFirstExecutorUser)) != std::string::npos);

  for (const SandboxLayer& layer : bench.ready_->sandbox) {
    INFO(layer.name << ": " << layer.detail);
    CHECK(layer.applied);
  }

  const std::string interfaces = read_proc(pid, "net/dev");
  CHECK(std::count(interfaces.begin(), interfaces.end(), '\n') <= 3);  // two lines of headings and the loopback

  const std::string environment = read_proc(pid, "environ");
  CHECK(std::count(environment.begin(), environment.end(), '\0') <= 5);
  CHECK(environment.find("QUARRY_DATA") == std::string::npos);

  size_t sockets = 0, files = 0;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    const std::string target = fs::read_symlink(entry.path()).string();
    sockets += target.starts_with("socket:");
    files += target.starts_with("/") && target != "/dev/null" && std::stoi(entry.path().filename()) > 2;
  }
  CHECK(sockets <= 2);  // its own; stderr may be one
  CHECK(files == 0);

  // The blob cache exists out here and not in there; the compiler's cache does.
  const std::string root = "/proc/" + std::to_string(pid) + "/root";
  CHECK(fs::exists(bench.directory_.path() + "/cache/blobs"));
  CHECK_FALSE(fs::exists(root + bench.directory_.path() + "/cache"));
  CHECK(fs::exists(root + bench.directory_.path() + "/compiler"));
}

TEST_CASE("an executor that was taken over costs its job the attempt and can tell the agent nothing else") {
  const std::string how = GENERATE(as<std::string>{}, "garbage", "another job's end", "ready twice",
                                   "a start of another's job", "a start while it runs", "an output shorter than said",
                                   "an output that is a pipe", "an output without a file", "impossible progress",
                                   "an earlier phase again", "more kernels than a graph has nodes",
                                   "an unknown failure", "a name that is not text", "a closed socket");
  CAPTURE(how);
  Bench bench(how, QUARRY_HOSTILE_EXECUTOR);
  const Ended& ended = bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}}));
  CHECK(ended.code == "executor_crashed");
  CHECK(bench.ended_.size() == 1);
}

TEST_CASE("a compiler that fails is the device's failure; its text is kept, and the executor serves on") {
  Bench bench("opencl");
  if (!bench.ready_) {
    WARN("no OpenCL device here: " << bench.cannot_serve_);
    return;
  }
  const std::map<std::string, std::vector<std::byte>> x{{"x", floats({1, 2, 3, 4})}};
  const fs::path pocl = bench.directory_.path() + "/compiler/pocl";
  fs::rename(pocl, pocl.string() + ".away");
  std::ofstream(pocl) << "where the driver wants its directory";
  const Ended& failed = bench.wait(bench.submit(doubling_graph(), steps(1), x));
  INFO(failed.detail);
  CHECK(failed.code == "device_error");
  CHECK(failed.detail.find("kernel") != std::string::npos);
  CHECK(compiled_files(bench, ".cl") > 0);
  fs::remove(pocl);
  fs::rename(pocl.string() + ".away", pocl);
  CHECK(bench.wait(bench.submit(doubling_graph(), steps(1), x)).code.empty());
  CHECK(bench.starts_ == 1);
}

TEST_CASE("where the kernel refuses namespaces an executor still works, behind closed directories, and says so") {
  Bench bench("opencl", QUARRY_NO_NAMESPACES);
  if (!bench.ready_) {
    WARN("no OpenCL device here: " << bench.cannot_serve_);
    return;
  }
  std::map<std::string, bool> layers;
  for (const SandboxLayer& layer : bench.ready_->sandbox) layers[layer.name] = layer.applied;
  for (const char* refused : {"network namespace", "mount namespace", "process namespace"}) {
    CAPTURE(refused);
    REQUIRE(layers.count(refused) == 1);
    CHECK_FALSE(layers[refused]);
  }
  CHECK(layers["system call filter"]);
  const Ended& ended = bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4.5})}}));
  INFO(ended.code << ": " << ended.detail);
  CHECK(as_floats(bench.output(ended, "y").small) == std::vector<float>{2, 4, 6, 9});
  CHECK(compiled_files(bench, "program.bc") > 0);
}

TEST_CASE("the kernels that an executor compiled before it was taken over are dropped") {
  Bench bench("garbage", QUARRY_HOSTILE_EXECUTOR);
  const int first = bench.slice_.executor_pid();
  REQUIRE(bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4})}})).code ==
          "executor_crashed");
  REQUIRE(run_until(bench.io_, [&] { return bench.starts_ == 2 && bench.slice_.executor_pid() != first; }));
  CHECK(read_proc(first, "cmdline").empty());
  CHECK(read_proc(bench.slice_.executor_pid(), "cmdline").find("--drop-new-kernels") != std::string::npos);
}

TEST_CASE("PoCL compiles and runs inside the sandbox") {
  Bench bench("opencl");
  if (!bench.ready_) {
    WARN("no OpenCL device here: " << bench.cannot_serve_);
    return;
  }
  const Ended& ended = bench.wait(bench.submit(doubling_graph(), steps(1), {{"x", floats({1, 2, 3, 4.5})}}));
  INFO(ended.code << ": " << ended.detail);
  CHECK(as_floats(bench.output(ended, "y").small) == std::vector<float>{2, 4, 6, 9});
}

}  // namespace
}  // namespace quarry::worker::test
