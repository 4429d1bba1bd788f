#include "scheduler/core.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <map>

#include "tests/scheduler/fixtures.h"

using namespace quarry;
using namespace quarry::scheduler;
using namespace quarry::scheduler::test;
using namespace std::chrono_literals;

TEST_CASE("the oldest job goes first, in whatever order the hints come") {
  Desk desk;
  desk.step({JobReady{job(3)}, JobReady{job(1)}, JobReady{job(2)}});
  const auto placed = desk.place({SessionOpened{session(1, 2)}});
  REQUIRE(placed.size() == 2);
  CHECK(placed[0].job == id<JobId>(1));
  CHECK(placed[1].job == id<JobId>(2));
  CHECK(desk.state.waiting() == 1);
}

TEST_CASE("a late hint of an old job still puts it first") {
  Desk desk;
  for (uint64_t n = 1'000; n < 1'500; ++n) desk.step({JobReady{job(n)}});
  desk.step({JobReady{job(5)}});
  CHECK(desk.place({SessionOpened{session(1)}}).at(0).job == id<JobId>(5));
}

TEST_CASE("a hint that comes twice places one job once") {
  Desk desk;
  desk.step({JobReady{job(1)}, JobReady{job(1)}});
  CHECK(desk.place({SessionOpened{session(1, 4)}}).size() == 1);
  CHECK(desk.place({JobReady{job(1)}}).empty());
}

TEST_CASE("a job goes only where its memory and dtypes fit, and does not hold up others") {
  Desk desk;
  desk.step({JobReady{job(1, 0, 16 * kGiB)}, JobReady{job(2, 0, kGiB, 0x100)}, JobReady{job(3)}});
  const auto placed = desk.place({SessionOpened{session(1, 4, 8 * kGiB, 0xff)}});
  REQUIRE(placed.size() == 1);
  CHECK(placed[0].job == id<JobId>(3));
  CHECK(desk.place({SessionOpened{session(2, 4, 16 * kGiB, 0x1ff)}}).size() == 2);
}

TEST_CASE("a job that needs exactly a slice's memory fits it") {
  Desk desk;
  CHECK(desk.place({SessionOpened{session(1, 1, 8 * kGiB)}, JobReady{job(1, 0, 8 * kGiB)}}).size() == 1);
}

TEST_CASE("no slice gets more leases than it has slots, and an ended one frees its slot") {
  Desk desk;
  std::vector<Event> events{SessionOpened{session(1, 3)}};
  for (uint64_t n = 1; n <= 10; ++n) events.push_back(JobReady{job(n)});
  const auto placed = desk.place(events);
  REQUIRE(placed.size() == 3);
  CHECK(desk.place().empty());
  CHECK(desk.place({accepted(placed[1])}).size() == 1);
}

TEST_CASE("work spreads over the boxes") {
  Desk desk;
  std::vector<Event> events;
  for (uint64_t n = 1; n <= 4; ++n) events.push_back(SessionOpened{session(n, 8, (4 + n) * kGiB)});
  for (uint64_t n = 1; n <= 12; ++n) events.push_back(JobReady{job(n)});
  std::map<SliceId, int> count;
  for (const auto& placement : desk.place(events)) ++count[placement.slice];
  REQUIRE(count.size() == 4);
  for (const auto& [slice, placed] : count) CHECK(placed == 3);
}

TEST_CASE("one job at a time still goes round the boxes") {
  Desk desk;
  desk.step({SessionOpened{session(1)}, SessionOpened{session(2)}});
  const auto first = desk.place({JobReady{job(1)}}).at(0);
  const auto second = desk.place({accepted(first), JobReady{job(2)}}).at(0);
  CHECK(first.slice != second.slice);
}

TEST_CASE("the next segment of an accepted one is placed") {
  Desk desk;
  const auto first = desk.place({SessionOpened{session(1)}, JobReady{job(1)}}).at(0);
  const auto next = desk.place({accepted(first, job(1, 1))}).at(0);
  CHECK(next.segment == 1);
}

TEST_CASE("an end that comes twice changes nothing the second time") {
  Desk desk;
  const auto first = desk.place({SessionOpened{session(1)}, JobReady{job(1)}}).at(0);
  CHECK(desk.place({accepted(first, job(1, 1)), accepted(first, job(1, 1))}).size() == 1);
  CHECK(desk.place({accepted(first, job(1, 1))}).empty());
  CHECK(desk.state.placed() == 1);
}

TEST_CASE("a late end of an older attempt does not free the newer one's slot") {
  Desk desk;
  const auto first = desk.place({SessionOpened{session(1)}, JobReady{job(1)}}).at(0);
  const auto retry = desk.step({failed(first, job(1))}).placements;
  desk.commit(retry, 2);
  desk.step({failed(first, job(1))});
  CHECK(desk.state.placed() == 1);
}

TEST_CASE("a placement that the journal refused frees its slot and is forgotten") {
  Desk desk;
  const auto placed = desk.step({SessionOpened{session(1)}, JobReady{job(1)}}).placements;
  CHECK(desk.step({PlacementRefused{placed.at(0).job, placed.at(0).session}}).placements.empty());
  CHECK(desk.state.placed() == 0);
  CHECK(desk.place({JobReady{job(2)}}).size() == 1);
}

TEST_CASE("a job that was being placed on a session that closes goes elsewhere, unless it was cancelled") {
  Desk desk;
  const auto placed = desk.step({SessionOpened{session(1, 2)}, JobReady{job(1)}, JobReady{job(2)}}).placements;
  REQUIRE(placed.size() == 2);
  desk.step({JobCancelled{id<JobId>(2)}});
  std::vector<Event> closing;
  SECTION("by its leader") {
    closing = {SessionClosed{session_key(1), {}}};
  }
  SECTION("as a census shows") {
    closing = {Census{desk.now, {}, {}}};
  }
  closing.push_back(PlacementRefused{placed[0].job, placed[0].session});
  closing.push_back(PlacementRefused{placed[1].job, placed[1].session});
  desk.step(closing);
  const auto again = desk.place({SessionOpened{session(2, 2)}});
  REQUIRE(again.size() == 1);
  CHECK(again[0].job == id<JobId>(1));
}

TEST_CASE("a cancelled job that waits is placed no more") {
  Desk desk;
  desk.step({JobReady{job(1)}, JobReady{job(2)}, JobCancelled{id<JobId>(1)}});
  const auto placed = desk.place({SessionOpened{session(1, 4)}});
  REQUIRE(placed.size() == 1);
  CHECK(placed[0].job == id<JobId>(2));
}

TEST_CASE("a cancelled job that runs is stopped on its box") {
  Desk desk;
  const auto placed = desk.place({SessionOpened{session(1)}, JobReady{job(1)}}).at(0);
  const auto decisions = desk.step({JobCancelled{placed.job}});
  REQUIRE(decisions.cancels.size() == 1);
  CHECK(decisions.cancels[0].fence == fence(placed));
  CHECK(desk.state.placed() == 0);
}

TEST_CASE("a job cancelled while its placement commits is stopped as soon as that is known") {
  Desk desk;
  const auto placed = desk.step({SessionOpened{session(1)}, JobReady{job(1)}}).placements.at(0);
  CHECK(desk.step({JobCancelled{placed.job}}).cancels.empty());
  CHECK(desk.step({PlacementCommitted{fence(placed)}}).cancels.size() == 1);
  CHECK(desk.state.placed() == 0);
}

TEST_CASE("a retry goes to another box when one fits, even if that one is busy now") {
  Desk desk;
  const auto first = desk.place({SessionOpened{session(1)}, JobReady{job(1)}}).at(0);
  const auto other = desk.place({SessionOpened{session(2)}, JobReady{job(2)}}).at(0);
  CHECK(desk.place({failed(first, job(1))}).empty());
  CHECK(why_waiting(desk.state, first.job).code == "avoiding_box");
  const auto retry = desk.place({accepted(other)}).at(0);
  CHECK(retry.job == first.job);
  CHECK(retry.session == other.session);
}

TEST_CASE("a retry goes to the same box when no other fits") {
  Desk desk;
  const auto first =
      desk.place({SessionOpened{session(1)}, SessionOpened{session(2, 1, kGiB / 2)}, JobReady{job(1)}}).at(0);
  CHECK(desk.place({failed(first, job(1))}).at(0).session == first.session);
}

TEST_CASE("a retry stops avoiding a box after a while") {
  Desk desk;
  const auto first = desk.place({SessionOpened{session(1)}, JobReady{job(1)}}).at(0);
  desk.place({SessionOpened{session(2)}, JobReady{job(2)}});
  desk.place({failed(first, job(1))});
  std::vector<Placement> retry;
  for (int second = 0; second < 16 && retry.empty(); ++second)
    retry = desk.after(1s, {SessionSeen{session_key(1)}, SessionSeen{session_key(2)}}).placements;
  REQUIRE(retry.size() == 1);
  CHECK(retry[0].session == first.session);
}

TEST_CASE("a slice that fails everything rests longer and longer instead of using up every job's attempts") {
  Desk desk;
  std::vector<Event> events{SessionOpened{session(1)}};
  for (uint64_t n = 1; n <= 1'000; ++n) events.push_back(JobReady{job(n)});
  auto running = desk.place(events);
  int attempts = 0;
  for (int tick = 0; tick < 1'000; ++tick) {
    std::vector<Event> next{SessionSeen{session_key(1)}};
    for (const auto& placement : running) next.push_back(failed(placement, std::nullopt));
    attempts += static_cast<int>(running.size());
    running = desk.after(10ms, next).placements;
    desk.commit(running);
  }
  CHECK(attempts > 3);
  CHECK(attempts < 20);
}

TEST_CASE("a session that falls silent is expired once, and its segments go elsewhere") {
  Desk desk;
  desk.place({SessionOpened{session(1)}, JobReady{job(1)}});
  Decisions decisions;
  for (int second = 0; second < 11 && decisions.expire.empty(); ++second) decisions = desk.after(1s);
  REQUIRE(decisions.expire == std::vector{session_key(1)});
  CHECK(desk.after(1s).expire.empty());
  const auto again = desk.place({SessionOpened{session(2)}, SessionClosed{session_key(1), {job(1)}}});
  REQUIRE(again.size() == 1);
  CHECK(again[0].session == session_key(2));
  CHECK(desk.state.sessions() == 1);
}

TEST_CASE("a session that is seen lives on") {
  Desk desk;
  desk.step({SessionOpened{session(1)}});
  for (int second = 0; second < 60; ++second) CHECK(desk.after(1s, {SessionSeen{session_key(1)}}).expire.empty());
}

TEST_CASE("when the scheduler itself stood still, nobody is expired for it") {
  Desk desk;
  desk.step({SessionOpened{session(1)}});
  CHECK(desk.after(60s).expire.empty());
  CHECK(desk.after(1s, {SessionSeen{session_key(1)}}).expire.empty());
}

TEST_CASE("nothing is placed on a session whose connection is gone until it is back") {
  Desk desk;
  desk.step({SessionOpened{session(1)}, SessionUnreachable{session_key(1)}});
  CHECK(desk.place({JobReady{job(1)}}).empty());
  CHECK(desk.place({SessionOpened{session(1)}}).size() == 1);
}

TEST_CASE("a box that starts anew gives its old session's segments back at once") {
  Desk desk;
  desk.place({SessionOpened{session(1)}, JobReady{job(1)}});
  const auto decisions = desk.step({SessionOpened{session(2, 1, 8 * kGiB, 0xff, 1)}});
  CHECK(decisions.expire == std::vector{session_key(1)});
  CHECK(desk.place({SessionClosed{session_key(1), {job(1)}}}).at(0).session == session_key(2));
}

TEST_CASE("a session that was closed is refused when a late message brings it back") {
  Desk desk;
  desk.step({SessionOpened{session(1)}});
  desk.step({SessionClosed{session_key(1), {}}});
  CHECK(desk.step({SessionOpened{session(1)}}).expire == std::vector{session_key(1)});
  CHECK(desk.state.sessions() == 0);
}

TEST_CASE("after a restart running attempts keep their slots") {
  Desk desk;
  const wire::Fence running{7, id<JobId>(1), 0, 1, 1};
  desk.step({SessionOpened{session(1), false}, AttemptFound{running, session_key(1), id<SliceId>(1), job(1)},
             JobReady{job(2)}});
  CHECK(desk.state.running(id<SessionId>(1)) == std::vector{running});
  CHECK(desk.place({SessionOpened{session(1)}}).empty());
  CHECK(desk.place({AttemptEnded{{running, id<SessionId>(1), true, "accepted", {}}}}).at(0).job == id<JobId>(2));
}

TEST_CASE("a census frees what ended unheard and leaves what is newer than it") {
  Desk desk;
  const auto placed = desk.place({SessionOpened{session(1, 2)}, JobReady{job(1)}, JobReady{job(2)}});
  const Instant asked = desk.now;
  desk.after(1ms, {SessionOpened{session(2)}});
  desk.step({Census{asked, {fence(placed[1])}, {session_key(1)}}});
  CHECK(desk.state.placed() == 1);
  CHECK(desk.state.sessions() == 2);
}

TEST_CASE("a job says why it waits") {
  Desk desk;
  desk.step({JobReady{job(1, 0, 16 * kGiB)}, JobReady{job(2)}, JobReady{job(3)}});
  CHECK(why_waiting(desk.state, id<JobId>(1)).code == "no_boxes");
  const auto placed = desk.step({SessionOpened{session(1)}}).placements;
  CHECK(why_waiting(desk.state, id<JobId>(2)).code == "placing");
  desk.commit(placed);
  CHECK(why_waiting(desk.state, id<JobId>(2)).code == "running");
  CHECK(why_waiting(desk.state, id<JobId>(3)).code == "all_busy");
  CHECK(why_waiting(desk.state, id<JobId>(1)).code == "nothing_fits");
  CHECK_THAT(why_waiting(desk.state, id<JobId>(1)).detail, Catch::Contains("16.0 GiB") && Catch::Contains("8.0 GiB"));
  CHECK(why_waiting(desk.state, id<JobId>(9)).code == "unknown");
}

TEST_CASE("the same events give the same decisions") {
  const auto run = [] {
    Desk desk;
    std::vector<Placement> all;
    for (uint64_t n = 1; n <= 5; ++n) desk.step({SessionOpened{session(n, 3, (n % 2 + 1) * 4 * kGiB)}});
    for (uint64_t n = 1; n <= 300; ++n) {
      std::vector<Event> events{JobReady{job(n * 7919 % 1'000, 0, (n % 5) * kGiB, 1, n % 3)}};
      if (!all.empty() && n % 2) events.push_back(accepted(all[all.size() / 2]));
      for (const auto& placement : desk.place(events)) all.push_back(placement);
    }
    return all;
  };
  CHECK(run() == run());
}
