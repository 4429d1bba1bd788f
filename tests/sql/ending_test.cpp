// How jobs end other than by success: the table of end reasons in the design.
#include "sql/changes.h"
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

TEST_CASE("The same typed failure on two boxes ends the job as graph_error") {
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

TEST_CASE("The graph's own failure ends its job at the second attempt where only one box could run it") {
  World world;
  world.store->expire_sessions(world.leader_epoch, {world.second.session.session});
  for (const char* code : {"graph_error", "time_limit", "out_of_memory"}) {
    INFO(code);
    const auto job = new_job(world.renter, world.random, 4, 2);
    REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
    world.complete(world.completion(world.lease(job.id, 0, world.first)));
    const Money accepted = world.job(job.id).spent;
    CHECK_FALSE(world.fail(world.lease(job.id, 1, world.first).fence, code).job_ended);
    CHECK(world.fail(world.lease(job.id, 1, world.first).fence, code).job_ended);
    CHECK(world.job(job.id).end_reason == EndReason::GraphError);
    CHECK(world.job(job.id).spent == accepted);
  }
  // A process that dies may be the box's doing: that takes a second box.
  const JobId job = world.submit_job();
  for (int attempt = 1; attempt < sql::kMaxAttempts; ++attempt)
    CHECK_FALSE(world.fail(world.lease(job, 0, world.first).fence, "executor_crashed").job_ended);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Where another box could run the segment, one box alone does not blame the graph") {
  World world;
  const JobId job = world.submit_job();
  CHECK_FALSE(world.fail(world.lease(job, 0, world.first).fence, "time_limit").job_ended);
  CHECK_FALSE(world.fail(world.lease(job, 0, world.first).fence, "time_limit").job_ended);
  CHECK(world.fail(world.lease(job, 0, world.second).fence, "time_limit").job_ended);
  CHECK(world.job(job).end_reason == EndReason::GraphError);
}

TEST_CASE("A box that is too small for the segment is no other box") {
  World world;
  auto job = new_job(world.renter, world.random);
  job.memory_bound_bytes = uint64_t{2} << 30;  // over any of this world: it is leased all the same
  world.submit(job);
  CHECK_FALSE(world.fail(world.lease(job.id, 0, world.first).fence, "time_limit").job_ended);
  CHECK(world.fail(world.lease(job.id, 0, world.first).fence, "time_limit").job_ended);
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

TEST_CASE("A job that was never leased costs nothing when it is cancelled") {
  World world;
  const JobId job = world.submit_job();
  const auto outcome = world.cancel(job);
  CHECK(outcome.kind == Kind::Cancelled);
  CHECK_FALSE(outcome.running);
  CHECK(world.job(job).state == JobState::Cancelled);
  CHECK(world.job(job).spent == Money());
  CHECK(world.store->balance(world.renter).available == dollars("1000"));
  CHECK(world.store->job_usage(world.renter, job).empty());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A job that boxes lost, failed or gave back costs nothing when it is cancelled in the queue") {
  World world;
  for (const std::string code : {"device_error", "drained", "no_space"}) {
    const JobId job = world.submit_job();
    world.fail(world.lease(job, 0, world.first).fence, code);
    world.cancel(job);
    CHECK(world.job(job).spent == Money());
  }
  const JobId lost = world.submit_job();
  const auto box = world.add_box("lost");
  world.lease(lost, 0, box);
  world.store->expire_sessions(world.leader_epoch, {box.session.session});
  world.cancel(lost);
  CHECK(world.job(lost).spent == Money());
  CHECK(world.store->balance(world.renter).available == dollars("1000"));
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A job that failed by its own doing and is cancelled in the queue pays the minimum to that box's owner") {
  World world;
  for (const std::string code : {"graph_error", "executor_crashed", "time_limit", "out_of_memory"}) {
    const Money before = world.store->balance(world.first.owner).pending;
    const JobId job = world.submit_job();
    world.fail(world.lease(job, 0, world.first).fence, code);
    world.fail(world.lease(job, 0, world.second).fence, "drained");
    world.cancel(job);
    CHECK(world.job(job).spent == minimum());
    CHECK(world.store->balance(world.first.owner).pending == before + minimum());
  }
  CHECK(world.store->balance(world.second.owner).pending == Money());
  CHECK(world.store->usage_totals(world.renter).segments == 0);
  CHECK(world.store->reconcile().empty());
}

/// Ends a running job behind the scheduler's back, as the rooms that know deadlines, budgets and rentals will.
void end_job(World& world, JobId id, JobState state, EndReason reason) {
  sql::Connection connection(world.target);
  sql::Connection::Transaction tx(connection);
  const auto locked = sql::queue_locked_jobs(tx, {id});
  static constexpr auto kLive =
      sql::joined("select ", sql::kAttemptColumns, " from attempt a where a.job = $1 and a.state in (0, 1, 2)");
  const auto live = tx.queue(kLive, id);
  const auto answers = tx.flush();
  auto jobs = sql::locked_jobs(answers[locked]);
  std::optional<AccountId> ran;
  sql::JobChanges changes;
  for (size_t row = 0; row < answers[live].size(); ++row) {
    const auto attempt = sql::read_row<sql::StoredAttempt>(answers[live], row);
    ran = attempt.owner;
    changes.end_attempt(attempt, {.state = AttemptState::Cancelled, .reason = reason});
  }
  changes.end(jobs.at(id), state, reason, "", ran);
  changes.write(tx, world.clock.wall(), world.random);
  tx.commit();
}

TEST_CASE("Each end reason pays what the table says: in the queue, in the first segment, and in the second") {
  World world;
  struct Expected {
    EndReason reason;
    JobState state;
    bool minimum, refund;
  };
  for (const Expected& end : {Expected{EndReason::Cancelled, JobState::Cancelled, true, false},
                              Expected{EndReason::DeadlinePassed, JobState::Expired, true, false},
                              Expected{EndReason::BudgetStop, JobState::Cancelled, true, false},
                              Expected{EndReason::GraphError, JobState::Failed, true, false},
                              Expected{EndReason::AttemptsExhausted, JobState::Failed, false, false},
                              Expected{EndReason::RentalEnded, JobState::Cancelled, false, false},
                              Expected{EndReason::ServiceFault, JobState::Failed, false, true}}) {
    INFO(name(end.reason));
    const Money before = world.store->balance(world.renter).available;
    const Money earned = world.store->balance(world.first.owner).pending;
    if (end.state != JobState::Failed) {  // a job that waits does not fail
      const JobId waits = world.submit_job();
      end_job(world, waits, end.state, end.reason);
      CHECK(world.store->balance(world.renter).available == before);
    }
    const JobId runs = world.submit_job();
    world.lease(runs, 0, world.first);
    end_job(world, runs, end.state, end.reason);
    const Money first = end.minimum ? minimum() : Money();
    CHECK(world.store->balance(world.renter).available == before - first);
    CHECK(world.store->balance(world.first.owner).pending == earned + first);

    const auto job = new_job(world.renter, world.random, 4, 2);
    world.submit(job);
    world.complete(world.completion(world.lease(job.id, 0, world.first)));
    world.lease(job.id, 1, world.second);
    end_job(world, job.id, end.state, end.reason);
    const Money segment = world.job(job.id).spent;
    CHECK(segment > minimum());
    CHECK(world.store->balance(world.renter).available == before - first - (end.refund ? Money() : segment));
    CHECK(world.store->balance(world.first.owner).pending == earned + first + segment);
    CHECK(world.store->balance(world.second.owner).pending == Money());
  }
  CHECK(world.store->balance(world.renter).reserved == Money());
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
