#include <atomic>
#include <set>
#include <thread>

#include "tests/sql/fixture.h"

namespace quarry::test {

TEST_CASE("Events are read in order behind a position") {
  World world;
  const int64_t start = world.store->last_event();
  const JobId job = world.submit_job();
  const auto queued = world.store->events_after(start, 10);
  REQUIRE(queued.size() == 1);
  CHECK(queued[0].job == job);
  CHECK(queued[0].account == world.renter);
  CHECK(queued[0].sequence > start);
  world.complete(world.completion(world.lease(job, 0, world.first)));
  const auto rest = world.store->events_after(queued[0].sequence, 10);
  REQUIRE(rest.size() == 3);
  CHECK(rest[1].kind == "segment.accepted");
  CHECK_THAT(rest[1].payload, Catch::Contains("\"steps_done\":1"));
  CHECK(world.store->events_after(start, 2).size() == 2);
  CHECK(world.store->last_event() >= rest[2].sequence);
  CHECK(world.store->job_events_after(world.renter, job, rest[1].sequence, 10).size() == 1);
}

TEST_CASE("A reader never passes an event that commits late with a smaller number") {
  World world;
  const int64_t start = world.store->last_event();
  std::atomic<bool> writing{true};
  std::vector<std::thread> writers;
  std::atomic<int> submitted{0};
  for (int i = 0; i < 4; ++i)
    writers.emplace_back([&] {
      auto store = sql::Store::open(world.target, world.clock, world.random);
      const auto account = create_account(*store, "writer " + std::to_string(submitted.fetch_add(1'000'000)),
                                          world.clock.wall(), world.random);
      store->deposit(account, dollars("100"), "x");
      for (int n = 0; n < 40; ++n) {
        store->submit({{account, {new_job(account, world.random)}, {}, "", 201}});
        submitted += 1;
      }
    });
  std::set<JobId> seen;
  int64_t position = start;
  std::thread reader([&] {
    auto store = sql::Store::open(world.target, world.clock, world.random);
    for (bool last = false;;) {
      const bool done = !writing;
      for (const auto& event : store->events_after(position, 7)) {
        CHECK(event.sequence > position);
        position = event.sequence;
        seen.insert(event.job);
        last = false;
      }
      if (done && last) return;
      last = done;
    }
  });
  for (auto& writer : writers) writer.join();
  writing = false;
  reader.join();
  CHECK(seen.size() == 160);
}

TEST_CASE("An open transaction holds younger events back instead of being passed") {
  World world;
  const int64_t start = world.store->last_event();
  auto slow = sql::Store::open(world.target, world.clock, world.random);
  const JobId job = world.submit_job();
  CHECK(world.store->events_after(start, 10).size() == 1);
  CHECK(world.store->events_after(world.store->last_event(), 10).empty());
  CHECK(world.event_kinds(job).size() == 1);
}

TEST_CASE("Event positions go on rising after a restore that set transaction ids back") {
  World world;
  const JobId job = world.submit_job();
  world.execute(
      "alter table event disable trigger all; update event set sequence = sequence + (1000000::bigint << 20)");
  const int64_t high = std::stoll(world.ask("select max(sequence) from event"));
  world.ask("select 1 from (select renew_incarnation()) x");
  const JobId later = world.submit_job();
  const auto events = world.store->events_after(high, 10);
  REQUIRE(events.size() == 1);
  CHECK(events[0].job == later);
  CHECK(world.event_kinds(job).size() == 1);
}

TEST_CASE("A job whose latest event was numbered by the lost history can go on after a restore") {
  World world;
  const JobId job = world.submit_job();
  REQUIRE(world.execute("update job set event_xid = event_xid + 1000000").empty());
  world.ask("select 1 from (select renew_incarnation()) x");
  CHECK(world.cancel(job).kind == sql::CancelOutcome::Kind::Cancelled);
  CHECK(world.event_kinds(job) == std::vector<std::string>{"job.queued", "job.cancelled"});
}

}  // namespace quarry::test
