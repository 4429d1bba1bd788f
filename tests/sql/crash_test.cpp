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
          complete(world_.completion(leases[0]));
        },
        [this] { failed("lease"); });
  }
  void complete(const wire::Completion& completion) {
    pool_.complete(completion, [this](Result<sql::CompletionOutcome> outcome) {
      if (!outcome.ok() || !outcome->result.accepted)
        return failed(outcome.ok() ? outcome->result.code : outcome.problem().detail);
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
  for (int wait = 0; wait < 3'000 && load.succeeded + load.failures < load.started; ++wait)
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
