// How what is stored ends: tensors, results, checkpoints; their rows first, then their files.
#include <algorithm>

#include "tests/sql/fixture.h"

namespace quarry::test {
namespace {

constexpr uint64_t kQuota = 1'000;
constexpr std::chrono::seconds kAtOnce{0};

/// Moves business time for every connection made from now on, and makes the store's anew.
void at(World& world, const std::string& offset) {
  CHECK(world.execute(
            "do $$ begin execute format('alter database %I set quarry.clock_offset = %L', current_database(), '" +
            offset + "'); end $$") == "");
  world.store = sql::Store::open(world.target, world.clock, world.random);
}

wire::Produced file(const std::string& name, std::string_view content) {
  return {name, digest(content), 1 << 20, std::nullopt};
}

std::vector<Digest> garbage(World& world) {
  std::vector<Digest> files;
  for (const auto& found : world.store->sweep_garbage(kAtOnce, 100)) files.push_back(found.sha256);
  std::sort(files.begin(), files.end());
  return files;
}

JobId finished(World& world, std::vector<wire::Produced> kept) {
  const JobId job = world.submit_job();
  wire::Completion completion;
  completion.fence = world.lease(job, 0, world.first).fence;
  completion.kept = std::move(kept);
  REQUIRE(world.complete(completion).result.accepted);
  return job;
}

}  // namespace

TEST_CASE("Results are kept for thirty days after their job's end, and its state and bill for ever") {
  World world;
  const JobId job = finished(world, {produced("loss", "small"), file("w", "large")});
  at(world, "30 days -1 minute");
  CHECK(world.store->expire_jobs(100) == 0);
  CHECK(world.job(job).outputs.size() == 2);
  at(world, "30 days 1 minute");
  CHECK(world.job(job).results_expired);
  CHECK(world.job(job).outputs.empty());
  CHECK(world.store->expire_jobs(100) == 0);  // an hour later, for whoever planned to use them a moment ago
  CHECK(world.store->small_blob(digest("small")));
  at(world, "30 days 61 minutes");
  CHECK(world.store->expire_jobs(100) == 1);
  CHECK(world.store->expire_jobs(100) == 0);
  CHECK_FALSE(world.store->small_blob(digest("small")));
  CHECK(garbage(world) == std::vector{digest("large")});
  const auto row = world.job(job);
  CHECK(row.state == JobState::Succeeded);
  CHECK(row.document.empty());
  CHECK(world.store->job_usage(world.renter, job).size() == 1);
  CHECK_FALSE(world.store->job_ledger(world.renter, job).empty());
  CHECK(world.event_kinds(job).empty());
  CHECK(world.ask("select count(*) from attempt") == "0");
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("What another job names as well is kept, small or large") {
  World world;
  finished(world, {produced("loss", "small"), file("w", "large")});
  const JobId other = finished(world, {produced("loss", "small"), file("w", "large")});
  at(world, "31 days");
  world.execute("update job set ended_at = ended_at + interval '1 day' where id = '" + other.uuid() + "'");
  CHECK(world.store->expire_jobs(100) == 1);
  CHECK(world.store->small_blob(digest("small")));
  CHECK(garbage(world).empty());
  CHECK(world.store->reconcile().empty());
  at(world, "33 days");
  CHECK(world.store->expire_jobs(100) == 1);
  CHECK_FALSE(world.store->small_blob(digest("small")));
  CHECK(garbage(world) == std::vector{digest("large")});
}

TEST_CASE("A job does not expire while it is open, nor while an open job starts from its results") {
  World world;
  const JobId source = finished(world, {produced("loss", "small"), file("w", "large")});
  auto next = new_job(world.renter, world.random);
  next.inputs["x"] = {{digest("large"), 0, 16}};
  REQUIRE(world.submit(next).kind == sql::SubmitOutcome::Kind::Accepted);
  at(world, "100 days");
  CHECK(world.store->expire_jobs(100) == 0);
  CHECK(world.store->small_blob(digest("small")));
  world.cancel(next.id);
  CHECK(world.store->expire_jobs(100) == 1);
  CHECK(world.job(source).document.empty());
  CHECK_FALSE(world.job(next.id).document.empty());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A file that was swept but not forgotten, as after a crash, is named again; one that is used again is not") {
  World world;
  finished(world, {file("w", "one"), file("v", "two")});
  at(world, "31 days");
  world.store->expire_jobs(100);
  CHECK(garbage(world).size() == 2);
  CHECK(garbage(world).size() == 2);
  CHECK(world.store->sweep_garbage(std::chrono::hours(1), 100).empty());  // not yet
  finished(world, {file("w", "one")});
  CHECK(garbage(world) == std::vector{digest("two")});
  world.store->forget_garbage({{sql::GarbageFile::Kind::Result, digest("two")}});
  CHECK(garbage(world).empty());
  CHECK(world.ask("select count(*) from blob_garbage") == "0");
}

TEST_CASE("A checkpoint goes when the next one is durable, unless the next one is equal") {
  World world;
  const JobId job = world.submit_job(5, 1);
  const auto run = [&](int32_t segment, std::vector<wire::Produced> carried) {
    wire::Completion completion;
    completion.fence = world.lease(job, segment, world.first).fence;
    completion.kept = {produced("loss", "same")};
    completion.carried = std::move(carried);
    REQUIRE(world.complete(completion).result.accepted);
    CHECK(world.store->reconcile().empty());
  };
  run(0, {file("x", "first"), produced("y", "small first")});
  CHECK(garbage(world).empty());
  run(1, {file("x", "second"), produced("y", "same")});  // equal to a kept value, which stays
  CHECK(garbage(world) == std::vector{digest("first")});
  CHECK_FALSE(world.store->small_blob(digest("small first")));
  CHECK(world.store->small_blob(digest("same")));
  run(2, {file("x", "second"), produced("y", "small third")});
  CHECK(garbage(world) == std::vector{digest("first")});
  CHECK(world.store->small_blob(digest("same")));
  const auto lease = world.lease(job, 3, world.second);
  CHECK(lease.inputs.at("x").at(0).blob == digest("second"));
  world.fail(lease.fence, "device_error");
  run(3, {file("x", "first"), produced("y", "small fourth")});  // the first one's bytes come again
  CHECK(garbage(world) == std::vector{digest("second")});
  run(4, {});
  auto left = std::vector{digest("first"), digest("second")};
  std::sort(left.begin(), left.end());
  CHECK(garbage(world) == left);
  CHECK(world.ask("select count(*) from small_blob") == "1");
  CHECK(world.ask("select count(*) from segment where carried <> '{}'") == "0");
}

TEST_CASE("A tensor is kept for thirty days after its last use, for each account that has it") {
  World world;
  const auto& store = world.store;
  CHECK_FALSE(store->put_tensor(world.renter, digest("t"), 100, kQuota));
  CHECK_FALSE(store->put_tensor(world.first.owner, digest("t"), 100, kQuota));
  const auto expires = store->tensor(world.renter, digest("t"))->expires_at;
  at(world, "20 days");
  CHECK_FALSE(store->put_tensor(world.renter, digest("t"), 100, kQuota));
  CHECK(store->tensor(world.renter, digest("t"))->expires_at > expires);
  CHECK(store->stored_bytes(world.renter) == 100);
  at(world, "30 days 1 minute");
  CHECK_FALSE(store->tensor(world.first.owner, digest("t")));
  CHECK(store->tensor(world.renter, digest("t")));
  CHECK(store->expire_tensors(100) == 0);
  at(world, "30 days 61 minutes");
  CHECK(store->expire_tensors(100) == 1);
  CHECK(store->stored_bytes(world.first.owner) == 0);
  CHECK(garbage(world).empty());
  CHECK(store->reconcile().empty());
  at(world, "51 days");
  CHECK(store->expire_tensors(100) == 1);
  CHECK(garbage(world) == std::vector{digest("t")});
  CHECK(store->reconcile().empty());
}

TEST_CASE("A tensor that is deleted is gone for its account alone; an open job keeps the file") {
  World world;
  const auto& store = world.store;
  store->put_tensor(world.renter, digest("x"), 100, kQuota);
  store->put_tensor(world.first.owner, digest("x"), 100, kQuota);
  const JobId job = world.submit_job();  // starts from "x"
  CHECK(store->delete_tensor(world.first.owner, digest("x")));
  CHECK_FALSE(store->delete_tensor(world.first.owner, digest("x")));
  CHECK(store->tensor(world.renter, digest("x")));
  CHECK(store->delete_tensor(world.renter, digest("x")));
  CHECK(store->stored_bytes(world.renter) == 0);
  CHECK(garbage(world).empty());
  world.cancel(job);
  CHECK(garbage(world) == std::vector{digest("x")});
  store->put_tensor(world.renter, digest("x"), 100, kQuota);
  CHECK(garbage(world).empty());
  CHECK(store->reconcile().empty());
}

TEST_CASE("An account's tensors come to its quota and no further; the same file again costs nothing") {
  World world;
  const auto& store = world.store;
  CHECK_FALSE(store->put_tensor(world.renter, digest("a"), 600, kQuota));
  CHECK_FALSE(store->put_tensor(world.renter, digest("a"), 600, kQuota));
  const auto reached = store->put_tensor(world.renter, digest("b"), 401, kQuota);
  REQUIRE(reached);
  CHECK(reached->stored_bytes == 600);
  CHECK_FALSE(store->tensor(world.renter, digest("b")));
  CHECK(world.ask("select count(*) from tensor") == "1");
  CHECK_FALSE(store->put_tensor(world.renter, digest("c"), 400, kQuota));
  CHECK_FALSE(store->put_tensor(world.first.owner, digest("b"), 401, kQuota));
  CHECK(store->delete_tensor(world.renter, digest("a")));
  CHECK_FALSE(store->put_tensor(world.renter, digest("b"), 401, kQuota));
  CHECK(store->stored_bytes(world.renter) == 801);
  CHECK(store->reconcile().empty());
}

}  // namespace quarry::test
