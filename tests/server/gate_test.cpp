// The workers' gate over real links and a real PostgreSQL. The test is the worker; it is the leading scheduler too, so
// that it decides what is leased when.
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "engine/graph/graph.h"
#include "server/application.h"
#include "server/blobs/blob_store.h"
#include "sql/store.h"
#include "tests/support/postgres.h"
#include "wire/certificates.h"
#include "wire/link.h"

namespace {

using namespace quarry;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// What arrives on a link, to be waited for by type.
class Inbox {
 public:
  void add(wire::Message message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    changed_.notify_all();
  }
  template <class T>
  std::optional<T> wait(std::chrono::milliseconds limit = 60s) {  // a hang's, not a slow machine's
    std::unique_lock lock(mutex_);
    std::optional<T> found;
    changed_.wait_for(lock, limit, [&] {
      for (auto at = messages_.begin(); at != messages_.end(); ++at)
        if (auto* message = std::get_if<T>(&*at)) {
          found = std::move(*message);
          messages_.erase(at);
          return true;
        }
      return false;
    });
    return found;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<wire::Message> messages_;
};

/// The link takes the version that a Welcome names, as a worker's does.
wire::Link::Handlers into(const std::shared_ptr<Inbox>& inbox, const std::shared_ptr<wire::Link>& link) {
  return {[inbox, weak = std::weak_ptr(link)](wire::Message message) {
            const auto alive = weak.lock();
            if (const auto* welcome = std::get_if<wire::Welcome>(&message); welcome && alive)
              alive->agree(welcome->version);
            inbox->add(std::move(message));
          },
          [](const std::string&) {}};
}

struct Peer {
  std::shared_ptr<wire::Link> link;
  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
};

/// A server, a scheduler's listener that leads, and one enrolled box; everything in a directory that goes with it.
class World {
 public:
  explicit World(uint32_t scheduler_version = wire::kVersion) {
    std::string pattern = (fs::temp_directory_path() / "quarry-gate-test.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    database_ = test::Postgres::shared().fresh_database();
    store = sql::Store::open(database_, clock_, random_);
    authority_ = wire::make_authority("test CA", clock_.wall());
    write("authority.crt", authority_.certificate_pem);
    write("authority.key", authority_.key_pem);
    write("quote.key", std::string(32, 'q'));
    const auto server_files = certify("server");
    renter = sql::create_account(*store, "renter", clock_.wall(), random_);
    owner_ = sql::create_account(*store, "owner", clock_.wall(), random_);
    store->deposit(renter, *Money::parse("10"), "test");
    listener_ = wire::listen(io_, "127.0.0.1", 0, certify("scheduler"), [this](std::shared_ptr<wire::Link> link) {
      scheduler.link = std::move(link);
      scheduler.link->start(into(scheduler.inbox, scheduler.link));
    });
    thread_ = std::thread([this] { io_.run(); });
    leader = store->try_lead("test", "127.0.0.1:" + std::to_string(listener_->port()), 600s);
    server::Options options;
    options.database = database_;
    options.blobs = directory_ / "blobs";
    options.tls_certificate = server_files.certificate;
    options.tls_key = server_files.key;
    options.authority_certificate = server_files.authority;
    options.authority_key = directory_ / "authority.key";
    options.quote_key_file = directory_ / "quote.key";
    application_ = std::make_unique<server::Application>(options, clock_, random_);
    REQUIRE(scheduler.inbox->wait<wire::ServerHello>());
    scheduler.link->agree(scheduler_version);
    scheduler.link->send(wire::SchedulerHello{scheduler_version, leader.epoch});
  }
  ~World() {
    application_.reset();
    listener_->stop();
    io_.stop();
    thread_.join();
    slow_io_.stop();
    if (slow_thread_.joinable()) slow_thread_.join();
    scheduler.link.reset();  // a link must not outlive its io_context
    fs::remove_all(directory_);
  }

  /// A box with its own key, claimed, and a certificate of the CA.
  wire::TlsFiles enrol(BoxId& box) {
    const Digest code = sha256("claim " + std::to_string(++boxes_));
    box = store->create_box(owner_, "box", code);
    const auto files = certify(box.to_string());
    std::ifstream in(files.certificate);
    const std::string pem((std::istreambuf_iterator<char>(in)), {});
    store->claim_box(code, *wire::public_key_digest(pem));
    return files;
  }
  Peer connect(const wire::TlsFiles& files) {
    Peer peer;
    std::promise<std::shared_ptr<wire::Link>> promise;
    wire::connect(io_, "127.0.0.1", application_->gate_port(), files, "server", 30'000,
                  [&](Result<std::shared_ptr<wire::Link>> link) { promise.set_value(link.ok() ? *link : nullptr); });
    peer.link = promise.get_future().get();
    REQUIRE(peer.link);
    peer.link->start(into(peer.inbox, peer.link));
    return peer;
  }
  /// A worker that reads a message each two seconds until it may go on: one that read nothing at all would be taken for
  /// gone. Its link has a thread of its own.
  Peer connect_slow_reader(const wire::TlsFiles& files, std::future<void> go_on) {
    Peer peer;
    std::promise<std::shared_ptr<wire::Link>> promise;
    wire::connect(slow_io_, "127.0.0.1", application_->gate_port(), files, "server", 30'000,
                  [&](Result<std::shared_ptr<wire::Link>> link) { promise.set_value(link.ok() ? *link : nullptr); });
    slow_thread_ = std::thread([this] { slow_io_.run(); });
    peer.link = promise.get_future().get();
    REQUIRE(peer.link);
    auto handlers = into(peer.inbox, peer.link);
    handlers.on_message = [take = handlers.on_message, wait = go_on.share()](wire::Message message) {
      take(std::move(message));
      wait.wait_for(2s);
    };
    peer.link->start(std::move(handlers));
    return peer;
  }
  static wire::Hello hello() {
    wire::DeviceReport device;
    device.key = "interpreter";
    device.name = device.backend = device.driver = "test";
    device.memory_bytes = 1 << 30;
    device.compute_units = 1;
    device.slices.push_back({0, 0, 1, 1 << 30});
    wire::Hello hello;
    hello.software = "test";
    hello.devices.push_back(device);
    hello.slots_per_slice = 4;
    return hello;
  }

  /// A job of one step whose input is a stored tensor file; its lease is committed and sent by the scheduler.
  wire::Lease lease_a_job(const wire::Welcome& welcome, std::map<std::string, sql::JobOutputs::Kept> kept = {}) {
    sql::Submission submission;
    submission.account = renter;
    sql::NewJob job;
    job.id = JobId::make(clock_.wall(), random_);
    job.account = renter;
    job.graph = graph_id;
    job.document = R"({"version":1,"stages":[{"graph":"graph_)" + to_hex(graph_id) + R"(","steps":1}]})";
    job.memory_bound_bytes = 1 << 20;
    job.dtypes = 1;
    job.step.bytes = 8;
    job.prices.per_pflop = *Money::parse("0.0025");
    job.limit = *Money::parse("0.01");
    job.inputs["x"] = {{sha256("input"), 0, 5}};
    if (!kept.empty()) job.outputs = {std::move(kept), {}};
    submission.jobs.push_back(job);
    REQUIRE(store->submit({submission}).front().kind == sql::SubmitOutcome::Kind::Accepted);
    const auto leases = store->lease(leader.epoch, {{job.id, 0, welcome.session, welcome.slices.at(0).slice}});
    REQUIRE(leases.size() == 1);
    scheduler.link->send(wire::Leases{leases});
    return leases.front();
  }
  void store_blob(server::BlobKind kind, const Digest& digest, std::string_view text) const {
    server::BlobStore blobs(directory_ / "blobs");
    REQUIRE(blobs.put(kind, digest, std::as_bytes(std::span(text))).ok());
  }

  std::unique_ptr<sql::Store> store;
  AccountId renter;
  sql::Leader leader;
  Peer scheduler;
  Digest graph_id = sha256("graph");

 private:
  void write(const std::string& name, const std::string& text) const { std::ofstream(directory_ / name) << text; }
  wire::TlsFiles certify(const std::string& name) {
    const std::string key = wire::make_key_pem();
    const auto certificate = wire::issue_certificate(authority_, wire::make_request_pem(key, name), name,
                                                     {name, "127.0.0.1"}, 30, clock_.wall());
    REQUIRE(certificate.ok());
    write(name + ".key", key);
    write(name + ".crt", *certificate);
    return {directory_ / (name + ".crt"), directory_ / (name + ".key"), directory_ / "authority.crt"};
  }

  SystemClock clock_;
  SystemRandom random_;
  fs::path directory_;
  std::string database_;
  wire::KeyAndCertificate authority_;
  AccountId owner_;
  int boxes_ = 0;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{io_.get_executor()};
  std::unique_ptr<wire::Listener> listener_;
  std::thread thread_;
  boost::asio::io_context slow_io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> slow_guard_{slow_io_.get_executor()};
  std::thread slow_thread_;
  std::unique_ptr<server::Application> application_;
};

wire::Produced inline_output(const std::string& name, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {name, sha256(text), text.size(), std::vector<std::byte>(bytes.begin(), bytes.end())};
}

}  // namespace

TEST_CASE(
    "a worker gets its session, its leases and their blobs, and its completion is durable before it is answered") {
  World world;
  BoxId box;
  const wire::TlsFiles files = world.enrol(box);
  const Peer worker = world.connect(files);
  worker.link->send(World::hello());
  const auto welcome = worker.inbox->wait<wire::Welcome>();
  REQUIRE(welcome);
  const auto up = world.scheduler.inbox->wait<wire::SessionUp>();
  REQUIRE(up);
  CHECK(up->session == welcome->session);
  CHECK(up->box == box);

  worker.link->send(wire::Heartbeat{0});
  const auto seen = world.scheduler.inbox->wait<wire::SessionsSeen>();
  REQUIRE(seen);
  CHECK(seen->sessions == std::vector{welcome->session});

  world.store_blob(server::BlobKind::Tensor, sha256("input"), "input");
  world.store_blob(server::BlobKind::Tensor, sha256("secret"), "secret");
  world.store_blob(server::BlobKind::Graph, world.graph_id, "graph");
  const wire::Lease lease = world.lease_a_job(*welcome);
  REQUIRE(worker.inbox->wait<wire::Leases>());

  SECTION("it reads the blobs that its lease names and no other") {
    worker.link->send(wire::BlobGet{1, sha256("input"), false, 1, 3});
    const auto part = worker.inbox->wait<wire::BlobData>();
    REQUIRE(part);
    CHECK(part->total_bytes == 5);
    CHECK(std::string(reinterpret_cast<const char*>(part->bytes.data()), part->bytes.size()) == "npu");
    worker.link->send(wire::BlobGet{2, world.graph_id, true, 0, 100});
    CHECK(worker.inbox->wait<wire::BlobData>()->total_bytes == 5);
    for (const bool graph : {false, true}) {
      worker.link->send(wire::BlobGet{3, sha256("secret"), graph, 0, 100});
      CHECK(worker.inbox->wait<wire::BlobData>()->error == "not_found");
    }
  }
  SECTION("a completion is accepted once, and told so the second time") {
    wire::Completion completion;
    completion.fence = lease.fence;
    completion.kept.push_back(inline_output("y", "result"));
    worker.link->send(wire::Completions{{completion}});
    const auto first = worker.inbox->wait<wire::CompletionResults>();
    REQUIRE(first);
    CHECK(first->results.front().accepted);
    CHECK(world.store->job(world.renter, lease.fence.job)->state == JobState::Succeeded);
    const auto ended = world.scheduler.inbox->wait<wire::AttemptsEnded>();
    REQUIRE(ended);
    CHECK(ended->attempts.front().accepted);
    const Money spent = world.store->job(world.renter, lease.fence.job)->spent;
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().code == "already_accepted");
    CHECK(world.store->job(world.renter, lease.fence.job)->spent == spent);
    CHECK(world.store->reconcile().empty());
  }
  SECTION("a completion with a stale fence changes nothing") {
    wire::Completion completion;
    completion.fence = lease.fence;
    ++completion.fence.attempt;
    completion.kept.push_back(inline_output("y", "result"));
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().code == "stale_fence");
    CHECK(world.store->job(world.renter, lease.fence.job)->state == JobState::Running);
  }
  SECTION("another box cannot end the attempt, though it guesses the whole fence") {
    BoxId other;
    const Peer thief = world.connect(world.enrol(other));
    thief.link->send(World::hello());
    REQUIRE(thief.inbox->wait<wire::Welcome>());
    thief.link->send(wire::Failures{{{lease.fence, "device_error", "forged"}}});
    wire::Completion completion;
    completion.fence = lease.fence;
    completion.kept.push_back(inline_output("y", "forged"));
    thief.link->send(wire::Completions{{completion}});
    CHECK(thief.inbox->wait<wire::CompletionResults>()->results.front().code == "stale_fence");
    CHECK(world.store->job(world.renter, lease.fence.job)->state == JobState::Running);
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().accepted);
  }
  SECTION("an output that is not its hash is rejected, and the scheduler hears that the segment waits again") {
    wire::Completion completion;
    completion.fence = lease.fence;
    completion.kept.push_back(inline_output("y", "result"));
    completion.kept.front().blob = sha256("another");
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().code == "rejected");
    const auto ended = world.scheduler.inbox->wait<wire::AttemptsEnded>();
    REQUIRE(ended);
    CHECK(ended->attempts.front().code == "rejected");
    CHECK(ended->attempts.front().next);
  }
  SECTION("an output whose bytes never came is asked for again, and in the end rejected") {
    wire::Completion completion;
    completion.fence = lease.fence;
    completion.kept.push_back({"y", sha256("secret"), 6, std::nullopt});  // stored, but not by this session
    for (int i = 0; i < 3; ++i) {
      worker.link->send(wire::Completions{{completion}});
      CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().code == "blob_missing");
      CHECK(world.store->job(world.renter, lease.fence.job)->state == JobState::Running);
    }
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().code == "rejected");
    REQUIRE(world.scheduler.inbox->wait<wire::AttemptsEnded>());
    CHECK(world.store->job(world.renter, lease.fence.job)->state == JobState::Queued);
    CHECK(world.store->job(world.renter, lease.fence.job)->spent == Money());
  }
  SECTION("a large output is delivered in parts and verified by its hash") {
    const std::string text(3'000'000, 'r');
    const auto bytes = std::as_bytes(std::span(text));
    const auto put = [&](const Digest& blob) {
      for (size_t at = 0; at < text.size(); at += 1'000'000)
        worker.link->send(
            wire::BlobPut{at,
                          blob,
                          text.size(),
                          at,
                          {bytes.begin() + static_cast<long>(at), bytes.begin() + static_cast<long>(at) + 1'000'000}});
      wire::BlobAck last;
      for (int i = 0; i < 3; ++i) last = worker.inbox->wait<wire::BlobAck>().value_or(wire::BlobAck{});
      return last;
    };
    CHECK(put(sha256("wrong")).error == "hash_mismatch");
    CHECK(put(sha256(text)).stored);
    wire::Completion completion;
    completion.fence = lease.fence;
    completion.kept.push_back({"y", sha256(text), text.size(), std::nullopt});
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().accepted);
  }
  SECTION("a failure queues the segment again and tells the scheduler") {
    worker.link->send(wire::Failures{{{lease.fence, "device_error", "the device failed"}}});
    const auto ended = world.scheduler.inbox->wait<wire::AttemptsEnded>();
    REQUIRE(ended);
    CHECK(ended->attempts.front().next);
    CHECK(world.store->job(world.renter, lease.fence.job)->state == JobState::Queued);
  }
  SECTION("when its link breaks it resumes the session, and the scheduler hears of both") {
    worker.link->close();
    const auto down = world.scheduler.inbox->wait<wire::SessionDown>();
    REQUIRE(down);
    CHECK(down->session == welcome->session);
    const Peer again = world.connect(files);
    wire::Hello hello = World::hello();
    hello.resume = welcome->session;
    again.link->send(hello);
    const auto resumed = again.inbox->wait<wire::Welcome>();
    REQUIRE(resumed);
    CHECK(resumed->session == welcome->session);
    const auto back = world.scheduler.inbox->wait<wire::SessionUp>();
    REQUIRE(back);
    CHECK(back->session == welcome->session);
  }
}

TEST_CASE("a box delivers the blobs that its leases wait for and no others") {
  World world;
  BoxId box;
  const wire::TlsFiles files = world.enrol(box);
  Peer worker = world.connect(files);
  worker.link->send(World::hello());
  const auto welcome = worker.inbox->wait<wire::Welcome>();
  REQUIRE(welcome);
  const auto put = [&](const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    worker.link->send(wire::BlobPut{1, sha256(text), text.size(), 0, {bytes.begin(), bytes.end()}});
    return worker.inbox->wait<wire::BlobAck>().value_or(wire::BlobAck{});
  };
  const std::string a(20'000, 'a'), b(20'000, 'b'), c(20'000, 'c'), d(20'001, 'd');
  CHECK(put(a).error == "not_expected");  // no lease yet
  const wire::Lease lease = world.lease_a_job(*welcome, {{"y", {a.size(), false}}, {"z", {a.size(), false}}});
  REQUIRE(worker.inbox->wait<wire::Leases>());
  CHECK(put(d).error == "not_expected");  // of no value's size
  CHECK(put(a).stored);
  CHECK(put(a).stored);  // again is not another one
  CHECK(put(b).stored);
  CHECK(put(c).error == "not_expected");  // one more than the lease has values

  wire::Completion completion;
  completion.fence = lease.fence;
  completion.kept = {{"y", sha256(a), a.size(), std::nullopt}, {"z", sha256(b), b.size(), std::nullopt}};
  SECTION("a new link of the session still knows what its leases wait for") {
    worker.link->close();
    worker = world.connect(files);
    wire::Hello hello = World::hello();
    hello.resume = welcome->session;
    worker.link->send(hello);
    REQUIRE(worker.inbox->wait<wire::Welcome>());
    CHECK(put(c).stored);
    CHECK(put(d).error == "not_expected");
    completion.kept = {{"y", sha256(c), c.size(), std::nullopt}, {"z", sha256(c), c.size(), std::nullopt}};
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().accepted);
  }
  SECTION("after its completion there is nothing more to deliver") {
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().accepted);
    CHECK(put(c).error == "not_expected");
  }
  SECTION("what it claims to be another size is rejected") {
    completion.kept[0].bytes = 4;
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().code == "rejected");
    CHECK(world.store->job(world.renter, lease.fence.job)->spent == Money());
  }
}

TEST_CASE("a server serves a worker and a scheduler of each version") {
  for (uint32_t version = wire::kOldestVersion; version <= wire::kVersion; ++version) {
    INFO("version " << version);
    World world(version);
    BoxId box;
    const Peer worker = world.connect(world.enrol(box));
    wire::Hello hello = World::hello();
    hello.newest_version = version;
    worker.link->send(hello);
    const auto welcome = worker.inbox->wait<wire::Welcome>();
    REQUIRE(welcome);
    CHECK(welcome->version == version);
    REQUIRE(world.scheduler.inbox->wait<wire::SessionUp>());
    const wire::Lease lease = world.lease_a_job(*welcome);
    REQUIRE(worker.inbox->wait<wire::Leases>());
    worker.link->send(wire::Progress{{{lease.fence, 0, 1}}});
    wire::Completion completion;
    completion.fence = lease.fence;
    completion.kept.push_back(inline_output("y", "result"));
    worker.link->send(wire::Completions{{completion}});
    CHECK(worker.inbox->wait<wire::CompletionResults>()->results.front().accepted);
    CHECK(world.scheduler.inbox->wait<wire::AttemptsEnded>());
  }
}

TEST_CASE("leases that arrive faster than a worker reads wait for it, and its link stays") {
  World world;
  BoxId box;
  const auto files = world.enrol(box);
  std::promise<void> go_on;
  const Peer worker = world.connect_slow_reader(files, go_on.get_future());
  worker.link->send(World::hello());
  const auto welcome = worker.inbox->wait<wire::Welcome>();
  REQUIRE(welcome);
  constexpr int kLeases = 24;  // of 4 MiB: more than a link may queue
  for (int n = 0; n < kLeases; ++n) {
    wire::Lease lease;
    lease.fence = {welcome->incarnation, JobId{}, 0, welcome->session.epoch, n + 1};
    lease.session = welcome->session.id;
    lease.slice = welcome->slices.at(0).slice;
    lease.job_document = std::string(4 << 20, ' ');
    world.scheduler.link->send(wire::Leases{{lease}});
    while (world.scheduler.link->queued_bytes() > 0) std::this_thread::sleep_for(1ms);
  }
  std::this_thread::sleep_for(100ms);  // until the last ones are routed; were it too short, less would be tried
  go_on.set_value();
  for (int n = 0; n < kLeases; ++n) {
    const auto leases = worker.inbox->wait<wire::Leases>();
    REQUIRE(leases);
    CHECK(leases->leases.at(0).fence.attempt == n + 1);
  }
}

TEST_CASE("who is not an enrolled worker of this release is refused") {
  World world;
  BoxId box;
  const auto files = world.enrol(box);
  SECTION("another version") {
    const Peer worker = world.connect(files);
    wire::Hello hello = World::hello();
    hello.oldest_version = hello.newest_version = 1'000;
    worker.link->send(hello);
    CHECK(worker.inbox->wait<wire::Refusal>()->code == "version");
  }
  SECTION("no Hello first") {
    const Peer worker = world.connect(files);
    worker.link->send(wire::Heartbeat{0});
    CHECK(worker.inbox->wait<wire::Refusal>()->code == "hello_expected");
  }
  SECTION("a revoked box") {
    world.store->revoke_box(world.store->find_box(box)->account, box);
    const Peer worker = world.connect(files);
    worker.link->send(World::hello());
    CHECK(worker.inbox->wait<wire::Refusal>()->code == "box_refused");
  }
}

TEST_CASE("an upload begun anew through one server and ended through another is hashed from what is stored") {
  std::string pattern = "/var/tmp/quarry-blobs-test.XXXXXX";  // on a disk: uploads need a gigabyte free
  const fs::path directory = mkdtemp(pattern.data());
  server::BlobStore here(directory), there(directory);
  const std::string file = "true prefix, and the rest";
  const Digest digest = sha256(file);
  const auto part = [&](server::BlobStore& blobs, uint64_t offset, std::string_view text) {
    auto upload = blobs.begin(server::BlobKind::Tensor, "owner", digest, offset, file.size());
    REQUIRE(upload.ok());
    REQUIRE((*upload)->append(std::as_bytes(std::span(text))).ok());
    return std::move(*upload);
  };
  const auto rest = std::string_view(file).substr(11);
  part(here, 0, "true prefix");
  SECTION("what was replaced meanwhile is not taken for what it replaced") {
    part(there, 0, "evil prefix");
    CHECK(part(here, 11, rest)->commit(nullptr).problem().code == "hash_mismatch");
    CHECK(!here.exists(server::BlobKind::Tensor, digest));
  }
  SECTION("what was not is stored") {
    CHECK(part(here, 11, rest)->commit(nullptr).ok());
    CHECK(here.exists(server::BlobKind::Tensor, digest));
  }
  fs::remove_all(directory);
}
