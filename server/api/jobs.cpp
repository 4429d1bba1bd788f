#include <chrono>

#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/inline_results.h"
#include "server/api/quote_token.h"
#include "server/json_reader.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

constexpr std::chrono::milliseconds kReread{1'000};  ///< how soon a change made through another server is seen

Problem job_missing(const std::string& text) {
  return {"job_not_found", "there is no job " + text.substr(0, 64), "", "see GET /v1/jobs"};
}

using Fields = std::map<std::string, std::string_view>;

Result<std::optional<QuoteTerms>> quote_given(const Service& service, const Fields& body, const std::string& base) {
  const auto token = body.find("quote");
  if (token == body.end() || token->second == "null") return std::optional<QuoteTerms>();
  QUARRY_ASSIGN(const std::string text, read_string(token->second, base + "/quote"));
  auto quoted = read_quote(text, service.settings.quote_key, service.clock.wall());
  if (quoted) return std::optional(std::move(*quoted));
  Problem problem = quoted.problem();
  problem.pointer = base + "/quote";
  return problem;
}

/// A quote or a limit given with a job: the quote's prices hold, and neither may be below what the job can cost.
Status apply_terms(AccountId account, const Fields& body, const std::optional<QuoteTerms>& terms, JobPlan& plan,
                   const std::string& base) {
  if (terms) {
    if (terms->account != account || terms->job_sha256 != sha256(plan.row.document))
      return Problem{"quote_invalid", "the quote is for another job or account", base + "/quote",
                     "ask for a quote of this job"};
    plan.row.prices = terms->prices;
    QUARRY_ASSIGN(plan.quote, market::quote(plan.work, terms->prices, plan.segments));
    plan.row.limit = terms->limit;
  }
  if (const auto given = body.find("limit"); given != body.end() && given->second != "null") {
    QUARRY_ASSIGN(const std::string text, read_string(given->second, base + "/limit"));
    const auto limit = Money::parse(text);
    if (!limit)
      return Problem{"bad_amount", "limit is not a decimal amount", base + "/limit",
                     "send dollars as a string, e.g. \"0.25\""};
    if (*limit < plan.row.limit)
      return Problem{"limit_too_low",
                     "the job may cost " + plan.row.limit.to_string() + ", over the limit " + limit->to_string(),
                     base + "/limit", "raise the limit, or run less"};
  }
  return {};
}

Awaitable<Result<JobPlan>> plan_submitted(Service& service, AccountId account, std::string_view json,
                                          std::string base) {
  QUARRY_CO_ASSIGN(const auto body, read_object(json, {"job", "quote", "limit"}, base));
  if (!body.contains("job"))
    co_return Problem{"missing_field", "the field 'job' is missing", base + "/job", "add the job document"};
  QUARRY_CO_ASSIGN(const std::optional<QuoteTerms> terms, quote_given(service, body, base));
  const meter::Tariff tariff = terms ? terms->tariff : meter::kNewestTariff;
  QUARRY_CO_ASSIGN(JobPlan plan, co_await plan_job(service, account, body.at("job"), base + "/job", tariff));
  QUARRY_CO_TRY(apply_terms(account, body, terms, plan, base));
  plan.row.id = JobId::make(service.clock.wall(), service.random);
  co_return plan;
}

http::Response insufficient(const sql::SubmitOutcome& outcome) {
  return refusal(
      {"insufficient_balance",
       "the account has " + outcome.available.to_string() + " available, " + outcome.needed.to_string() + " is needed",
       "", "add credit, or run less"});
}

/// Commits the jobs in one group with whatever else waits, tells the scheduler, answers.
Awaitable<http::Response> submit(Service& service, sql::Submission submission) {
  const size_t count = submission.jobs.size();
  std::string answer = submission.answer;
  uint64_t result_bytes = 0;
  for (const sql::NewJob& job : submission.jobs) result_bytes += job.bytes_out;
  const bool room = co_await service.room.take(result_bytes);
  if (!room)
    co_return refusal(
        {"no_space", "the service has no room now for what these jobs would keep", "", "try again later"});
  // Stays taken when the database does not answer: the jobs may be there.
  const sql::SubmitOutcome outcome = co_await service.database.submit(std::move(submission));
  const bool accepted = outcome.kind == sql::SubmitOutcome::Kind::Accepted;
  accepted ? service.room.accepted(result_bytes) : service.room.refused(result_bytes);
  switch (outcome.kind) {
    case sql::SubmitOutcome::Kind::Accepted:
      break;
    case sql::SubmitOutcome::Kind::Repeated:
      co_return http::Response::json(outcome.answer_status, outcome.answer);
    case sql::SubmitOutcome::Kind::KeyReused:
      co_return refusal(
          {"idempotency_key_reused", "this Idempotency-Key came with another request before", "", "use a new key"});
    case sql::SubmitOutcome::Kind::InsufficientBalance:
      co_return insufficient(outcome);
  }
  service.metrics.jobs_submitted += count;
  service.dispatch.jobs_ready(outcome.ready);
  co_return http::Response::json(201, std::move(answer));
}

sql::Submission submission_of(Call& call) {
  sql::Submission submission;
  submission.account = call.account;
  submission.idempotency = call.idempotency;
  return submission;
}

/// The outputs that a stored job keeps; empty when its graph cannot be read.
Awaitable<std::vector<OutputInfo>> outputs_of(Service& service, const sql::JobRow& job) {
  const auto graph = co_await service.catalog.graph(job.graph);
  const auto document = graph::parse_job(job.document);
  if (!graph || !document) co_return std::vector<OutputInfo>{};
  auto outputs = job_outputs(*document, graph->normal.graph, job.steps);
  if (!outputs) co_return std::vector<OutputInfo>{};
  co_return std::move(*outputs);
}

Awaitable<http::Response> job_answer(Service& service, const sql::JobRow& job, int status = 200,
                                     bool with_results = false, bool with_reason = false) {
  const auto outputs = co_await outputs_of(service, job);
  std::map<std::string, std::string> data;
  if (with_results) data = co_await inline_results(service, job, outputs);
  std::optional<std::string> why;
  if (with_reason && job.state == JobState::Queued) why = co_await service.dispatch.why_waiting(job.id);
  JsonWriter json;
  write_job(json, job, &outputs, service.hub.current(job.id), data, why.value_or(""));
  co_return http::Response::json(status, json.take());
}

/// The job once it has ended, or as it is when `wait` is over; nullopt when there is none. `changes` was subscribed
/// before anything was read, so that a change between the two wakes the wait; nullptr without one.
Awaitable<std::optional<sql::JobRow>> job_at_its_end(Service& service, AccountId account, std::string key_id, JobId id,
                                                     std::chrono::seconds wait,
                                                     std::unique_ptr<Hub::Subscription> changes) {
  const auto until = std::chrono::steady_clock::now() + wait;
  for (;;) {
    auto job = co_await service.database.run([account, id](sql::JobStore& store) { return store.job(account, id); });
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (!job || is_terminal(job->state) || left.count() <= 0) co_return job;
    // That it was leased is no reason to read it again.
    const auto reread = std::chrono::steady_clock::now() + std::min(left, kReread);
    for (auto now = std::chrono::steady_clock::now(); now < reread && !changes->take_ended();
         now = std::chrono::steady_clock::now())
      co_await changes->wait(std::chrono::ceil<std::chrono::milliseconds>(reread - now));
    const bool good = co_await service.keys.is_good(key_id);
    if (!good) throw http::RequestFailed{401, Keys::unauthorized()};  // revoked meanwhile
  }
}

}  // namespace

Awaitable<http::Response> post_job(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const std::chrono::seconds wait, wait_of(call.request));
  QUARRY_ANSWER_ASSIGN(const bool with_results, wants_inline_results(call.request));
  QUARRY_ANSWER_ASSIGN(JobPlan plan, co_await plan_submitted(service, call.account, call.body, ""));
  const JobId id = plan.row.id;
  auto changes = wait.count() > 0 ? service.hub.subscribe(id) : nullptr;
  JsonWriter json;
  write_job(json, queued_row(plan, service.clock.wall()), &plan.outputs, std::nullopt);
  sql::Submission submission = submission_of(call);
  submission.answer = json.take();
  submission.jobs.push_back(std::move(plan.row));
  http::Response submitted = co_await submit(service, std::move(submission));
  if (wait.count() == 0 || submitted.status != 201) co_return submitted;
  call.release_body();
  const auto job = co_await job_at_its_end(service, call.account, call.key_id, id, wait, std::move(changes));
  if (!job) co_return submitted;  // a repeated submit: the job is the first one's
  co_return co_await job_answer(service, *job, 201, with_results);
}

Awaitable<http::Response> post_job_batch(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const auto body, read_object(call.body, {"jobs"}));
  if (!body.contains("jobs"))
    co_return refusal({"missing_field", "the field 'jobs' is missing", "/jobs", "add the list of jobs"});
  QUARRY_ANSWER_ASSIGN(const auto items, read_array(body.at("jobs"), kMaxJobsPerRequest, "/jobs"));
  if (items.empty()) co_return refusal({"missing_field", "there are no jobs in the list", "/jobs", "add at least one"});
  sql::Submission submission = submission_of(call);
  const WallTime now = service.clock.wall();
  JsonWriter json;
  json.begin_object().key("jobs").begin_array();
  for (size_t i = 0; i < items.size(); ++i) {
    QUARRY_ANSWER_ASSIGN(JobPlan plan,
                         co_await plan_submitted(service, call.account, items[i], "/jobs/" + std::to_string(i)));
    write_job(json, queued_row(plan, now), &plan.outputs, std::nullopt);
    submission.jobs.push_back(std::move(plan.row));
  }
  json.end_array().end_object();
  submission.answer = json.take();
  co_return co_await submit(service, std::move(submission));
}

Awaitable<http::Response> list_jobs(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const sql::Page page, page_of(call.request));
  const auto read = [account = call.account, page](sql::JobStore& store) {
    std::string after;
    auto found = store.jobs(account, page, after);
    return std::pair(std::move(found), std::move(after));
  };
  auto [rows, next] = co_await service.database.run(read);
  JsonWriter json;
  json.begin_object().key("jobs").begin_array();
  for (const sql::JobRow& job : rows) write_job(json, job, nullptr, service.hub.current(job.id));
  json.end_array();
  write_next(json, next);
  json.end_object();
  co_return http::Response::json(200, json.take());
}

Awaitable<http::Response> get_job(Service& service, Call& call) {
  const auto id = JobId::parse(call.arguments.at(0));
  if (!id) co_return refusal(job_missing(call.arguments.at(0)));
  QUARRY_ANSWER_ASSIGN(const std::chrono::seconds wait, wait_of(call.request));
  QUARRY_ANSWER_ASSIGN(const bool with_results, wants_inline_results(call.request));
  auto changes = wait.count() > 0 ? service.hub.subscribe(*id) : nullptr;
  const auto job = co_await job_at_its_end(service, call.account, call.key_id, *id, wait, std::move(changes));
  if (!job) co_return refusal(job_missing(call.arguments.at(0)));
  co_return co_await job_answer(service, *job, 200, with_results, true);
}

Awaitable<http::Response> delete_job(Service& service, Call& call) {
  const auto id = JobId::parse(call.arguments.at(0));
  if (!id) co_return refusal(job_missing(call.arguments.at(0)));
  const sql::CancelOutcome outcome = co_await service.database.cancel({call.account, *id});
  if (outcome.kind == sql::CancelOutcome::Kind::NotFound) co_return refusal(job_missing(call.arguments.at(0)));
  if (outcome.kind == sql::CancelOutcome::Kind::Cancelled) {
    service.dispatch.job_cancelled(*id, outcome);
    service.hub.ended(*id);
  }
  const auto job = co_await service.database.run(
      [account = call.account, job_id = *id](sql::JobStore& store) { return store.job(account, job_id); });
  if (!job) co_return refusal(job_missing(call.arguments.at(0)));
  co_return co_await job_answer(service, *job);
}

}  // namespace quarry::server
