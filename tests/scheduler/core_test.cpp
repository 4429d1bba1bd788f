#include "scheduler/core.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <random>

#include "scheduler/core_data.h"
#include "scheduler/grades.h"
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
  for (uint64_t n = 1; n <= 10; ++n) events.push_back(JobReady{work(n, 1 + n % 2)});
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
  CHECK(desk.place({AttemptEnded{{running, id<SessionId>(1), true, "accepted", {}, 0}}}).at(0).job == id<JobId>(2));
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

TEST_CASE("a job that waits says what would change it") {
  Desk desk;
  desk.step({SessionOpened{session(1, 1)}});
  const auto placed = desk.place({JobReady{work(1, 7)}});
  desk.place({JobReady{work(3, 8)}, JobReady{work(4, 9)}, JobReady{work(2, 7)}});
  const auto busy = why_waiting(desk.state, id<JobId>(2));
  CHECK(busy.code == "all_busy");
  CHECK_THAT(busy.detail, Catch::Contains("2 other accounts") && Catch::Contains("0 jobs of this account"));
  desk.step({SessionUnreachable{session_key(1)}});
  CHECK_THAT(why_waiting(desk.state, id<JobId>(2)).detail, Catch::Contains("out of reach"));
}

TEST_CASE("memory grades lose less than an eighth of a slice and ask for less than a sixty-fourth more") {
  std::mt19937_64 random(3);
  std::vector<uint64_t> amounts{0,    1,       7, 8, 9, 15, 16, 17, UINT64_MAX, UINT64_MAX - 1, uint64_t{1} << 63,
                                kGiB, 8 * kGiB};
  for (int i = 0; i < 10'000; ++i) amounts.push_back(random() >> (random() % 64));
  for (const uint64_t bytes : amounts) {
    const uint64_t grade = memory_grade(bytes), ask = memory_to_ask(bytes);
    CHECK(grade <= bytes);
    CHECK(bytes - grade <= bytes / 8);
    CHECK(memory_grade(grade) == grade);
    CHECK(ask >= bytes);
    CHECK(ask - bytes <= bytes / 64);
    CHECK(memory_to_ask(ask) == ask);
  }
}

TEST_CASE("boxes of all sizes make few classes, and each slice still takes what just fits it") {
  Desk desk;
  std::mt19937_64 random(4);
  std::vector<Event> events;
  for (uint64_t n = 1; n <= 1'000; ++n) events.push_back(SessionOpened{session(n, 1, kGiB + random() % (200 * kGiB))});
  desk.step(events);
  CHECK(desk.state.data().fleet.classes().size() <= 8 * 8);
  Desk one;
  const uint64_t odd = 11 * kGiB + kGiB * 9 / 10;
  one.step({SessionOpened{session(1, 1, odd)}, SessionOpened{session(2, 1, 11 * kGiB)}});
  const auto placed = one.place({JobReady{job(1, 0, odd - kGiB / 4)}});
  REQUIRE(placed.size() == 1);
  CHECK(placed[0].session == session_key(1));
}

// --- accounts take turns ---
TEST_CASE("one account's backlog delays another's first segment by one segment at most") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    INFO("round " << round);
    Desk desk;
    const uint64_t sessions = 1 + random() % 3, backlog = 1 + random() % 200, accounts = 1 + random() % 4;
    const auto slots = static_cast<int32_t>(1 + random() % 8);
    std::vector<Event> events;
    for (uint64_t n = 1; n <= sessions; ++n) events.push_back(SessionOpened{session(n, slots)});
    uint64_t next = 1;
    std::map<JobId, uint64_t> account_of;
    for (uint64_t account = 1; account <= accounts; ++account)
      for (uint64_t n = 0; n < backlog; ++n) {
        account_of[id<JobId>(next)] = account;
        events.push_back(JobReady{work(next++, account, 1 + random() % 1'000)});
      }
    auto running = desk.place(events);
    // Some of them end, then a new account comes.
    for (uint64_t n = random() % (backlog + 1); n > 0 && !running.empty(); --n) {
      const auto ended = running.front();
      running.erase(running.begin());
      const auto more = desk.place({accepted(ended)});
      running.insert(running.end(), more.begin(), more.end());
    }
    const JobId newcomer = id<JobId>(1'000'000);
    auto placed = desk.place({JobReady{work(1'000'000, 99, 1'000)}});
    std::map<uint64_t, int> before;  // segments of others that were placed after it came, by account
    while (std::none_of(placed.begin(), placed.end(), [&](const auto& p) { return p.job == newcomer; })) {
      for (const auto& placement : placed) ++before[account_of.at(placement.job)];
      running.insert(running.end(), placed.begin(), placed.end());
      REQUIRE(!running.empty());
      const auto ended = running.front();
      running.erase(running.begin());
      placed = desk.place({accepted(ended)});
    }
    for (const auto& [account, segments] : before) CHECK(segments <= 1);
  }
}

TEST_CASE("accounts with backlogs get equal shares of the work, however large their segments") {
  Desk desk;
  std::vector<Event> events{SessionOpened{session(1, 1)}};
  std::map<JobId, std::pair<uint64_t, uint64_t>> of;  // account and work
  uint64_t next = 1;
  for (const auto& [account, gflop] : std::map<uint64_t, uint64_t>{{1, 10}, {2, 100}, {3, 1'000}})
    for (int n = 0; n < 3'000; ++n) {
      events.push_back(JobReady{work(next, account, gflop)});
      of[id<JobId>(next++)] = {account, gflop};
    }
  std::deque<Placement> running;
  std::map<uint64_t, uint64_t> served;
  for (auto placed = desk.place(events); served[1] < 20'000; placed = desk.place(events)) {
    for (const auto& placement : placed) {
      served[of[placement.job].first] += of[placement.job].second;
      running.push_back(placement);
    }
    events = {accepted(running.front())};
    running.pop_front();
  }
  for (const uint64_t account : {1, 2, 3}) {
    CHECK(served[account] > 18'000);
    CHECK(served[account] < 24'000);
  }
}

TEST_CASE("an account that was idle has no claim for the time when it had nothing to run") {
  Desk desk;
  std::vector<Event> events{SessionOpened{session(1, 1)}};
  for (uint64_t n = 1; n <= 300; ++n) events.push_back(JobReady{work(n, 1, 100)});
  auto running = desk.place(events);
  for (int n = 0; n < 100; ++n) running = desk.place({accepted(running.at(0))});
  events = {accepted(running.at(0))};
  for (uint64_t n = 1'001; n <= 1'100; ++n) events.push_back(JobReady{work(n, 2, 100)});
  int first = 0, second = 0;
  running = desk.place(events);
  for (int n = 0; n < 40; ++n) {
    running.at(0).job < id<JobId>(1'000) ? ++first : ++second;
    running = desk.place({accepted(running.at(0))});
  }
  CHECK(first >= 19);
  CHECK(second >= 19);
}

TEST_CASE("an account alone keeps all but one of a slice's slots, and another's segment gets the last at once") {
  Desk desk;
  std::vector<Event> events{SessionOpened{session(1, 8)}};
  for (uint64_t n = 1; n <= 120; ++n) events.push_back(JobReady{work(n, 1)});
  CHECK(desk.place(events).size() == 7);
  const auto placed = desk.place({JobReady{work(500, 2)}});
  REQUIRE(placed.size() == 1);
  CHECK(placed[0].job == id<JobId>(500));
}

TEST_CASE("an account whose jobs fit nowhere holds up nobody") {
  Desk desk;
  std::vector<Event> events{SessionOpened{session(1, 1)}};
  for (uint64_t n = 1; n <= 50; ++n) events.push_back(JobReady{job(n, 0, 100 * kGiB, 1, n)});
  events.push_back(JobReady{job(60, 0, kGiB, 1, 60)});
  CHECK(desk.place(events).at(0).job == id<JobId>(60));
}

// --- boxes that deliver what nobody asked for ---
TEST_CASE("a box whose completion was rejected gets nothing for a while, longer each time, also in a new session") {
  Desk desk;
  uint64_t next = 1, epoch = 1;
  desk.step({SessionOpened{session(epoch, 4, 8 * kGiB, 0xff, 77)}});
  std::chrono::seconds before{0};
  for (int times = 0; times < 4; ++times) {
    const auto placed = desk.place({JobReady{work(next++, 1)}});
    REQUIRE(placed.size() == 1);
    desk.step({failed(placed[0], std::nullopt, 1, "rejected")});
    CHECK(desk.place({JobReady{work(next, 1)}}).empty());
    desk.step({SessionOpened{session(++epoch, 4, 8 * kGiB, 0xff, 77)}, SessionClosed{session_key(epoch - 1), {}}});
    desk.step({JobCancelled{id<JobId>(next++)}});
    std::chrono::seconds waited{0};
    for (std::vector<Placement> again; again.empty(); ++waited) {
      REQUIRE(waited < 2h);
      again = desk.after(1s, {SessionSeen{session_key(epoch)}, JobReady{work(next, 1)}}).placements;
      desk.commit(again);
      if (!again.empty()) desk.step({accepted(again[0])});
    }
    ++next;
    CHECK(waited > before);
    before = waited;
  }
}

// --- what may be the graph's own doing ---
TEST_CASE("a second attempt after a failure that may be the graph's own goes to another box, however long it is busy") {
  Desk desk;
  const auto first = desk.place({SessionOpened{session(1)}, JobReady{job(1)}}).at(0);
  const auto other = desk.place({SessionOpened{session(2)}, JobReady{job(2)}}).at(0);
  desk.place({failed(first, job(1), 1, "time_limit")});
  for (int second = 0; second < 120; ++second)
    CHECK(desk.after(1s, {SessionSeen{session_key(1)}, SessionSeen{session_key(2)}}).placements.empty());
  CHECK(why_waiting(desk.state, first.job).code == "avoiding_box");
  CHECK(desk.place({accepted(other)}).at(0).session == other.session);
}

// --- boxes that have compiled a graph ---
constexpr uint64_t kGraph = 4242;

TEST_CASE("a job goes to the box that has its graph compiled, although another one is less busy") {
  Desk desk;
  desk.step({SessionOpened{session(1, 8)}, SessionOpened{session(2, 8)}});
  const auto first = desk.place({JobReady{work(1, 1, 60, kGraph)}}).at(0);
  auto ended = accepted(first);
  ended.ended.compile_ms = 35'000;
  desk.step({ended});
  for (uint64_t n = 2; n <= 6; ++n)
    CHECK(desk.place({JobReady{work(n, 1, 60, kGraph)}}).at(0).session == first.session);
  CHECK(desk.place({JobReady{work(7, 1, 60, kGraph + 1)}}).at(0).session != first.session);
}

TEST_CASE("a box that says what it compiled is preferred from its first job on") {
  Desk desk;
  desk.step({SessionOpened{session(1, 8)}, SessionOpened{session(2, 8)}, SessionOpened{session(3, 8)}});
  desk.step({GraphsCompiled{session_key(2), {1, 2, kGraph}}});
  for (uint64_t n = 1; n <= 5; ++n)
    CHECK(desk.place({JobReady{work(n, 1, 60, kGraph)}}).at(0).session == session_key(2));
}

TEST_CASE("short jobs wait for the box that has their graph compiled, long queues go to others too") {
  Desk desk;
  desk.step({SessionOpened{session(1, 1)}, SessionOpened{session(2, 1)}});
  auto first = desk.place({JobReady{work(1, 1, 60, kGraph)}}).at(0);
  auto ended = accepted(first);
  ended.ended.compile_ms = 35'000;
  desk.step({ended});
  SECTION("a few of 0.06 s") {
    const auto running = desk.place({JobReady{work(2, 1, 60, kGraph)}});
    CHECK(running.at(0).session == first.session);
    CHECK(desk.place({JobReady{work(3, 1, 60, kGraph)}}).empty());
    CHECK(why_waiting(desk.state, id<JobId>(3)).code == "compiled_elsewhere");
    CHECK(desk.place({accepted(running[0])}).at(0).session == first.session);
  }
  SECTION("of 60 s each") {
    desk.place({JobReady{work(2, 1, 60'000, kGraph)}});
    CHECK(desk.place({JobReady{work(3, 1, 60'000, kGraph)}}).at(0).session != first.session);
  }
  SECTION("a thousand of 0.06 s") {
    std::vector<Event> events;
    for (uint64_t n = 2; n <= 1'001; ++n) events.push_back(JobReady{work(n, 1, 60, kGraph)});
    CHECK(desk.place(events).size() == 2);
  }
  SECTION("the wait ends, also when the prediction was wrong") {
    desk.place({JobReady{work(2, 1, 60, kGraph)}});
    CHECK(desk.place({JobReady{work(3, 1, 60, kGraph)}}).empty());
    std::vector<Placement> placed;
    for (int second = 0; second < 36 && placed.empty(); ++second)
      placed = desk.after(1s, {SessionSeen{session_key(1)}, SessionSeen{session_key(2)}}).placements;
    CHECK(placed.size() == 1);
  }
  SECTION("nobody waits for a box that is gone or does not fit") {
    desk.step({SessionUnreachable{first.session}});
    CHECK(desk.place({JobReady{work(2, 1, 60, kGraph)}}).size() == 1);
  }
}

TEST_CASE("what a session compiled is bounded, and the latest is what it keeps") {
  Desk desk;
  desk.step({SessionOpened{session(1)}});
  std::vector<uint64_t> graphs;
  for (uint64_t n = 1; n <= 3 * wire::kMaxCompiledGraphs; ++n) graphs.push_back(n);
  desk.step({GraphsCompiled{session_key(1), graphs}});
  const auto& fleet = desk.state.data().fleet;
  CHECK(fleet.sessions().begin()->second.compiled.size() == wire::kMaxCompiledGraphs);
  CHECK_FALSE(fleet.with_compiled(1));
  CHECK(fleet.with_compiled(3 * wire::kMaxCompiledGraphs));
  desk.step({SessionClosed{session_key(1), {}}});
  CHECK_FALSE(fleet.with_compiled(3 * wire::kMaxCompiledGraphs));
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
