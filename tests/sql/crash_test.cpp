// PostgreSQL is killed under load. What callers repeat takes effect once.
#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "sql/group_commit.h"
#include "tests/sql/fixture.h"

namespace quarry::test {
namespace {

using namespace std::chrono_literals;

/// Submits jobs, leases and completes them through a pool, each step as soon as the one before is answered.
class Load {
 public:
  Load(World& world, sql::DatabasePool& pool) : world_(world), pool_(pool) {}

  void submit() {
    sql::Submission submission;
    submission.account = world_.renter;
    submission.jobs = {new_job(world_.renter, world_.random, 2, 1)};
    submission.jobs[0].limit = dollars("0.001");
    submission.idempotency = {submission.jobs[0].id.to_string(), digest("request")};
    started += 1;
    pool_.submit(submission, [this](Result<sql::SubmitOutcome> outcome) {
      if (!outcome.ok()) return failed(outcome.problem().detail);
      for (const auto& ready : outcome->ready) lease(ready);
      if (outcome->ready.empty()) failed("not accepted");
    });
  }

  int outstanding() const { return started - succeeded - failures; }

  std::atomic<int> started{0}, succeeded{0}, failures{0};

 private:
  void lease(const wire::ReadyJob& ready) {
    pool_.run(
        [this, ready](sql::Store& store) {
          // The scheduler's way: an answer that was lost is looked up.
          auto leases = store.lease(world_.leader_epoch,
                                    {{ready.job, ready.segment, world_.first.session.session, world_.first.slice()}});
          if (leases.empty())
            for (const auto& running : store.load_running())
              if (running.fence.job == ready.job) leases = store.load_leases({running.fence});
          if (leases.empty()) return failed("no lease");
          complete(world_.completion(leases[0]), ready);
        },
        [this] { failed("lease"); });
  }
  void complete(const wire::Completion& completion, const wire::ReadyJob& ready) {
    pool_.complete(completion, [this, ready](Result<sql::CompletionOutcome> outcome) {
      if (!outcome.ok()) return failed(outcome.problem().detail);
      if (outcome->result.code == "stale_fence" && outcome->state == JobState::Queued)
        return lease(ready);  // forgotten
      if (!outcome->result.accepted) return failed(outcome->result.code);
      if (outcome->next)
        lease(*outcome->next);
      else if (outcome->job_ended)
        succeeded += 1;
      else
        failed("neither ended nor next");
    });
  }
  void failed(const std::string& why) {
    failures += 1;
    const std::lock_guard lock(mutex_);
    UNSCOPED_INFO(why);
  }

  World& world_;
  sql::DatabasePool& pool_;
  std::mutex mutex_;
};

}  // namespace

TEST_CASE("After PostgreSQL is killed in the middle of batches, every job is there, done and charged once") {
  auto& postgres = Postgres::shared();
  World world(postgres.fresh_database());
  sql::DatabasePool pool(world.target, 3, world.clock, world.random);
  Load load(world, pool);
  std::atomic<bool> submitting{true};
  std::thread renter([&] {
    while (submitting) {
      for (int i = 0; i < 10 && load.outstanding() < 500; ++i) load.submit();
      std::this_thread::sleep_for(10ms);
    }
  });
  for (int kill = 0; kill < 3; ++kill) {
    std::this_thread::sleep_for(std::chrono::milliseconds(150 + 37 * kill));
    postgres.cluster().kill();
    CHECK_FALSE(postgres.cluster().running());
    postgres.cluster().start();
  }
  submitting = false;
  renter.join();
  for (int wait = 0; wait < 12'000 && load.succeeded + load.failures < load.started; ++wait)
    std::this_thread::sleep_for(10ms);
  CHECK(load.failures == 0);
  CHECK(load.succeeded == load.started);
  world.store = sql::Store::open(world.target, world.clock, world.random);
  CHECK(world.store->reconcile().empty());
  CHECK(world.ask("select count(*) from job where state = 4") == std::to_string(load.started));
  CHECK(world.ask("select count(*) from meter") == std::to_string(2 * load.started));
  const Money paid = world.store->usage_totals(world.renter).charge;
  CHECK(world.store->balance(world.first.owner).pending == paid);
  CHECK(world.store->balance(world.renter).available == dollars("1000") - paid);
}

/// PostgreSQL is killed with a lease's commit not yet on disk. Whether it is lost is the log writer's to decide: tried
/// until it is.
struct ForgottenLease {
  explicit ForgottenLease(World& world) {
    auto& cluster = Postgres::shared().cluster();
    REQUIRE(world.execute("alter system set wal_writer_delay = '10s'").empty());
    REQUIRE(world.execute("select pg_reload_conf()").empty());
    for (int attempt = 0; attempt < 100 && !forgotten; ++attempt) {
      job = world.submit_job();
      std::this_thread::sleep_for(20ms);
      lease = world.lease(job, 0, world.first);
      const auto events = world.store->job_events_after(world.renter, job, 0, 100);
      last_seen = events.empty() ? 0 : events.back().sequence;
      seen_running = !events.empty() && events.back().kind == "job.running";
      cluster.kill();
      cluster.start();
      world.store = sql::Store::open(world.target, world.clock, world.random);
      forgotten = world.job(job).state == JobState::Queued;
      if (!forgotten) CHECK(world.complete(world.completion(lease)).result.code == "accepted");
    }
    CHECK(world.execute("alter system reset wal_writer_delay").empty());
    CHECK(world.execute("select pg_reload_conf()").empty());
  }
  bool forgotten = false, seen_running = false;
  JobId job;
  wire::Lease lease;
  int64_t last_seen = 0;
};

TEST_CASE(
    "What ran under a lease that a crash forgot is refused while another box has the segment, and charges nothing") {
  World world;
  ForgottenLease crash(world);
  REQUIRE(crash.forgotten);
  CHECK(world.complete(world.completion(crash.lease)).result.code == "stale_fence");
  CHECK(world.fail(crash.lease.fence, "device_error").stale);
  CHECK(world.job(crash.job).state == JobState::Queued);
  const auto again = world.lease(crash.job, 0, world.second);
  CHECK(again.fence.attempt == crash.lease.fence.attempt);  // the number comes again, the fence does not
  CHECK(world.complete(world.completion(crash.lease)).result.code == "stale_fence");
  CHECK(world.fail(crash.lease.fence, "device_error").stale);
  CHECK(world.job(crash.job).spent == Money());
  CHECK(world.complete(world.completion(again)).result.code == "accepted");
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A lease that a crash forgot and the same session got again is completed once, by either run of it") {
  World world;
  ForgottenLease crash(world);
  REQUIRE(crash.forgotten);
  const auto again = world.lease(crash.job, 0, world.first);
  CHECK(again.fence == crash.lease.fence);  // the same session, the same segment: the same work
  CHECK(world.complete(world.completion(crash.lease)).result.code == "accepted");
  CHECK(world.complete(world.completion(again)).result.code == "already_accepted");
  CHECK(world.ask("select count(*) from meter where job = '" + crash.job.uuid() + "'") == "1");
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Who has seen the event of a lease that a crash forgot misses none that come after") {
  World world;
  ForgottenLease crash(world);
  REQUIRE(crash.forgotten);
  REQUIRE(crash.seen_running);
  world.complete(world.completion(world.lease(crash.job, 0, world.second)));
  std::vector<std::string> kinds;
  for (const auto& event : world.store->job_events_after(world.renter, crash.job, crash.last_seen, 100))
    kinds.push_back(event.kind);
  CHECK(kinds == std::vector<std::string>{"job.running", "segment.accepted", "job.succeeded"});
}

TEST_CASE("A lost connection is told as such, and a new one goes on") {
  auto& postgres = Postgres::shared();
  World world(postgres.fresh_database());
  const auto job = new_job(world.renter, world.random);
  postgres.cluster().kill();
  CHECK_THROWS_AS(world.submit(job), sql::StoreUnavailable);
  CHECK_THROWS_AS(sql::Store::open(world.target, world.clock, world.random), sql::StoreUnavailable);
  postgres.cluster().start();
  world.store = sql::Store::open(world.target, world.clock, world.random);
  CHECK(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A cluster stops in order, and its data is there when it starts again") {
  auto& postgres = Postgres::shared();
  World world(postgres.fresh_database());
  const JobId job = world.submit_job();
  world.store.reset();
  postgres.cluster().stop();
  CHECK_FALSE(postgres.cluster().running());
  postgres.cluster().start();
  world.store = sql::Store::open(world.target, world.clock, world.random);
  CHECK(world.job(job).state == JobState::Queued);
}

}  // namespace quarry::test
