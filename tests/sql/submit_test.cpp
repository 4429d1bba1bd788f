#include "sql/group_commit.h"
#include "tests/sql/fixture.h"

namespace quarry::test {

using Kind = sql::SubmitOutcome::Kind;

TEST_CASE("A submitted job is queued and its limit is reserved") {
  World world;
  const auto job = new_job(world.renter, world.random, 7, 3);
  const auto outcome = world.submit(job);
  REQUIRE(outcome.kind == Kind::Accepted);
  REQUIRE(outcome.ready.size() == 1);
  CHECK(outcome.ready[0].job == job.id);
  CHECK(outcome.ready[0].segment == 0);
  const auto balance = world.store->balance(world.renter);
  CHECK(balance.available == dollars("999"));
  CHECK(balance.reserved == dollars("1"));
  const auto row = world.job(job.id);
  CHECK(row.state == JobState::Queued);
  CHECK(row.document == job.document);
  CHECK(row.steps == 7);
  CHECK(row.steps_accepted == 0);
  CHECK(row.limit == dollars("1"));
  CHECK(row.metered.count == 7 * (2'000'000 + 64'000 + 200'000'000ull) + 10'000'000'000ull);
  CHECK(world.event_kinds(job.id) == std::vector<std::string>{"job.queued"});
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A job is a stranger to other accounts") {
  World world;
  const JobId job = world.submit_job();
  CHECK_FALSE(world.store->job(world.first.owner, job));
  CHECK(world.store->job_events_after(world.first.owner, job, 0, 10).empty());
  CHECK(world.store->job_ledger(world.first.owner, job).empty());
  CHECK(world.store->cancel({{world.first.owner, job}})[0].kind == sql::CancelOutcome::Kind::NotFound);
}

TEST_CASE("The same key and request gives the stored answer, another request is refused") {
  World world;
  const auto job = new_job(world.renter, world.random);
  CHECK(world.submit(job, "k", "one").kind == Kind::Accepted);
  const auto repeat = world.submit(new_job(world.renter, world.random), "k", "one");
  CHECK(repeat.kind == Kind::Repeated);
  CHECK(repeat.answer == "answer to one");
  CHECK(repeat.answer_status == 201);
  CHECK(world.submit(new_job(world.renter, world.random), "k", "two").kind == Kind::KeyReused);
  CHECK(world.store->balance(world.renter).reserved == dollars("1"));

  const auto other = world.add_account("other");
  world.store->deposit(other, dollars("5"), "x");
  CHECK(world.submit(new_job(other, world.random), "k", "two").kind == Kind::Accepted);
}

TEST_CASE("Two submissions of one batch with one key make one job") {
  World world;
  std::vector<sql::Submission> batch(3);
  for (size_t i = 0; i < 3; ++i) {
    batch[i].account = world.renter;
    batch[i].jobs = {new_job(world.renter, world.random)};
    batch[i].idempotency = {"k", digest(i < 2 ? "same" : "other")};
    batch[i].answer = "first";
  }
  const auto outcomes = world.store->submit(batch);
  CHECK(outcomes[0].kind == Kind::Accepted);
  CHECK(outcomes[1].kind == Kind::Repeated);
  CHECK(outcomes[1].answer == "first");
  CHECK(outcomes[2].kind == Kind::KeyReused);
  CHECK(world.store->balance(world.renter).reserved == dollars("1"));
}

TEST_CASE("A key is honoured for 48 hours") {
  World world;
  CHECK(world.submit(new_job(world.renter, world.random), "k", "one").kind == Kind::Accepted);
  world.execute("update idempotency set created_at = created_at - interval '49 hours'");
  CHECK_FALSE(world.store->find_idempotent(world.renter, {"k", digest("one")}));
  CHECK(world.submit(new_job(world.renter, world.random), "k", "two").kind == Kind::Accepted);
  CHECK(world.store->find_idempotent(world.renter, {"k", digest("two")})->kind == Kind::Repeated);
}

TEST_CASE("Answers that are honoured no more are forgotten, the oldest first, and younger ones stay") {
  World world;
  const auto keys = [&] {
    return world.ask("select coalesce(string_agg(key, ' ' order by key), '') from idempotency");
  };
  for (const char* key : {"a", "b", "c", "d"}) world.store->store_idempotent(world.renter, {key, digest(key)}, 201, "");
  world.execute("update idempotency set created_at = created_at - interval '49 hours' where key = 'c'");
  world.execute("update idempotency set created_at = created_at - interval '50 hours' where key = 'b'");
  world.execute("update idempotency set created_at = created_at - interval '47 hours' where key = 'a'");
  CHECK(world.store->forget_answers(1) == 1);
  CHECK(keys() == "a c d");
  CHECK(world.store->forget_answers(10) == 1);
  CHECK(keys() == "a d");
  CHECK(world.store->forget_answers(10) == 0);
}

TEST_CASE("An answer to another kind of request can be kept under a key as well") {
  World world;
  world.store->store_idempotent(world.renter, {"k", digest("box")}, 201, "made");
  world.store->store_idempotent(world.renter, {"k", digest("box")}, 201, "made again");
  const auto found = world.store->find_idempotent(world.renter, {"k", digest("box")});
  REQUIRE(found);
  CHECK(found->answer == "made");
  CHECK(world.store->find_idempotent(world.renter, {"k", digest("other")})->kind == Kind::KeyReused);
}

TEST_CASE("A request whose answer was lost is accepted again without a second job") {
  World world;
  const auto job = new_job(world.renter, world.random);
  CHECK(world.submit(job).kind == Kind::Accepted);
  const auto repeat = world.submit(job);
  CHECK(repeat.kind == Kind::Accepted);
  CHECK(repeat.ready.size() == 1);
  CHECK(world.store->balance(world.renter).reserved == dollars("1"));
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A submission that the balance does not cover is refused alone, and stores nothing") {
  World world;
  const auto poor = world.add_account("poor");
  world.store->deposit(poor, dollars("2.5"), "x");
  std::vector<sql::Submission> batch(3);
  batch[0] = {poor,
              {new_job(poor, world.random), new_job(poor, world.random), new_job(poor, world.random)},
              {"k", digest("3")},
              "",
              201};
  batch[1] = {world.renter, {new_job(world.renter, world.random)}, {}, "", 201};
  batch[2] = {poor, {new_job(poor, world.random), new_job(poor, world.random)}, {}, "", 201};
  const auto outcomes = world.store->submit(batch);
  CHECK(outcomes[0].kind == Kind::InsufficientBalance);
  CHECK(outcomes[0].available == dollars("2.5"));
  CHECK(outcomes[0].needed == dollars("3"));
  CHECK(outcomes[1].kind == Kind::Accepted);
  CHECK(outcomes[2].kind == Kind::Accepted);
  CHECK(outcomes[2].ready.size() == 2);
  CHECK(world.store->balance(poor).available == dollars("0.5"));
  CHECK_FALSE(world.store->find_idempotent(poor, {"k", digest("3")}));
  std::string next;
  CHECK(world.store->jobs(poor, {}, next).size() == 2);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Jobs are listed newest first, page by page") {
  World world;
  std::vector<JobId> submitted;
  for (int i = 0; i < 5; ++i) submitted.push_back(world.submit_job());
  std::sort(submitted.rbegin(), submitted.rend());
  std::vector<JobId> listed;
  std::string next;
  sql::Page page{"", 2};
  do {
    for (const auto& row : world.store->jobs(world.renter, page, next)) listed.push_back(row.id);
    page.after = next;
  } while (!next.empty());
  CHECK(listed == submitted);
}

TEST_CASE("Text with quotes, backslashes and braces survives the way into an array") {
  World world;
  auto job = new_job(world.renter, world.random);
  job.document = R"({"label":"a \"quoted\" \\ {brace}, NULL , 'x'"})"
                 "\n\t\u00e9";
  REQUIRE(world.submit(job).kind == Kind::Accepted);
  CHECK(world.job(job.id).document == job.document);
}

TEST_CASE("A page of jobs leaves their documents where they are") {
  World world;
  world.submit_job();
  std::string next;
  CHECK(world.store->jobs(world.renter, {}, next).at(0).document.empty());
}

TEST_CASE("A job that no lease could carry is refused") {
  World world;
  auto job = new_job(world.renter, world.random);
  CHECK(sql::fits_a_lease(job).ok());
  SECTION("for its document") {
    job.document.resize(wire::kMaxJobDocumentBytes + 1, ' ');
  }
  SECTION("for the number of its inputs") {
    for (int i = 0; i < 20'000; ++i) job.inputs["input " + std::to_string(i)] = {{digest("x"), 0, 4}};
  }
  SECTION("for the pieces of one") {
    job.inputs["x"].resize(200'000);
  }
  SECTION("for all of it together") {
    for (int i = 0; i < 1'000; ++i) job.inputs["input " + std::to_string(i)].resize(200);
  }
  CHECK_FALSE(sql::fits_a_lease(job).ok());
  std::string code;
  sql::DatabasePool pool(world.target, 1, world.clock, world.random);
  CHECK(pool.submit({job.account, {job}, {}, "", 201}, [&](auto outcome) { code = outcome.problem().code; }));
  CHECK(code == "job_too_large");
}

TEST_CASE("The largest job that is taken is leased, and its lease fits a frame") {
  World world;
  auto job = new_job(world.renter, world.random, 2, 1);
  job.document.resize(wire::kMaxJobDocumentBytes, ' ');
  while (job.inputs["x"].size() < 40'000) job.inputs["x"].push_back({digest("x"), 1u << 30, 1u << 30});
  REQUIRE(sql::fits_a_lease(job).ok());
  REQUIRE(world.submit(job).kind == Kind::Accepted);
  const auto lease = world.lease(job.id, 0, world.first);
  CHECK(wire::encode_frames(wire::Leases{{lease}}).size() == 1);
}

}  // namespace quarry::test
