#include "tests/sql/fixture.h"

#include <libpq-fe.h>

namespace quarry::test {
namespace {

std::unique_ptr<PGconn, decltype(&PQfinish)> connect(const std::string& target) {
  return {PQconnectdb(target.c_str()), PQfinish};
}

}  // namespace

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

wire::Produced produced(const std::string& name, std::string_view content) {
  return {name, digest(content), content.size(), bytes_of(content)};
}

sql::NewJob new_job(AccountId account, RandomSource& random, int64_t steps, int64_t steps_per_segment) {
  sql::NewJob job;
  job.id = JobId::make(SystemClock().wall(), random);
  job.account = account;
  job.graph = digest("graph");
  job.document = R"({"version":1,"stages":[{"keep":{"loss":"each","w":"last"}}]})";
  job.step = {{1'000'000}, {0}, {2'000'000}, {0}, 1'000, 2};
  job.memory_bound_bytes = 4'096;
  job.steps = steps;
  job.steps_per_segment = steps_per_segment;
  job.prices.per_pflop = dollars("1");
  job.limit = dollars("1");
  job.inputs["x"] = {{digest("x"), 8, 16}};
  return job;
}

Money full_price(const sql::NewJob& job) {
  Money total;
  for (int64_t done = 0; done < job.steps; done += job.steps_per_segment) {
    const int64_t steps = std::min(job.steps_per_segment, job.steps - done);
    market::Work work;
    work.metered = {static_cast<UInt128>(steps) * (2'000'000 + 64 * 1'000 + 2 * 100'000'000ull) +
                    (done == 0 ? 10'000'000'000ull : 0)};
    total += market::charge(work, job.prices)->renter;
  }
  return total;
}

World::World(const std::string& database) : target(database), store(sql::Store::open(database, clock, random)) {
  renter = add_account("renter");
  store->deposit(renter, dollars("1000"), "opening");
  first = add_box("first");
  second = add_box("second");
  leader_epoch = store->try_lead("leader", "127.0.0.1:1", std::chrono::minutes(5)).epoch;
}

AccountId World::add_account(const std::string& name) {
  return create_account(*store, name, clock.wall(), random);
}

World::Box World::add_box(const std::string& name) {
  Box box;
  box.owner = add_account(name);
  box.id = store->create_box(box.owner, name, digest("claim " + name));
  REQUIRE(store->claim_box(digest("claim " + name), digest("key " + name)));
  wire::Hello hello;
  hello.devices = {
      {"opencl:0", "PoCL", "opencl", "3.1", 1u << 30, 2, {{"f32_flops_per_s", 1e11}}, {{0, 0, 2, 1u << 30}}}};
  hello.slots_per_slice = 8;
  box.session = store->open_session(box.id, hello);
  return box;
}

sql::SubmitOutcome World::submit(const sql::NewJob& job, const std::string& key, const std::string& request) {
  sql::Submission submission;
  submission.account = job.account;
  submission.jobs = {job};
  submission.idempotency = {key, digest(request)};
  submission.answer = "answer to " + request;
  return store->submit({submission}).at(0);
}

JobId World::submit_job(int64_t steps, int64_t steps_per_segment) {
  const auto job = new_job(renter, random, steps, steps_per_segment);
  REQUIRE(submit(job).kind == sql::SubmitOutcome::Kind::Accepted);
  return job.id;
}

std::vector<wire::Lease> World::try_lease(JobId job, int32_t segment, const Box& box) {
  return store->lease(leader_epoch, {{job, segment, box.session.session, box.slice()}});
}

wire::Lease World::lease(JobId job, int32_t segment, const Box& box) {
  auto leases = try_lease(job, segment, box);
  REQUIRE(leases.size() == 1);
  return leases[0];
}

wire::Completion World::completion(const wire::Lease& lease, std::string_view content) const {
  wire::Completion completion;
  completion.fence = lease.fence;
  completion.kept = {produced("loss", std::string("loss ") + std::string(content)), produced("w", content)};
  if (!lease.last_segment) completion.carried = {produced("x", std::string("carried ") + std::string(content))};
  return completion;
}

sql::CompletionOutcome World::complete(const wire::Completion& completion) {
  return store->complete({completion}).at(0);
}
sql::FailureOutcome World::fail(const wire::Fence& fence, const std::string& code, const std::string& detail) {
  return store->fail({{fence, code, detail}}).at(0);
}
sql::CancelOutcome World::cancel(JobId job) {
  return store->cancel({{renter, job}}).at(0);
}

sql::JobRow World::job(JobId id) {
  auto row = store->job(renter, id);
  REQUIRE(row);
  return *row;
}

std::vector<std::string> World::event_kinds(JobId id) {
  std::vector<std::string> kinds;
  for (const auto& event : store->job_events_after(renter, id, 0, 100)) kinds.push_back(event.kind);
  return kinds;
}

std::string World::execute(const std::string& statement) {
  const auto session = connect(target);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(session.get(), statement.c_str()), PQclear);
  return PQresultErrorMessage(result.get());
}

std::string World::ask(const std::string& query) {
  const auto session = connect(target);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(session.get(), query.c_str()), PQclear);
  INFO(PQresultErrorMessage(result.get()));
  REQUIRE(PQntuples(result.get()) > 0);
  return PQgetvalue(result.get(), 0, 0);
}

}  // namespace quarry::test
