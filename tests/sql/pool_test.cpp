#include <atomic>
#include <future>
#include <thread>

#include "sql/group_commit.h"
#include "tests/sql/fixture.h"

namespace quarry::test {
namespace {

using namespace std::chrono_literals;
using Kind = sql::SubmitOutcome::Kind;

sql::Submission submission(World& world, AccountId account) {
  return {account, {new_job(account, world.random)}, {}, "", 201};
}

template <class Condition>
bool eventually(const Condition& condition) {
  for (int wait = 0; wait < 12'000; ++wait) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

/// Keeps every thread of a pool busy until it is let go, so that what is queued meanwhile is all there at once.
class Busy {
 public:
  Busy(sql::DatabasePool& pool, int threads) {
    const auto inside = std::make_shared<std::atomic<int>>(0);
    for (int i = 0; i < threads; ++i)
      pool.run([inside, until = until_](sql::Store&) { ++*inside, until.wait(); }, [] {});
    REQUIRE(eventually([&] { return *inside == threads; }));
  }
  void let_go() { promise_.set_value(); }

 private:
  std::promise<void> promise_;
  const std::shared_future<void> until_ = promise_.get_future().share();
};

}  // namespace

TEST_CASE("What queues while a transaction runs joins the next one") {
  World world;
  std::atomic<int> accepted{0};
  {
    sql::DatabasePool pool(world.target, 2, world.clock, world.random);
    Busy busy(pool, 2);
    for (int i = 0; i < 500; ++i)
      REQUIRE(pool.submit(submission(world, world.renter),
                          [&](auto outcome) { accepted += outcome->kind == Kind::Accepted; }));
    busy.let_go();
  }  // finishes what is queued
  CHECK(accepted == 500);
  CHECK(world.ask("select count(*) from transfer where kind = 1") == "1");
  CHECK(world.store->balance(world.renter).reserved == dollars("500"));
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("What is large does not join one transaction without bound") {
  World world;
  std::atomic<int> accepted{0};
  {
    sql::DatabasePool pool(world.target, 1, world.clock, world.random);
    Busy busy(pool, 1);
    for (int i = 0; i < 12; ++i) {  // eight fill a group
      auto item = submission(world, world.renter);
      item.jobs[0].document.append(sql::kMaxGroupBytes / 8, ' ');
      REQUIRE(pool.submit(item, [&](auto outcome) { accepted += outcome.ok() && outcome->kind == Kind::Accepted; }));
    }
    busy.let_go();
  }
  CHECK(accepted == 12);
  CHECK(world.ask("select count(*) from transfer where kind = 1") == "2");
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Two pools spend one balance without overdrawing it, and neither blocks another account") {
  World world;
  const auto poor = world.add_account("poor");
  world.store->deposit(poor, dollars("50"), "x");
  std::atomic<int> accepted{0}, refused{0}, others{0};
  {
    sql::DatabasePool a(world.target, 2, world.clock, world.random), b(world.target, 2, world.clock, world.random);
    for (int i = 0; i < 100; ++i) {
      for (auto* pool : {&a, &b}) {
        pool->submit(submission(world, poor), [&](auto outcome) {
          accepted += outcome->kind == Kind::Accepted;
          refused += outcome->kind == Kind::InsufficientBalance;
        });
        pool->submit(submission(world, world.renter), [&](auto outcome) { others += outcome->kind == Kind::Accepted; });
      }
    }
  }
  CHECK(accepted == 50);
  CHECK(refused == 150);
  CHECK(others == 200);
  CHECK(world.store->balance(poor).available == Money());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Two pools that complete, cancel and fail the same jobs settle each of them once") {
  World world;
  std::vector<wire::Lease> leases;
  for (int i = 0; i < 60; ++i)
    leases.push_back(world.lease(world.submit_job(), 0, i % 2 == 0 ? world.first : world.second));
  std::atomic<int> completed{0}, failed{0}, cancelled{0};
  {
    sql::DatabasePool a(world.target, 4, world.clock, world.random), b(world.target, 4, world.clock, world.random);
    for (auto* pool : {&a, &b}) {
      for (size_t i = 0; i < leases.size(); ++i) {
        const auto& lease = leases[pool == &a ? i : leases.size() - 1 - i];
        pool->complete(world.completion(lease), [&](auto outcome) { completed += outcome->result.code == "accepted"; });
        pool->cancel({world.renter, lease.fence.job},
                     [&](auto outcome) { cancelled += outcome->kind == sql::CancelOutcome::Kind::Cancelled; });
        pool->fail({lease.fence, "device_error", ""}, [&](auto outcome) { failed += !outcome->stale; });
      }
    }
  }
  CHECK(completed + cancelled == 60);
  CHECK(world.store->balance(world.renter).reserved == Money());
  CHECK(world.store->reconcile().empty());
  for (const auto& lease : leases) {
    const auto kinds = world.event_kinds(lease.fence.job);
    CHECK((kinds.back() == "job.succeeded" || kinds.back() == "job.cancelled"));  // an ending is the last event
  }
}

TEST_CASE("An item that PostgreSQL refuses fails alone") {
  World world;
  std::atomic<int> accepted{0}, refused{0};
  {
    sql::DatabasePool pool(world.target, 1, world.clock, world.random);
    for (int i = 0; i < 20; ++i) {
      auto item = submission(world, world.renter);
      if (i == 10) item.jobs[0].document = "not \xff UTF-8";
      pool.submit(item, [&](auto outcome) { outcome.ok() ? ++accepted : ++refused; });
    }
  }
  CHECK(accepted == 19);
  CHECK(refused == 1);
  CHECK(world.store->balance(world.renter).reserved == dollars("19"));
}

TEST_CASE("A full queue refuses more instead of growing") {
  World world;
  sql::DatabasePool pool(world.target, 1, world.clock, world.random);
  Busy busy(pool, 1);
  size_t taken = 0;
  while (pool.cancel({world.renter, JobId{}}, [](auto) {}) && taken <= sql::kMaxQueued) ++taken;
  CHECK(taken == sql::kMaxQueued);
  busy.let_go();
}

TEST_CASE("Without a database, work is given up when the pool stops") {
  World world;
  std::atomic<int> failed{0};
  {
    sql::DatabasePool pool("host=/nonexistent dbname=quarry", 1, world.clock, world.random);
    pool.run([](sql::Store&) {}, [&] { failed += 1; });
    pool.submit(submission(world, world.renter),
                [&](auto outcome) { failed += outcome.problem().code == "service_unavailable"; });
  }
  CHECK(failed == 2);
}

TEST_CASE("Single works run on several threads at once") {
  World world;
  sql::DatabasePool pool(world.target, 3, world.clock, world.random);
  std::atomic<int> inside{0}, met{0};
  for (int i = 0; i < 3; ++i)
    pool.run(
        [&](sql::Store& store) {
          store.balance(world.renter);
          ++inside;
          met += eventually([&] { return inside == 3; });
        },
        [] {});
  CHECK(eventually([&] { return met == 3; }));
}

}  // namespace quarry::test
