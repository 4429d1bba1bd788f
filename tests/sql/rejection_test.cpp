// Completions that do not bring what their lease asked for: whatever a box says, it is paid for that and nothing else.
#include "sql/outputs.h"
#include "tests/sql/fixture.h"

namespace quarry::test {

namespace {

sql::NewJob job_with_outputs(World& world, int64_t steps = 1, int64_t steps_per_segment = 1) {
  auto job = new_job(world.renter, world.random, steps, steps_per_segment);
  job.outputs = {.kept = {{"loss", {4, true}}, {"w", {40, false}}, {"nothing", {0, false}}}, .carried = {{"x", 16}}};
  return job;
}
wire::Produced value(const std::string& name, size_t bytes, char fill = 'v') {
  return produced(name, std::string(bytes, fill));
}
/// What the lease asks for, and nothing else.
wire::Completion honest(const wire::Lease& lease) {
  wire::Completion completion;
  completion.fence = lease.fence;
  for (const auto& output : lease.outputs.value())
    (output.carried ? completion.carried : completion.kept).push_back(value(output.name, output.bytes));
  return completion;
}

/// One way in which a completion is not what was asked for.
using Lie = std::function<void(wire::Completion&)>;
const std::vector<std::pair<const char*, Lie>> kLies{
    {"nothing kept", [](auto& c) { c.kept.clear(); }},
    {"nothing at all", [](auto& c) { c.kept.clear(), c.carried.clear(); }},
    {"one missing", [](auto& c) { c.kept.pop_back(); }},
    {"four bytes for all",
     [](auto& c) {
       for (auto& v : c.kept) v = value(v.name, 4, '\xef');
     }},
    {"a byte too many", [](auto& c) { c.kept.back() = value(c.kept.back().name, c.kept.back().bytes + 1); }},
    {"a claim of other bytes", [](auto& c) { c.kept.front().bytes += 1; }},
    {"bytes past an int64", [](auto& c) { c.kept.front().bytes = UINT64_MAX; }},
    {"one that nobody asked for", [](auto& c) { c.kept.push_back(value("extra", 4)); }},
    {"one that nobody asked for, without bytes", [](auto& c) { c.kept.push_back(value("extra", 0)); }},
    {"an empty name", [](auto& c) { c.kept.front().name.clear(); }},
    {"a name in other letters", [](auto& c) { c.kept.front().name = "Loss"; }},
    {"one twice", [](auto& c) { c.kept.push_back(c.kept.front()); }},
    {"one twice instead of another", [](auto& c) { c.kept.back() = c.kept.front(); }},
    {"kept as carried", [](auto& c) { c.carried.push_back(c.kept.back()), c.kept.pop_back(); }},
    {"another hash", [](auto& c) { c.kept.front().blob = digest("another"); }},
    {"other bytes under the hash", [](auto& c) { c.kept.front().inline_bytes->front() ^= std::byte{1}; }},
    {"fewer inline bytes than it says", [](auto& c) { c.kept.front().inline_bytes->pop_back(); }},
};

}  // namespace

TEST_CASE("A completion that is not what was asked for pays nothing, and the segment runs again elsewhere") {
  World world;
  for (const auto& [what, lie] : kLies) {
    INFO(what);
    const auto job = job_with_outputs(world);
    REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
    const auto lease = world.lease(job.id, 0, world.first);
    auto completion = honest(lease);
    lie(completion);
    completion.device_ns = UINT64_MAX;  // what a box measured is no work
    const auto outcome = world.complete(completion);
    CHECK(outcome.result.code == "rejected");
    CHECK_FALSE(outcome.result.accepted);
    REQUIRE(outcome.next);
    CHECK(outcome.next->segment == 0);
    CHECK(world.job(job.id).spent == Money());
    CHECK(world.job(job.id).state == JobState::Queued);
    CHECK(world.complete(honest(lease)).result.code == "rejected");  // it is over
    const auto again = world.lease(job.id, 0, world.second);
    CHECK(world.complete(honest(again)).result.accepted);
    CHECK(world.job(job.id).spent == full_price(job));
    CHECK(world.ask("select count(*) from attempt where state = 4 and job = '" + job.id.uuid() + "'") == "1");
  }
  CHECK(world.store->balance(world.first.owner).pending == Money());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Each segment brings what it is asked for: carried values but with the last, those kept last only with it") {
  World world;
  const auto job = job_with_outputs(world, 5, 2);
  REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
  const std::vector<size_t> loss_bytes{8, 8, 4};
  for (int32_t segment = 0; segment < 3; ++segment) {
    const auto lease = world.lease(job.id, segment, world.first);
    const auto completion = honest(lease);
    const bool last = segment == 2;
    CHECK(completion.carried.size() == (last ? 0 : 1));
    CHECK(completion.kept.size() == (last ? 3 : 1));
    CHECK(completion.kept.front().bytes == loss_bytes[static_cast<size_t>(segment)]);
    auto wrong = completion;
    last ? void(wrong.carried.push_back(value("x", 16))) : wrong.carried.clear();
    CHECK(world.complete(wrong).result.code == "rejected");
    CHECK(world.complete(honest(world.lease(job.id, segment, world.second))).result.accepted);
  }
  CHECK(world.job(job.id).state == JobState::Succeeded);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A job whose attempts are all rejected ends without a charge for them") {
  World world;
  const auto job = job_with_outputs(world);
  REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
  for (int attempt = 0; attempt < sql::kMaxAttempts; ++attempt) {
    auto completion = honest(world.lease(job.id, 0, attempt % 2 ? world.first : world.second));
    completion.kept.clear();
    CHECK(world.complete(completion).result.code == "rejected");
  }
  CHECK(world.job(job.id).state == JobState::Failed);
  CHECK(world.job(job.id).end_reason == EndReason::AttemptsExhausted);
  CHECK(world.job(job.id).spent == Money());
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A batch in which one completion is rejected accepts the others") {
  World world;
  std::vector<wire::Completion> batch;
  for (int i = 0; i < 10; ++i) {
    const auto job = job_with_outputs(world);
    REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
    batch.push_back(honest(world.lease(job.id, 0, world.first)));
  }
  batch[4].kept.clear();
  batch.push_back(batch[4]);
  const auto outcomes = world.store->complete(batch);
  for (size_t i = 0; i < 10; ++i) CHECK(outcomes[i].result.accepted == (i != 4));
  CHECK(outcomes[4].result.code == "rejected");
  CHECK(outcomes[10].result.code == "rejected");
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("The stored form of what is expected comes back, whatever the names") {
  SeededRandom random(5);
  for (int i = 0; i < 200; ++i) {
    sql::JobOutputs outputs;
    for (uint64_t n = random.next_u64() % 5; n > 0; --n) {
      const std::string name = std::vector<std::string>{"y", "\"", "a/b\\", "\xc3\xa9", ""}[random.next_u64() % 5];
      outputs.kept[name] = {random.next_u64() >> (1 + random.next_u64() % 63), random.next_u64() % 2 == 0};
      outputs.carried[name] = random.next_u64() % 3;
    }
    const auto back = sql::outputs_from_json(sql::outputs_to_json(outputs));
    CHECK(back.carried == outputs.carried);
    REQUIRE(back.kept.size() == outputs.kept.size());
    for (const auto& [name, kept] : outputs.kept) {
      CHECK(back.kept.at(name).bytes == kept.bytes);
      CHECK(back.kept.at(name).each == kept.each);
    }
  }
}

TEST_CASE("A session's leases are found again with what they ask for, and no other's") {
  World world;
  const auto job = job_with_outputs(world), other = job_with_outputs(world), done = job_with_outputs(world);
  for (const auto& one : {job, other, done}) REQUIRE(world.submit(one).kind == sql::SubmitOutcome::Kind::Accepted);
  const auto lease = world.lease(job.id, 0, world.first);
  world.lease(other.id, 0, world.second);
  world.complete(honest(world.lease(done.id, 0, world.first)));
  const auto found = world.store->session_leases(world.first.session.session);
  REQUIRE(found.size() == 1);
  CHECK(found[0].fence == lease.fence);
  CHECK(found[0].outputs.value().size() == 3);
  CHECK(found[0].tenant == lease.tenant);
}

TEST_CASE("Leases of one account on one box share a number that no other account or box has") {
  World world;
  const auto renter = world.add_account("another");
  world.store->deposit(renter, dollars("10"), "x");
  const auto tenant = [&](AccountId account, const World::Box& box) {
    const auto job = new_job(account, world.random);
    REQUIRE(world.submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
    return world.lease(job.id, 0, box).tenant;
  };
  const uint64_t here = tenant(world.renter, world.first);
  CHECK(tenant(world.renter, world.first) == here);
  CHECK(tenant(world.renter, world.second) != here);
  CHECK(tenant(renter, world.first) != here);
}

}  // namespace quarry::test
