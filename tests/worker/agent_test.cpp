// The agent with a real executor, against a gate of the test's own.
#include "worker/agent.h"

#include <signal.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>

#include "tests/worker/fake_gate.h"

namespace quarry::worker::test {
namespace {

class Box {
 public:
  explicit Box(uint64_t cache_bytes = uint64_t{1} << 30)
      : gate_(io_, directory_.path()),
        cache_(BlobCache::open(directory_.path() + "/cache", cache_bytes, "boot").value()) {}

  void start(int32_t slots = 8, const std::string& device = "interpreter") {
    AgentOptions options;
    options.device_key = device;
    ExecutorSpec slice;
    slice.program = QUARRY_EXECUTOR;
    slice.device = device;
    slice.cache = directory_.path() + "/compiler";
    slice.user_id = kFirstExecutorUser;
    options.slices.push_back(slice);
    options.slots_per_slice = slots;
    options.rate_card_file = rate_card_file();
    if (next_measurement_ != nullptr) options.next_measurement = next_measurement_;
    options.gate = {"127.0.0.1", gate_.port()};
    options.tls = gate_.box_files();
    agent_ = std::make_unique<Agent>(
        io_, std::move(options), *cache_, random_,
        Agent::Handlers{[this](const std::string&) { serving_ = true; },
                        [](const std::string& problem) { FAIL(problem); }, [this] { drained_ = true; }});
    agent_->start();
    REQUIRE(run_until(io_, [&] { return serving_; }));
  }

  std::string rate_card_file() const { return directory_.path() + "/rate_card.json"; }
  /// As they were measured before the start, and as they are kept now.
  static inline const std::string kSubject = "interpreter; interpreter; interpreter 1; 1 units";
  void set_rates(const RateCard& card) { REQUIRE(save_rate_card(rate_card_file(), kSubject, card).ok()); }
  double kept_rate(const std::string& name) const {
    return load_rate_card(rate_card_file(), kSubject).value().at(name);
  }

  bool until(const std::function<bool()>& done) { return run_until(io_, done); }
  wire::Lease doubling(float x) { return gate_.make_lease(doubling_graph(), {}, {{"x", floats({x, 0, 0, 0})}}); }
  wire::Lease slow() {
    graph::Stage stage;
    stage.steps = 1'000'000;
    stage.carry["w"] = "w_next";
    return gate_.make_lease(slow_graph(), stage, {{"w", floats({0})}});
  }
  bool runs(const wire::Lease& lease) {
    return until([&] {
      return std::any_of(gate_.progress.begin(), gate_.progress.end(),
                         [&](const auto& p) { return p.fence == lease.fence; });
    });
  }

  boost::asio::io_context io_;
  TemporaryDirectory directory_;
  SystemRandom random_;
  FakeGate gate_;
  std::unique_ptr<BlobCache> cache_;
  std::unique_ptr<Agent> agent_;
  bool serving_ = false, drained_ = false;
  std::chrono::milliseconds (*next_measurement_)(int) = nullptr;
};

float first_value(const wire::Completion& completion) {
  return as_floats(completion.kept.at(0).inline_bytes.value()).at(0);
}

TEST_CASE("a lease becomes a completion with its outputs inline and named by their hash") {
  Box box;
  box.start();
  const wire::Lease lease = box.doubling(21);
  box.gate_.send({lease});
  REQUIRE(box.until([&] { return !box.gate_.completions.empty() || !box.gate_.failures.empty(); }));
  REQUIRE(box.gate_.failures.empty());
  const wire::Completion& completion = box.gate_.completions[0];
  CHECK(completion.fence == lease.fence);
  CHECK(first_value(completion) == 42);
  CHECK(completion.kept[0].name == "y");
  CHECK(completion.kept[0].blob == sha256(*completion.kept[0].inline_bytes));
  CHECK(completion.carried.empty());
}

TEST_CASE("a worker serves a server of each version") {
  for (uint32_t version = wire::kOldestVersion; version <= wire::kVersion; ++version) {
    INFO("version " << version);
    Box box;
    box.gate_.version = version;
    box.start();
    const wire::Lease slow = box.slow(), lease = box.doubling(21);
    box.gate_.send({slow});
    REQUIRE(box.runs(slow));  // its progress has the form of that version
    box.gate_.cancel(slow.fence);
    box.gate_.send({lease});
    REQUIRE(box.until([&] { return !box.gate_.completions.empty(); }));
    CHECK(first_value(box.gate_.completions[0]) == 42);
    CHECK(box.gate_.links == 1);
  }
}

TEST_CASE("tenants take turns on a slice: another's first job goes before what one has waiting") {
  Box box;
  box.start();
  wire::Lease running = box.slow();
  running.tenant = 1;
  box.gate_.send({running});
  REQUIRE(box.runs(running));
  std::vector<wire::Lease> backlog;
  for (int i = 0; i < 5; ++i) {
    backlog.push_back(box.doubling(static_cast<float>(i)));
    backlog.back().tenant = 1;
  }
  box.gate_.send(backlog);
  std::vector<wire::Lease> others;
  for (uint64_t tenant = 2; tenant <= 3; ++tenant) {
    others.push_back(box.doubling(20));
    others.back().tenant = tenant;
  }
  box.gate_.send(others);
  // They are handed over once their blobs have come.
  REQUIRE(box.until([&] { return box.gate_.asked.contains(others[1].inputs.at("x")[0].blob); }));
  const int before = box.gate_.heartbeats;
  REQUIRE(box.until([&] { return box.gate_.heartbeats >= before + 3; }));
  box.gate_.cancel(running.fence);
  REQUIRE(box.until([&] { return box.gate_.completions.size() >= 7; }));
  std::vector<wire::Fence> order;
  for (const auto& completion : box.gate_.completions) order.push_back(completion.fence);
  std::vector<wire::Fence> expected{others[0].fence, others[1].fence};
  for (const auto& lease : backlog) expected.push_back(lease.fence);
  CHECK(order == expected);
}

TEST_CASE("a graph that ran is told to the server, and again on the next link") {
  Box box;
  box.start();
  const wire::Lease lease = box.doubling(1);
  box.gate_.send({lease});
  REQUIRE(box.until([&] { return !box.gate_.completions.empty(); }));
  REQUIRE(box.until([&] { return box.gate_.compiled == std::vector{lease.graph}; }));
  box.gate_.send({box.doubling(2)});
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 2; }));
  CHECK(box.gate_.compiled.size() == 1);
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.compiled.size() == 2; }));
}

TEST_CASE("Hello tells the device, its slice and its measured rates") {
  Box box;
  box.start(5);
  const wire::DeviceReport& device = box.gate_.hello->devices.at(0);
  CHECK(device.key == "interpreter");
  CHECK(device.slices.size() == 1);
  CHECK(device.memory_bytes > 0);
  CHECK(device.rate_card.at("f32_flops_per_s") > 0);
  CHECK(device.rate_card.at("bytes_per_s") > 0);
  CHECK(device.rate_card.size() == 2);  // the others are measured when the device is idle
  CHECK(box.gate_.hello->slots_per_slice == 5);
  CHECK(box.until([&] { return box.gate_.heartbeats >= 3; }));
}

TEST_CASE("rates that a busy machine measured are raised when the device is idle, and never lowered") {
  Box box;
  box.set_rates({{"f32_flops_per_s", 1}, {"bytes_per_s", 1e17}});
  box.next_measurement_ = [](int) { return std::chrono::milliseconds(50); };
  box.start();
  CHECK(box.gate_.hello->devices.at(0).rate_card.at("f32_flops_per_s") == 1);
  CHECK(box.until([&] { return box.kept_rate("f32_flops_per_s") > 1; }));
  CHECK(box.kept_rate("bytes_per_s") == 1e17);
  CHECK(box.kept_rate("launches_per_s") > 0);
}

std::vector<int> g_measurements;  ///< how many there had been, each time that the agent asked when the next one is due

TEST_CASE("a device is not measured while it has a job") {
  Box box;
  box.set_rates({{"f32_flops_per_s", 1}});
  g_measurements.clear();
  box.next_measurement_ = [](int n) { return g_measurements.push_back(n), std::chrono::milliseconds(50); };
  box.start();
  const wire::Lease slow = box.slow();
  box.gate_.send({slow});
  REQUIRE(box.runs(slow));
  const size_t asked = g_measurements.size();
  REQUIRE(box.until([&] { return g_measurements.size() >= asked + 5; }));
  CHECK(g_measurements.back() == g_measurements.at(asked));
  box.gate_.cancel(slow.fence);
  CHECK(box.until([&] { return g_measurements.back() > g_measurements.at(asked); }));
}

TEST_CASE("a device is measured often at first and every six hours later") {
  CHECK(next_measurement(0) < next_measurement(1));
  CHECK(next_measurement(1) < next_measurement(3));
  CHECK(next_measurement(1'000'000) == std::chrono::hours(6));
}

TEST_CASE("a blob is fetched once, whatever number of jobs need it") {
  Box box;
  box.start();
  std::vector<wire::Lease> leases;
  for (int i = 0; i < 20; ++i) leases.push_back(box.doubling(3));
  box.gate_.send(leases);
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 20; }));
  CHECK(box.gate_.gets == 2);  // the graph and the input
}

TEST_CASE("leases whose blobs together do not fit the cache wait for each other and all complete") {
  Box box(300'000);
  box.start(64);
  constexpr size_t kJobs = 20, kElements = 40'000;  // 160 kB each
  std::vector<wire::Lease> leases;
  for (size_t i = 0; i < kJobs; ++i)
    leases.push_back(box.gate_.make_lease(wide_graph(kElements), {},
                                          {{"x", floats(std::vector<float>(kElements, static_cast<float>(i)))}}));
  box.gate_.send(leases);
  REQUIRE(box.until([&] { return box.gate_.completions.size() == kJobs || !box.gate_.failures.empty(); }));
  CHECK(box.gate_.failures.empty());
}

TEST_CASE("a lease whose blobs never fit the cache fails, also with nothing else in hand") {
  Box box(100'000);
  box.start();
  constexpr size_t kElements = 20'000;
  const auto half = [&](float value) { return floats(std::vector<float>(kElements, value)); };
  wire::Lease lease = box.gate_.make_lease(wide_graph(kElements), {}, {{"x", half(1)}, {"z", half(2)}});
  box.gate_.send({lease});
  REQUIRE(box.until([&] { return !box.gate_.failures.empty(); }));
  CHECK(box.gate_.failures[0].fence == lease.fence);
  CHECK(box.gate_.failures[0].code == "device_error");
}

TEST_CASE("large inputs and outputs travel in parts and arrive whole") {
  Box box;
  box.start();
  constexpr int64_t kElements = 1'500'000;  // 6 MB: six parts
  std::vector<float> x(kElements);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1000);
  box.gate_.send({box.gate_.make_lease(wide_graph(kElements), {}, {{"x", floats(x)}})});
  REQUIRE(box.until([&] { return !box.gate_.completions.empty() || !box.gate_.failures.empty(); }));
  REQUIRE(box.gate_.failures.empty());
  const wire::Produced& y = box.gate_.completions[0].kept.at(0);
  CHECK_FALSE(y.inline_bytes);
  for (float& value : x) value *= 2;
  CHECK(box.gate_.uploads.at(y.blob) == floats(x));
  CHECK(y.bytes == 4 * kElements);
}

TEST_CASE("an output that the server lost is put again before the completion is repeated") {
  Box box;
  box.start();
  box.gate_.forget_first_upload = true;
  box.gate_.send({box.gate_.make_lease(wide_graph(100'000), {}, {{"x", floats(std::vector<float>(100'000, 1))}})});
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 2; }));
  CHECK(box.gate_.failures.empty());
}

TEST_CASE("a blob that the server does not have fails the attempt, and the worker goes on") {
  Box box;
  box.start();
  wire::Lease lease = box.doubling(1);
  lease.inputs["x"][0].blob = sha256("never uploaded");
  box.gate_.send({lease, box.doubling(2)});
  REQUIRE(box.until([&] { return !box.gate_.failures.empty() && !box.gate_.completions.empty(); }));
  CHECK(box.gate_.failures[0].fence == lease.fence);
  CHECK(box.gate_.failures[0].code == "device_error");
}

TEST_CASE("a completion is said again after a broken link until it is answered, on the same session") {
  Box box;
  box.start();
  box.gate_.answer_completions = false;
  const wire::Lease lease = box.doubling(4);
  box.gate_.send({lease});
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 1; }));
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 2; }));
  CHECK(box.gate_.resumes == 1);
  CHECK(box.gate_.completions[1].fence == lease.fence);
  box.gate_.answer_completions = true;
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 3; }));
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.hellos == 4; }));
  CHECK_FALSE(run_until(
      box.io_, [&] { return box.gate_.completions.size() > 3; }, std::chrono::seconds(1)));
}

TEST_CASE("completions that are together more than a link may queue are said again without breaking it") {
  Box box;
  box.start(64);
  box.gate_.answer_completions = false;
  constexpr size_t kJobs = 40, kOutputs = 120, kElements = 4'096;  // 16 KiB an output: 79 MB, all of it inline
  graph::Builder b;
  const std::array<int64_t, 1> shape{kElements};
  const graph::NodeId x = b.input("x", graph::DType::F32, shape);
  const graph::NodeId twice = b.binary(graph::Op::Add, x, x);
  for (size_t i = 0; i < kOutputs; ++i) b.output("y" + std::to_string(i), twice);
  const graph::NormalGraph normal = graph::normalise(b.finish().value());
  const GraphFile graph{normal.id, graph::write_cbor(normal.graph)};
  std::vector<wire::Lease> leases;
  for (size_t i = 0; i < kJobs; ++i)
    leases.push_back(box.gate_.make_lease(graph, {}, {{"x", floats(std::vector<float>(kElements, 1))}}));
  box.gate_.send(leases);
  REQUIRE(box.until([&] { return box.gate_.completions.size() == kJobs; }));
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 2 * kJobs; }));
  CHECK(box.gate_.hellos == 2);
}

TEST_CASE("a running job outlives a broken link, and its lease said again does not run it twice") {
  Box box;
  box.start();
  graph::Stage stage;
  stage.steps = 300;
  stage.carry["w"] = "w_next";
  const wire::Lease lease = box.gate_.make_lease(slow_graph(), stage, {{"w", floats({0})}});
  box.gate_.send({lease});
  REQUIRE(box.runs(lease));
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.hellos == 2; }));
  box.gate_.send({lease});
  REQUIRE(box.until([&] { return !box.gate_.completions.empty(); }));
  CHECK(as_floats(box.gate_.completions[0].kept.at(0).inline_bytes.value())[0] == 300);
  CHECK_FALSE(run_until(
      box.io_, [&] { return box.gate_.completions.size() > 1; }, std::chrono::seconds(1)));
}

TEST_CASE("when the session was lost its attempts are dropped and the box serves the new one") {
  Box box;
  box.start();
  const wire::Lease lost = box.slow();
  box.gate_.send({lost});
  REQUIRE(box.runs(lost));
  box.gate_.expire_session();
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.hellos == 2; }));
  box.gate_.send({box.doubling(8)});
  REQUIRE(box.until([&] { return !box.gate_.completions.empty(); }));
  CHECK(first_value(box.gate_.completions[0]) == 16);
  CHECK(box.gate_.failures.empty());
}

TEST_CASE("what was on its way for a lost session leaves no room taken in the cache") {
  Box box;
  box.start();
  constexpr size_t kElements = 10'000'000;
  box.gate_.send({box.gate_.make_lease(wide_graph(kElements), {}, {{"x", floats(std::vector<float>(kElements, 1))}})});
  REQUIRE(
      box.until([&] { return box.cache_->used_bytes() >= sizeof(float) * kElements; }));  // reserved at the first part
  box.gate_.expire_session();
  box.gate_.cut();
  REQUIRE(box.until([&] { return box.gate_.hellos == 2; }));
  box.gate_.send({box.doubling(8)});
  REQUIRE(box.until([&] { return !box.gate_.completions.empty(); }));
  CHECK(box.cache_->used_bytes() < sizeof(float) * kElements);
}

TEST_CASE("a cancel stops the running attempt and the fence says which") {
  Box box;
  box.start();
  const wire::Lease lease = box.slow();
  box.gate_.send({lease});
  REQUIRE(box.runs(lease));
  box.gate_.cancel(lease.fence);
  REQUIRE(box.until([&] { return !box.gate_.failures.empty(); }));
  CHECK(box.gate_.failures[0].fence == lease.fence);
  CHECK(box.gate_.failures[0].code == "cancelled");
}

TEST_CASE("kill -9 of the executor fails one attempt; the leases behind it complete") {
  Box box;
  box.start();
  const wire::Lease lease = box.slow();
  box.gate_.send({lease, box.doubling(1), box.doubling(2), box.doubling(3)});
  REQUIRE(box.runs(lease));
  ::kill(box.agent_->executor_pid(0), SIGKILL);
  REQUIRE(box.until([&] { return box.gate_.completions.size() == 3; }));
  REQUIRE(box.gate_.failures.size() == 1);
  CHECK(box.gate_.failures[0].code == "executor_crashed");
}

TEST_CASE("progress is told ten times a second at most, not at every step") {
  Box box;
  box.start();
  const wire::Lease lease = box.slow();
  box.gate_.send({lease});
  REQUIRE(box.runs(lease));
  const size_t before = box.gate_.progress.size();
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(box.until([&] { return box.gate_.progress.size() >= before + 5; }));
  // The first may have been under way, between the others lies a tenth of a second: steps take some milliseconds.
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(300));
}

TEST_CASE("draining gives back what waits, lets what runs finish within a bound, and refuses new leases") {
  Box box;
  box.start();
  const wire::Lease running = box.slow(), waiting = box.doubling(1);
  box.gate_.send({running, waiting});
  REQUIRE(box.runs(running));
  box.agent_->drain();
  const wire::Lease late = box.doubling(2);
  box.gate_.send({late});
  REQUIRE(box.until([&] { return box.drained_; }));
  REQUIRE(box.until([&] { return box.gate_.failures.size() >= 3; }));
  for (const wire::AttemptFailure& failure : box.gate_.failures) CHECK(failure.code == "drained");
}

TEST_CASE("draining an idle worker ends at once") {
  Box box;
  box.start();
  box.agent_->drain();
  CHECK(run_until(
      box.io_, [&] { return box.drained_; }, std::chrono::seconds(4)));  // what runs would be given 5
}

TEST_CASE("no-op jobs per second through agent and executor", "[.bench]") {
  const std::string device = GENERATE("interpreter", "opencl");
  Box box;
  box.start(64, device);
  constexpr size_t kJobs = 20'000, kInFlight = 64;
  std::vector<wire::Lease> leases;
  for (size_t i = 0; i < kJobs; ++i) leases.push_back(box.doubling(1));
  const auto start = std::chrono::steady_clock::now();
  size_t sent = 0;
  REQUIRE(run_until(box.io_, [&] {
    std::vector<wire::Lease> batch;
    while (sent < kJobs && sent - box.gate_.completions.size() < kInFlight) batch.push_back(leases[sent++]);
    if (!batch.empty()) box.gate_.send(std::move(batch));
    return box.gate_.completions.size() == kJobs;
  }));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  WARN(static_cast<double>(kJobs) / took.count()
       << " no-op jobs/s on " << device << ", gate, agent and executor on this machine");
}

}  // namespace
}  // namespace quarry::worker::test
