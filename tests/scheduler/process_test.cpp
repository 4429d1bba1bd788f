// The real program over a real PostgreSQL; the test is the server and its workers.
#include <signal.h>

#include <catch2/catch.hpp>
#include <thread>

#include "cli/up/held_port.h"
#include "tests/scheduler/program.h"
#include "tests/sql/fixture.h"
#include "tests/wire/authority.h"

using namespace quarry;
using namespace quarry::scheduler::test;
using namespace std::chrono_literals;
using quarry::test::World;

namespace {

struct Town {
  quarry::test::Authority authority;
  World world;
  wire::TlsFiles scheduler_tls = authority.files("scheduler");
  ServerEnd server{authority.files("server")};

  Town() { world.store->resign(world.leader_epoch); }

  wire::SessionUp up(const World::Box& box) const {
    return {box.session.session, box.id, box.owner, box.session.scheduling};
  }
  /// Waits until the leader row names someone who answers as leader, and brings the sessions.
  void join(const std::vector<World::Box>& boxes) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      const auto leader = world.store->current_leader();
      if (leader && server.connect(leader->address)) break;
      REQUIRE(std::chrono::steady_clock::now() < end);
      std::this_thread::sleep_for(50ms);
    }
    for (const auto& box : boxes) {
      server.send(up(box));
      server.beating.push_back(box.session.session);
    }
  }
  /// As a server does, joins again when the scheduler lost its lead meanwhile: it does where PostgreSQL was away for
  /// longer than the leader row holds.
  bool wait_leases(size_t count, const std::vector<World::Box>& boxes) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end) {
      if (server.run_until([&] { return server.leases.size() >= count || server.left(); }) && !server.left())
        return true;
      server.disconnect();
      server.beating.clear();
      join(boxes);
    }
    return false;
  }
  JobId submit() {
    const auto job = quarry::test::new_job(world.renter, world.random);
    server.send(wire::JobsReady{world.submit(job).ready});
    return job.id;
  }
  sql::CompletionOutcome complete(const wire::Lease& lease) {
    const auto outcome = world.complete(world.completion(lease));
    server.send(wire::AttemptsEnded{
        {{lease.fence, lease.session, outcome.result.accepted, outcome.result.code, outcome.next}}});
    return outcome;
  }
};

}  // namespace

TEST_CASE("a job of three segments is leased segment by segment, and ends") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  CHECK(scheduler.ready_line().rfind("ready listen=127.0.0.1:", 0) == 0);
  town.join({town.world.first});
  const auto job = quarry::test::new_job(town.world.renter, town.world.random, 3, 1);
  town.server.send(wire::JobsReady{town.world.submit(job).ready});
  for (size_t segment = 0; segment < 3; ++segment) {
    REQUIRE(town.server.wait_leases(segment + 1));
    CHECK(town.server.leases[segment].fence.segment == static_cast<int32_t>(segment));
    CHECK(town.complete(town.server.leases[segment]).result.accepted);
  }
  CHECK(town.world.job(job.id).state == JobState::Succeeded);
  scheduler.kill(SIGTERM);
  CHECK(scheduler.wait() == 0);
}

TEST_CASE("rows that nothing could have written end their own jobs and no leader") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  const int64_t epoch = town.server.leader_epoch;
  const auto spoil = [&](const std::string& statement) {
    const JobId job = town.world.submit_job();  // the scheduler has not heard of it yet
    REQUIRE(town.world.execute(statement + " '" + job.uuid() + "'").empty());
    town.server.send(wire::JobsReady{{{job, town.world.renter, 0, 1, 4'096, 1, 1, 1}}});
    return job;
  };
  const std::vector<JobId> bad{
      spoil("update job_spec set inputs = '{broken' where job ="),
      spoil("update job_spec set inputs = '{\"x\": [[\"no digest\", 0, 1]]}' where job ="),
      spoil("update job_spec set outputs = '[]' where job ="),
      spoil("update job_spec set document = repeat('x', 5000000) where job ="),
      spoil("update job_spec set document = E'\\x01' || repeat(E'\\x02', 70000), inputs = '{\"' || repeat('n', 300) || "
            "'\": []}' where job ="),
      spoil("update job set step_bytes = 99999999999999999999999999999999999999, steps = 2147483647 where id ="),
  };
  std::vector<JobId> good;
  for (int i = 0; i < 3; ++i) good.push_back(town.submit());
  REQUIRE(town.server.wait_leases(good.size()));
  for (const auto& lease : town.server.leases) CHECK(town.complete(lease).result.accepted);
  for (const JobId job : good) CHECK(town.world.job(job).state == JobState::Succeeded);
  const auto state = [&](JobId job) { return town.world.ask("select state from job where id = '" + job.uuid() + "'"); };
  for (size_t i = 0; i + 1 < bad.size(); ++i) {
    INFO("bad job " << i);
    CHECK(town.server.run_until([&] { return state(bad[i]) == "5"; }, kPatience));
    CHECK(town.world.job(bad[i]).end_reason == EndReason::ServiceFault);
    CHECK(town.world.job(bad[i]).spent == Money());
  }
  CHECK(town.server.leader_epoch == epoch);
  CHECK_FALSE(town.server.left());
  // Who leads next reads them too.
  scheduler.kill(SIGKILL);
  Program next(town.world.target, town.scheduler_tls);
  town.server.disconnect();
  town.server.leases.clear();
  town.join({town.world.first});
  const JobId after = town.submit();
  REQUIRE(town.server.wait_leases(1));
  CHECK(town.server.leases[0].fence.job == after);
}

TEST_CASE("a server that asks why a job waits is told with figures") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  auto job = quarry::test::new_job(town.world.renter, town.world.random);
  job.memory_bound_bytes = uint64_t{500} << 30;
  town.server.send(wire::JobsReady{town.world.submit(job).ready});
  const auto answers = [&] { return !town.server.waiting.empty(); };
  uint64_t request = 41;
  do {
    town.server.waiting.clear();
    town.server.send(wire::WhyWaiting{++request, job.id});
    REQUIRE(town.server.run_until(answers));
  } while (town.server.waiting[0].code == "unknown");  // the hint is on its way
  CHECK(town.server.waiting[0].request == request);
  CHECK(town.server.waiting[0].code == "nothing_fits");
  CHECK_THAT(town.server.waiting[0].detail, Catch::Contains("500.0 GiB") && Catch::Contains("1.0 GiB"));
}

TEST_CASE("another account's first job is leased at once, whatever one has waiting") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  for (int i = 0; i < 120; ++i) town.submit();
  constexpr size_t kSlots = 8;  // of the world's boxes
  REQUIRE(town.server.wait_leases(kSlots - 1));
  const auto other = town.world.add_account("another renter");
  town.world.store->deposit(other, quarry::test::dollars("10"), "x");
  const auto job = quarry::test::new_job(other, town.world.random);
  town.server.send(wire::JobsReady{town.world.submit(job).ready});
  REQUIRE(town.server.wait_leases(kSlots));
  CHECK(town.server.leases.back().fence.job == job.id);
  CHECK(town.server.leases.back().tenant != town.server.leases.front().tenant);
}

TEST_CASE("a job whose hint was lost is found") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  const JobId job = town.world.submit_job();
  REQUIRE(town.server.wait_leases(1));
  CHECK(town.server.leases[0].fence.job == job);
}

TEST_CASE(
    "a scheduler killed in the middle of a job is followed by one that sends the same lease again, and places nothing "
    "twice") {
  Town town;
  const auto port = quarry::cli::HeldPort::hold(0);  // as `quarry up` does: nobody takes it while no scheduler lives
  REQUIRE(port.ok());
  auto scheduler = std::make_unique<Program>(town.world.target, town.scheduler_tls, port->address());
  town.join({town.world.first, town.world.second});
  const JobId job = town.submit();
  REQUIRE(town.server.wait_leases(1));
  const auto before = town.server.leases[0];
  const int64_t epoch = town.server.leader_epoch;
  scheduler->kill(SIGKILL);
  scheduler->wait();
  town.server.disconnect();

  // It listens where the killed one did, so nobody waits for the leader row to run out.
  REQUIRE(town.world.execute("update leader set expires_at = now() + interval '1 hour'").empty());
  scheduler = std::make_unique<Program>(town.world.target, town.scheduler_tls, port->address());
  town.server.leases.clear();
  town.server.beating.clear();
  town.join({town.world.first, town.world.second});
  REQUIRE(town.server.wait_leases(1));
  CHECK(town.server.leader_epoch > epoch);
  CHECK(town.server.leases[0].fence == before.fence);
  CHECK(town.server.leases[0].job_document == before.job_document);
  CHECK_FALSE(town.server.wait_leases(2, 1s));
  CHECK(town.complete(before).result.accepted);
  CHECK(town.world.job(job).state == JobState::Succeeded);
}

TEST_CASE("large leases for one server wait for each other instead of ending its link") {
  Town town;
  const std::vector boxes{town.world.first, town.world.second};  // of 8 slots, of which one account gets 7
  constexpr size_t kLeases = 14;
  wire::JobsReady ready;
  for (size_t i = 0; i < kLeases; ++i) {
    auto job = quarry::test::new_job(town.world.renter, town.world.random);
    job.document.resize(wire::kMaxJobDocumentBytes, ' ');
    job.inputs["x"].resize(20'000, {quarry::test::digest("x"), 0, 4});
    REQUIRE(sql::fits_a_lease(job).ok());
    ready.jobs.push_back(town.world.submit(job).ready.at(0));
  }
  Program scheduler(town.world.target, town.scheduler_tls);  // from now on sessions must be seen
  int64_t epoch = 0;
  do {  // once, but where the scheduler lost its lead meanwhile
    town.server.disconnect();
    town.server.beating.clear();
    town.join(boxes);
    CHECK(town.server.leader_epoch > epoch);
    epoch = town.server.leader_epoch;
    town.server.send(ready);
    REQUIRE(town.server.run_until([&] { return town.server.leases.size() == kLeases || town.server.left(); }));
  } while (town.server.left() && epoch < 10);
  CHECK(town.server.leases.size() == kLeases);
}

TEST_CASE("a session that falls silent is expired, and its job goes to another box") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  const JobId job = town.submit();
  REQUIRE(town.server.wait_leases(1));
  town.server.beating = {town.world.second.session.session};
  town.server.send(town.up(town.world.second));
  REQUIRE(town.server.wait_leases(2));
  CHECK(town.server.expired == std::vector{town.world.first.session.session});
  CHECK(town.server.leases[1].session == town.world.second.session.session.id);
  // The silent worker delivers after all: refused, and nothing changes.
  CHECK(town.world.complete(town.world.completion(town.server.leases[0])).result.code == "stale_fence");
  CHECK(town.complete(town.server.leases[1]).result.accepted);
  CHECK(town.world.job(job).state == JobState::Succeeded);
}

TEST_CASE("a cancelled job is stopped on its box") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  const JobId job = town.submit();
  REQUIRE(town.server.wait_leases(1));
  town.world.cancel(job);
  town.server.send(wire::CancelRequested{{job}});
  REQUIRE(town.server.run_until([&] { return !town.server.cancels.empty(); }));
  CHECK(town.server.cancels[0] == town.server.leases[0].fence);
}

TEST_CASE("a standby takes over when the leader stops, with a higher epoch") {
  Town town;
  Program first(town.world.target, town.scheduler_tls);
  town.join({});
  const int64_t epoch = town.server.leader_epoch;
  Program second(town.world.target, town.scheduler_tls);
  CHECK_FALSE(ServerEnd(town.authority.files("server")).connect(second.address()));  // it does not lead
  first.kill(SIGTERM);
  CHECK(first.wait() == 0);
  town.server.disconnect();
  town.join({town.world.first});
  CHECK(town.server.leader_epoch > epoch);
  town.submit();
  CHECK(town.server.wait_leases(1));
}

TEST_CASE("only a server's certificate opens a link to the scheduler") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({});
  CHECK_FALSE(ServerEnd(town.authority.files("box_1")).connect(scheduler.address()));
}

TEST_CASE("the scheduler goes on after PostgreSQL was killed and came back") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  auto& cluster = quarry::test::Postgres::shared().cluster();
  cluster.kill();
  cluster.start();
  town.world.store = sql::Store::open(town.world.target, town.world.clock, town.world.random);
  town.server.disconnect();
  town.server.beating.clear();
  town.join({town.world.first});
  const JobId job = town.submit();
  REQUIRE(town.wait_leases(1, {town.world.first}));
  CHECK(town.complete(town.server.leases[0]).result.accepted);
  CHECK(town.world.job(job).state == JobState::Succeeded);
}

TEST_CASE("a scheduler whose lead ran out lets go of its servers, and places their jobs when it leads again") {
  Town town;
  Program scheduler(town.world.target, town.scheduler_tls);
  town.join({town.world.first});
  const int64_t epoch = town.server.leader_epoch;
  REQUIRE(town.world.execute("update leader set expires_at = '-infinity'").empty());
  REQUIRE(town.server.run_until([&] { return town.server.left(); }));
  town.world.submit_job();
  REQUIRE(town.wait_leases(1, {town.world.first}));
  CHECK(town.server.leader_epoch > epoch);
}

TEST_CASE("a database that cannot be reached is one clear sentence and a failure") {
  quarry::test::Authority authority;
  Program scheduler("host=/nowhere dbname=none", authority.files("scheduler"));
  CHECK(scheduler.ready_line().empty());
  CHECK(scheduler.wait() == 1);
}
