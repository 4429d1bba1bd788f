#include "tests/sql/fixture.h"

namespace quarry::test {

TEST_CASE("A completed job is metered, charged and released in one transaction") {
  World world;
  const auto job = new_job(world.renter, world.random, 5, 5);
  world.submit(job);
  const auto lease = world.lease(job.id, 0, world.first);
  const auto outcome = world.complete(world.completion(lease));
  CHECK(outcome.result.accepted);
  CHECK(outcome.result.code == "accepted");
  CHECK(outcome.job_ended);
  CHECK(outcome.state == JobState::Succeeded);
  CHECK(outcome.account == world.renter);
  CHECK_FALSE(outcome.next);

  const Money price = full_price(job);
  const auto row = world.job(job.id);
  CHECK(row.state == JobState::Succeeded);
  CHECK(row.end_reason == EndReason::Succeeded);
  CHECK(row.ended_at);
  CHECK(row.spent == price);
  CHECK(row.steps_accepted == 5);
  const auto balance = world.store->balance(world.renter);
  CHECK(balance.available == dollars("1000") - price);
  CHECK(balance.reserved == Money());
  CHECK(world.store->balance(world.first.owner).pending == price);
  CHECK(world.event_kinds(job.id) ==
        std::vector<std::string>{"job.queued", "job.running", "segment.accepted", "job.succeeded"});
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("By tariff 2 each segment after the first pays for its checkpoint, by tariff 1 none does") {
  World world;
  constexpr UInt128 kStep = 2'000'000 + 64 * 1'000 + 2 * 100'000'000ull, kStart = 10'000'000'000;
  for (const int32_t tariff : {1, 2}) {
    auto job = new_job(world.renter, world.random, 5, 2);
    job.tariff = tariff;
    job.checkpoint_bytes = 7'000;
    world.submit(job);
    for (int32_t segment = 0; segment < 3; ++segment)
      world.complete(world.completion(world.lease(job.id, segment, world.first)));
    const auto usage = world.store->job_usage(world.renter, job.id);
    REQUIRE(usage.size() == 3);
    const UInt128 checkpoint = tariff == 1 ? 0 : kStart + 64 * 7'000;
    CHECK(usage[0].metered.count == 2 * kStep + kStart);
    CHECK(usage[1].metered.count == 2 * kStep + checkpoint);
    CHECK(usage[2].metered.count == kStep + checkpoint);
    CHECK(usage[1].work.bytes == 2 * 1'000 + (tariff == 1 ? 0 : 7'000));
    for (const auto& line : usage) CHECK(line.tariff == tariff);
    CHECK(world.job(job.id).metered.count == 5 * kStep + kStart + 2 * checkpoint);
  }
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("The bill, the usage and the ledger agree to the last digit") {
  World world;
  const auto job = new_job(world.renter, world.random, 5, 2);
  world.submit(job);
  for (int32_t segment = 0; segment < 3; ++segment)
    world.complete(world.completion(world.lease(job.id, segment, world.first)));
  const auto usage = world.store->job_usage(world.renter, job.id);
  REQUIRE(usage.size() == 3);
  CHECK(usage[2].steps == 1);
  Money charged;
  UInt128 metered = 0;
  for (const auto& line : usage) charged += line.charge, metered += line.metered.count;
  CHECK(charged == full_price(job));
  CHECK(metered == world.job(job.id).metered.count);
  std::map<std::string, Money> books;
  for (const auto& line : world.store->job_ledger(world.renter, job.id)) books[line.book] += line.amount;
  CHECK(books["available"] == -charged);
  CHECK(books["reserved"] == Money());
  const auto totals = world.store->usage_totals(world.renter);
  CHECK(totals.charge == charged);
  CHECK(totals.metered.count == metered);
  CHECK(totals.segments == 3);
  CHECK(totals.flops.count == 5'000'000);
  std::string next;
  CHECK(world.store->usage(world.renter, {"", 2}, next).size() == 2);
  CHECK(world.store->usage(world.renter, {next, 2}, next).size() == 1);
  CHECK(next.empty());
}

TEST_CASE("A job of segments goes on from what was carried, on another box") {
  World world;
  const JobId job = world.submit_job(4, 2);
  const auto first = world.lease(job, 0, world.first);
  const auto outcome = world.complete(world.completion(first, "a"));
  CHECK_FALSE(outcome.job_ended);
  CHECK(outcome.state == JobState::Queued);
  REQUIRE(outcome.next);
  CHECK(outcome.next->segment == 1);
  const auto second = world.lease(job, 1, world.second);
  CHECK(second.fence.attempt == 1);
  CHECK(second.first_step == 2);
  CHECK(second.last_segment);
  REQUIRE(second.inputs.at("x").size() == 1);
  CHECK(second.inputs.at("x")[0].blob == digest("carried a"));
  CHECK(world.complete(world.completion(second, "b")).job_ended);

  const auto row = world.job(job);
  REQUIRE(row.outputs.size() == 2);
  CHECK(row.outputs[0].name == "loss");  // kept each: one extent a segment
  REQUIRE(row.outputs[0].extents.size() == 2);
  CHECK(row.outputs[0].extents[0].blob == digest("loss a"));
  CHECK(row.outputs[1].name == "w");  // kept last
  REQUIRE(row.outputs[1].extents.size() == 1);
  CHECK(row.outputs[1].extents[0].blob == digest("b"));
  CHECK(world.store->small_blob(digest("b")) == bytes_of("b"));
  CHECK_FALSE(world.store->small_blob(digest("never made")));
  CHECK(world.store->balance(world.first.owner).pending + world.store->balance(world.second.owner).pending ==
        row.spent);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("The same completion again is told so and changes nothing") {
  World world;
  const JobId job = world.submit_job(4, 2);
  const auto completion = world.completion(world.lease(job, 0, world.first));
  const auto outcomes = world.store->complete({completion, completion});
  CHECK(outcomes[0].result.code == "accepted");
  CHECK(outcomes[1].result.code == "already_accepted");
  const auto spent = world.job(job).spent;
  const auto again = world.complete(completion);
  CHECK(again.result.code == "already_accepted");
  CHECK(again.next);  // for a scheduler that missed the first answer
  world.lease(job, 1, world.first);
  CHECK(world.complete(completion).result.code == "already_accepted");
  CHECK_FALSE(world.complete(completion).next);
  CHECK(world.job(job).spent == spent);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A completion whose fence is not exactly the current one changes nothing") {
  World world;
  const JobId job = world.submit_job(4, 2);
  const auto lease = world.lease(job, 0, world.first);
  const auto good = world.completion(lease);
  const auto refused = [&](auto change) {
    auto forged = good;
    change(forged.fence);
    return world.complete(forged).result.code == "stale_fence";
  };
  CHECK(refused([](wire::Fence& f) { f.incarnation += 1; }));
  CHECK(refused([](wire::Fence& f) { f.segment += 1; }));
  CHECK(refused([](wire::Fence& f) { f.session_epoch += 1; }));
  CHECK(refused([](wire::Fence& f) { f.attempt += 1; }));
  CHECK(refused([](wire::Fence& f) { f.attempt -= 1; }));
  CHECK(refused([&](wire::Fence& f) { f.job = JobId::make(world.clock.wall(), world.random); }));
  CHECK(world.job(job).spent == Money());
  CHECK(world.job(job).state == JobState::Running);
  CHECK(world.complete(good).result.accepted);
}

TEST_CASE("After a restore, completions of the lost future are refused") {
  World world;
  const JobId job = world.submit_job();
  const auto lease = world.lease(job, 0, world.first);
  world.ask("select 1 from (select renew_incarnation()) x");
  CHECK(world.complete(world.completion(lease)).result.code == "stale_fence");
  const JobId other = world.submit_job();
  CHECK(world.try_lease(other, 0, world.first).empty());  // its session is of the lost future too
  world.store->expire_sessions(world.leader_epoch, {world.first.session.session});
  CHECK(world.job(job).state == JobState::Queued);
}

TEST_CASE("An inline value that is not its hash is rejected, and the segment runs again") {
  World world;
  const JobId job = world.submit_job();
  const auto lease = world.lease(job, 0, world.first);
  auto completion = world.completion(lease);
  completion.kept[0].inline_bytes = bytes_of("something else");
  CHECK(world.complete(completion).result.code == "rejected");
  CHECK(world.job(job).state == JobState::Queued);
  CHECK(world.complete(world.completion(lease)).result.code == "rejected");
  CHECK(world.complete(world.completion(world.lease(job, 0, world.second))).result.accepted);
}

TEST_CASE("Hostile names and measurements are stored harmlessly") {
  World world;
  const JobId job = world.submit_job();
  auto completion = world.completion(world.lease(job, 0, world.first));
  completion.kept.push_back(produced(std::string("a\0b\xff\"'{}\\", 9), "x"));
  completion.device_ns = UINT64_MAX;
  completion.energy_joules = std::numeric_limits<double>::quiet_NaN();
  completion.schedules_hash = std::string(5'000, '\xfe');
  CHECK(world.complete(completion).result.accepted);
  CHECK(world.job(job).outputs.size() == 3);
}

TEST_CASE("A batch of completions of many jobs and owners is one transfer a renter") {
  World world;
  const auto other = world.add_account("other renter");
  world.store->deposit(other, dollars("100"), "x");
  std::vector<wire::Completion> batch;
  for (int i = 0; i < 20; ++i) {
    const auto job = new_job(i % 2 == 0 ? world.renter : other, world.random);
    REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
    batch.push_back(world.completion(world.lease(job.id, 0, i % 3 == 0 ? world.first : world.second)));
  }
  const auto before = world.ask("select count(*) from transfer");
  for (const auto& outcome : world.store->complete(batch)) CHECK(outcome.result.code == "accepted");
  CHECK(world.ask("select count(*) - " + before + " from transfer") == "4");  // charge and release, two renters
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("What the roundings of many segments add up to never passes the limit") {
  World world;
  auto job = new_job(world.renter, world.random, 10, 1);
  job.prices.per_pflop = dollars("0.000000000003");
  job.limit = dollars("0.000000000004");
  world.submit(job);
  for (int32_t segment = 0; segment < 10; ++segment)
    CHECK(world.complete(world.completion(world.lease(job.id, segment, world.first))).result.accepted);
  CHECK(world.job(job.id).spent == job.limit);
  CHECK(world.store->reconcile().empty());
}

}  // namespace quarry::test
