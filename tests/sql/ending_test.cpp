// How jobs end other than by success: the table of end reasons in the design.
#include "tests/sql/fixture.h"

namespace quarry::test {

using Kind = sql::CancelOutcome::Kind;

Money minimum() {
  market::Work work;
  work.metered = {10'000'000'000};
  market::Prices prices;
  prices.per_pflop = dollars("1");
  return market::charge(work, prices)->renter;
}

TEST_CASE("A failed attempt costs nothing and its segment is queued again") {
  World world;
  const JobId job = world.submit_job();
  const auto lease = world.lease(job, 0, world.first);
  const auto outcome = world.fail(lease.fence, "device_error", "it broke");
  CHECK_FALSE(outcome.stale);
  CHECK_FALSE(outcome.job_ended);
  CHECK(outcome.state == JobState::Queued);
  REQUIRE(outcome.next);
  CHECK(world.job(job).spent == Money());
  CHECK(world.fail(lease.fence, "device_error").next);  // the same report again: the answer may have been lost
  CHECK(world.complete(world.completion(lease)).result.code == "stale_fence");
  CHECK(world.lease(job, 0, world.first).fence.attempt == 2);
  CHECK(world.fail(lease.fence, "device_error").next == std::nullopt);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A failure with a stale fence changes nothing") {
  World world;
  const JobId job = world.submit_job();
  auto fence = world.lease(job, 0, world.first).fence;
  fence.session_epoch += 1;
  CHECK(world.fail(fence, "device_error").stale);
  CHECK(world.job(job).state == JobState::Running);
}

TEST_CASE("The same typed failure on the boxes of two owners ends the job as graph_error") {
  World world;
  for (const std::string code : {"graph_error", "executor_crashed", "time_limit", "out_of_memory"}) {
    const JobId job = world.submit_job();
    CHECK_FALSE(world.fail(world.lease(job, 0, world.first).fence, code).job_ended);
    CHECK_FALSE(world.fail(world.lease(job, 0, world.first).fence, code).job_ended);  // the same owner says nothing new
    const auto outcome = world.fail(world.lease(job, 0, world.second).fence, code, "at node 7");
    CHECK(outcome.job_ended);
    CHECK(outcome.state == JobState::Failed);
    const auto row = world.job(job);
    CHECK(row.end_reason == EndReason::GraphError);
    CHECK(row.failure_detail == code + ": at node 7");
    CHECK(row.spent == minimum());
  }
  CHECK(world.store->balance(world.renter).reserved == Money());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Different failures, or a device's own, do not blame the graph") {
  World world;
  const JobId job = world.submit_job();
  world.fail(world.lease(job, 0, world.first).fence, "time_limit");
  world.fail(world.lease(job, 0, world.second).fence, "out_of_memory");
  world.fail(world.lease(job, 0, world.first).fence, "device_error");
  CHECK_FALSE(world.fail(world.lease(job, 0, world.second).fence, "device_error").job_ended);
}

TEST_CASE("A segment that fails too often ends its job, which pays for accepted segments only") {
  World world;
  const JobId job = world.submit_job(4, 2);
  world.complete(world.completion(world.lease(job, 0, world.first)));
  const Money paid = world.job(job).spent;
  for (int attempt = 1; attempt < sql::kMaxAttempts; ++attempt)
    CHECK_FALSE(world.fail(world.lease(job, 1, world.second).fence, "device_error").job_ended);
  CHECK(world.fail(world.lease(job, 1, world.second).fence, "device_error").job_ended);
  const auto row = world.job(job);
  CHECK(row.end_reason == EndReason::AttemptsExhausted);
  CHECK(row.spent == paid);
  CHECK(row.outputs.size() == 2);  // what was accepted stays readable
  CHECK(world.store->balance(world.renter).reserved == Money());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A segment that a stopping box gave back is queued again, pays nothing, and the attempt does not count") {
  World world;
  const JobId job = world.submit_job();
  for (int attempt = 1; attempt <= 2 * sql::kMaxAttempts; ++attempt)
    CHECK_FALSE(world.fail(world.lease(job, 0, world.first).fence, "drained").job_ended);
  for (int attempt = 1; attempt < sql::kMaxAttempts; ++attempt)
    CHECK_FALSE(world.fail(world.lease(job, 0, world.first).fence, "device_error").job_ended);
  CHECK(world.job(job).spent == Money());
  CHECK(world.ask("select count(*) from attempt where end_reason = " +
                  std::to_string(static_cast<int>(EndReason::Drained))) == std::to_string(2 * sql::kMaxAttempts));
  CHECK(world.fail(world.lease(job, 0, world.first).fence, "device_error").job_ended);
  CHECK(world.job(job).end_reason == EndReason::AttemptsExhausted);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Losing the box each time exhausts the attempts too") {
  World world;
  const JobId job = world.submit_job();
  for (int attempt = 1; attempt <= sql::kMaxAttempts; ++attempt) {
    const auto box = world.add_box("box " + std::to_string(attempt));
    world.lease(job, 0, box);
    const auto outcomes = world.store->expire_sessions(world.leader_epoch, {box.session.session});
    REQUIRE(outcomes.size() == 1);
    CHECK(outcomes[0].job_ended == (attempt == sql::kMaxAttempts));
  }
  CHECK(world.job(job).end_reason == EndReason::AttemptsExhausted);
  CHECK(world.job(job).spent == Money());
}

TEST_CASE("A queued job that is cancelled pays the minimum, which nobody has earned but the operator") {
  World world;
  const JobId job = world.submit_job();
  const auto outcome = world.cancel(job);
  CHECK(outcome.kind == Kind::Cancelled);
  CHECK_FALSE(outcome.running);
  CHECK(world.job(job).state == JobState::Cancelled);
  CHECK(world.job(job).spent == minimum());
  CHECK(world.store->balance(world.renter).available == dollars("1000") - minimum());
  CHECK(world.store->usage_totals(world.renter).charge == minimum());
  CHECK(world.store->usage_totals(world.renter).segments == 0);
  CHECK(world.ask("select amount from balance where book = 4 and amount > 0") == minimum().to_string());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A running job that is cancelled names the attempt to stop, and its box earns the minimum") {
  World world;
  const JobId job = world.submit_job();
  const auto lease = world.lease(job, 0, world.first);
  const auto outcome = world.cancel(job);
  CHECK(outcome.running == lease.fence);
  CHECK(outcome.session == lease.session);
  CHECK(world.store->balance(world.first.owner).pending == minimum());
  CHECK(world.complete(world.completion(lease)).result.code == "stale_fence");
  CHECK(world.fail(lease.fence, "cancelled").stale);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A job of five segments that is cancelled in the third pays for two") {
  World world;
  const auto job = new_job(world.renter, world.random, 10, 2);
  world.submit(job);
  world.complete(world.completion(world.lease(job.id, 0, world.first)));
  world.complete(world.completion(world.lease(job.id, 1, world.first)));
  const Money two = world.job(job.id).spent;
  world.lease(job.id, 2, world.second);
  CHECK(world.cancel(job.id).kind == Kind::Cancelled);
  CHECK(world.job(job.id).spent == two);
  CHECK(world.store->balance(world.second.owner).pending == Money());
  CHECK(world.store->balance(world.renter).available == dollars("1000") - two);
  CHECK(world.store->balance(world.renter).reserved == Money());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A job ends once: cancelling what has ended says so") {
  World world;
  const JobId job = world.submit_job();
  const auto outcomes = world.store->cancel({{world.renter, job}, {world.renter, job}});
  CHECK(outcomes[0].kind == Kind::Cancelled);
  CHECK(outcomes[1].kind == Kind::AlreadyEnded);
  CHECK(world.cancel(job).kind == Kind::AlreadyEnded);
  const JobId done = world.submit_job();
  world.complete(world.completion(world.lease(done, 0, world.first)));
  const auto late = world.cancel(done);
  CHECK(late.kind == Kind::AlreadyEnded);
  CHECK(late.state == JobState::Succeeded);
  CHECK(world.cancel(JobId::make(world.clock.wall(), world.random)).kind == Kind::NotFound);
}

}  // namespace quarry::test
