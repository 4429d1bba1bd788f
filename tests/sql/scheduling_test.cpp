#include <libpq-fe.h>

#include <numeric>
#include <thread>

#include "sql/connection.h"
#include "tests/sql/fixture.h"

namespace quarry::test {
namespace {

/// A job whose id says that it was submitted so long ago.
JobId submit_back_then(World& world, std::chrono::minutes ago) {
  auto job = new_job(world.renter, world.random);
  const auto micros = std::chrono::microseconds(ago).count();
  job.id = JobId::make({world.clock.wall().micros - micros}, world.random);
  REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
  return job.id;
}

/// Holds a table against changes until it is destroyed.
class HeldTable {
 public:
  HeldTable(const World& world, const std::string& table) : connection_(PQconnectdb(world.target.c_str()), PQfinish) {
    PQclear(PQexec(connection_.get(), ("begin; lock table " + table + " in share mode").c_str()));
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

}  // namespace

using namespace std::chrono_literals;

TEST_CASE("One scheduler leads; another takes over with a higher epoch when its time runs out") {
  World world;
  auto& store = *world.store;
  CHECK_FALSE(store.try_lead("standby", "b:1", 1min).mine);
  CHECK(store.current_leader()->holder == "leader");
  CHECK(store.try_lead("leader", "127.0.0.1:1", 1min).epoch == world.leader_epoch);
  store.try_lead("leader", "127.0.0.1:1", 1ms);
  std::this_thread::sleep_for(20ms);
  CHECK_FALSE(store.current_leader());
  const auto next = store.try_lead("standby", "b:1", 1min);
  CHECK(next.mine);
  CHECK(next.epoch == world.leader_epoch + 1);
  CHECK_FALSE(store.try_lead("leader", "127.0.0.1:1", 1min).mine);
}

TEST_CASE("The same holder after a lapse leads a new epoch, and a leader can resign") {
  World world;
  world.store->try_lead("leader", "a:1", 1ms);
  std::this_thread::sleep_for(20ms);
  const auto again = world.store->try_lead("leader", "a:1", 1min);
  CHECK(again.epoch == world.leader_epoch + 1);
  world.store->resign(again.epoch - 1);
  CHECK(world.store->current_leader());
  world.store->resign(again.epoch);
  CHECK(world.store->try_lead("standby", "b:1", 1min).epoch == again.epoch + 1);
}

TEST_CASE("A deposed leader can commit nothing") {
  World world;
  const JobId job = world.submit_job();
  world.store->try_lead("leader", "a:1", 1ms);
  std::this_thread::sleep_for(20ms);
  CHECK(world.try_lease(job, 0, world.first).empty());  // expired
  world.store->try_lead("standby", "b:1", 1min);
  CHECK(world.try_lease(job, 0, world.first).empty());  // deposed
  CHECK(world.store->expire_sessions(world.leader_epoch, {world.first.session.session}).empty());
  CHECK(world.store->load_sessions().size() == 2);
  CHECK(world.job(job).state == JobState::Queued);
}

TEST_CASE("A transaction whose machine vanished does not keep its locks") {
  World world;
  sql::Connection connection(world.target);
  sql::Connection::Transaction tx(connection);
  CHECK(tx.query("show idle_in_transaction_session_timeout").get<std::string>(0, 0) == "30s");
}

TEST_CASE("A lease carries all that a worker needs") {
  World world;
  const auto job = new_job(world.renter, world.random, 7, 3);
  world.submit(job);
  const auto lease = world.lease(job.id, 0, world.first);
  CHECK(lease.fence.incarnation == world.first.session.incarnation);
  CHECK(lease.fence.session_epoch == world.first.session.session.epoch);
  CHECK(lease.fence.attempt == 1);
  CHECK(lease.session == world.first.session.session.id);
  CHECK(lease.slice == world.first.slice());
  CHECK(lease.graph == job.graph);
  CHECK(lease.job_document == job.document);
  CHECK(lease.first_step == 0);
  CHECK(lease.steps == 3);
  CHECK_FALSE(lease.last_segment);
  REQUIRE(lease.inputs.at("x").size() == 1);
  CHECK(lease.inputs.at("x")[0].blob == digest("x"));
  CHECK(lease.inputs.at("x")[0].offset == 8);
  CHECK(lease.memory_bound_bytes == 4'096);
  CHECK(lease.time_limit_ms > 60'000);
  CHECK(world.job(job.id).state == JobState::Running);
  CHECK(world.job(job.id).started_at);
  CHECK(world.event_kinds(job.id) == std::vector<std::string>{"job.queued", "job.running"});
}

TEST_CASE("What a box carries on under a name that is no input does not come with the next lease") {
  World world;
  const JobId job = world.submit_job(2, 1);
  auto completion = world.completion(world.lease(job, 0, world.first));
  completion.carried.push_back(produced("no input", "bytes"));
  REQUIRE(world.complete(completion).result.accepted);
  const auto next = world.lease(job, 1, world.second);
  REQUIRE(next.inputs.size() == 1);
  CHECK(next.inputs.at("x").at(0).blob == completion.carried[0].blob);
}

TEST_CASE("Placements that no longer hold are absent, the others are committed") {
  World world;
  const JobId running = world.submit_job(), cancelled = world.submit_job(), queued = world.submit_job(),
              late = world.submit_job();
  world.lease(running, 0, world.second);
  world.cancel(cancelled);
  const auto key = world.first.session.session;
  const auto slice = world.first.slice();
  const auto wrong_epoch = wire::SessionKey{key.id, key.epoch + 100};
  const auto leases =
      world.store->lease(world.leader_epoch, {{running, 0, key, slice},
                                              {cancelled, 0, key, slice},
                                              {queued, 1, key, slice},               // not at that segment
                                              {late, 0, wrong_epoch, slice},         // another session
                                              {late, 0, key, world.second.slice()},  // another box's slice
                                              {queued, 0, key, slice},
                                              {queued, 0, key, slice}});  // twice
  REQUIRE(leases.size() == 1);
  CHECK(leases[0].fence.job == queued);
  CHECK(world.job(late).state == JobState::Queued);
}

TEST_CASE("A new leader rebuilds its queue, its running attempts and its sessions from the database") {
  World world;
  const JobId queued = world.submit_job(), running = world.submit_job(), ended = world.submit_job();
  const auto lease = world.lease(running, 0, world.first);
  world.cancel(ended);
  const auto ready = world.store->load_ready();
  REQUIRE(ready.size() == 1);
  CHECK(ready[0].job == queued);
  CHECK(ready[0].metered_gflop == 10);
  const auto attempts = world.store->load_running();
  REQUIRE(attempts.size() == 1);
  CHECK(attempts[0].fence == lease.fence);
  CHECK(attempts[0].session == lease.session);
  CHECK(attempts[0].slice == lease.slice);
  const auto sessions = world.store->load_sessions();
  REQUIRE(sessions.size() == 2);
  CHECK(sessions[0].session == world.first.session.session);
  CHECK(sessions[0].box == world.first.id);
  CHECK(sessions[0].owner == world.first.owner);
  REQUIRE(sessions[0].slices.size() == 1);
  CHECK(sessions[0].slices[0].slots == 8);
  const auto again = world.store->load_leases({lease.fence, {1, running, 0, 2, 3}});
  REQUIRE(again.size() == 1);
  CHECK(again[0].fence == lease.fence);
  CHECK(again[0].job_document == lease.job_document);
}

TEST_CASE("The floor under which all jobs have ended rises, and an old id pulls it down again") {
  World world;
  world.store->load_ready();
  CHECK(world.ask("select floor > '01000000-0000-0000-0000-000000000000' from queue_floor") == "t");
  auto old = new_job(world.renter, world.random);
  old.id = JobId::make({1'000'000'000'000'000}, world.random);
  world.submit(old);
  const auto ready = world.store->load_ready();
  REQUIRE(ready.size() == 1);
  CHECK(ready[0].job == old.id);
}

TEST_CASE("What waits or runs for long is found, and does not make ended jobs be read again and again") {
  World world;
  const JobId waiting = submit_back_then(world, 60min), running = submit_back_then(world, 59min);
  const auto lease = world.lease(running, 0, world.first);
  std::vector<JobId> ended;
  for (int i = 0; i < 10; ++i) {
    ended.push_back(submit_back_then(world, 50min));
    world.cancel(ended.back());
  }
  const JobId young = world.submit_job();
  const auto found = [&] {
    std::vector<JobId> jobs;
    for (const auto& ready : world.store->load_ready()) jobs.push_back(ready.job);
    return jobs;
  };
  CHECK(found() == std::vector{waiting, young});
  for (const JobId job : ended)
    CHECK(world.ask("select recent > '" + job.uuid() + "' from queue_floor") == "t");  // none of them is read
  CHECK(world.ask("select floor = '" + waiting.uuid() + "' from queue_floor") == "t");
  const auto attempts = world.store->load_running();
  REQUIRE(attempts.size() == 1);
  CHECK(attempts[0].fence == lease.fence);
  CHECK(attempts[0].job.job == running);
  CHECK(world.store->reconcile().empty());

  SECTION("their boxes are lost like those of others") {
    const auto outcomes = world.store->expire_sessions(world.leader_epoch, {world.first.session.session});
    REQUIRE(outcomes.size() == 1);
    CHECK(outcomes[0].fence == lease.fence);
    CHECK(found() == std::vector{waiting, running, young});
  }
  SECTION("an even older job that comes late is found beside them, each once") {
    const JobId older = submit_back_then(world, 120min);
    CHECK(found() == std::vector{older, waiting, young});
    CHECK(world.store->load_running().size() == 1);
    CHECK(found() == std::vector{older, waiting, young});
  }
  SECTION("they are forgotten when they have ended") {
    CHECK(world.complete(world.completion(lease)).job_ended);
    world.cancel(waiting);
    CHECK(found() == std::vector{young});
    CHECK(world.ask("select count(*) from old_job") == "0");
  }
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A job whose submission hangs while the queue is read is found when it ends, however old its id") {
  World world;
  world.store->load_ready();
  const auto recent = [&] { return world.ask("select recent from queue_floor"); };
  const std::string before = recent();
  JobId late;
  std::thread submitting;
  {
    const HeldTable events(world, "event");  // a submission writes there last
    submitting = std::thread([&] {
      auto store = sql::Store::open(world.target, world.clock, world.random);
      auto job = new_job(world.renter, world.random);
      job.id = late = JobId::make({world.clock.wall().micros - 3'600'000'000}, world.random);
      store->submit({{job.account, {job}, {}, "", 201}});
    });
    while (world.ask("select count(*) from pg_locks where database = (select oid from pg_database where datname = "
                     "current_database()) and relation = 'event'::regclass and not granted") == "0")
      std::this_thread::sleep_for(1ms);
    CHECK(world.store->load_ready().empty());  // it does not wait for the end of the submission,
    CHECK(recent() == before);                 // nor passes by what may come of it
  }
  submitting.join();
  REQUIRE(world.store->load_ready().size() == 1);
  CHECK(world.store->load_ready().at(0).job == late);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("An expired session's attempts are lost and their segments queued again") {
  World world;
  const JobId lost = world.submit_job(), kept = world.submit_job();
  const auto lease = world.lease(lost, 0, world.first);
  const auto other = world.lease(kept, 0, world.second);
  const auto outcomes = world.store->expire_sessions(world.leader_epoch, {world.first.session.session});
  REQUIRE(outcomes.size() == 1);
  CHECK(outcomes[0].fence == lease.fence);
  REQUIRE(outcomes[0].next);
  CHECK(outcomes[0].next->job == lost);
  CHECK(world.job(lost).state == JobState::Queued);
  CHECK(world.job(kept).state == JobState::Running);
  CHECK(world.try_lease(lost, 0, world.first).empty());  // the session is closed

  SECTION("the answer is given again when it was lost") {
    CHECK(world.store->expire_sessions(world.leader_epoch, {world.first.session.session}).size() == 1);
  }
  SECTION("the late completion is refused and changes nothing, the next attempt is paid once") {
    const auto next = world.lease(lost, 0, world.second);
    CHECK(next.fence.attempt == 2);
    CHECK(world.complete(world.completion(lease)).result.code == "stale_fence");
    CHECK(world.complete(world.completion(next)).result.code == "accepted");
    CHECK(world.store->balance(world.first.owner).pending == Money());
    CHECK(world.store->balance(world.second.owner).pending == world.job(lost).spent);
  }
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Two leaders' leases of one job: one is committed") {
  World world;
  const JobId job = world.submit_job();
  std::vector<size_t> counts(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < counts.size(); ++i)
    threads.emplace_back([&, i] {
      auto store = sql::Store::open(world.target, world.clock, world.random);
      const auto& box = i % 2 == 0 ? world.first : world.second;
      counts[i] = store->lease(world.leader_epoch, {{job, 0, box.session.session, box.slice()}}).size();
    });
  for (auto& thread : threads) thread.join();
  CHECK(std::accumulate(counts.begin(), counts.end(), size_t{0}) == 1);
  CHECK(world.store->reconcile().empty());
}

}  // namespace quarry::test
