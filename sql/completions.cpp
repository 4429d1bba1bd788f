// How attempts and jobs end: completions, failures, cancels.
#include <algorithm>
#include <functional>

#include "sql/outputs.h"
#include "sql/pg_store.h"
#include "sql/stored_json.h"

namespace quarry::sql {
namespace {

constexpr auto kReadAttempts =
    joined("select ", kAttemptColumns,
           ", u.n, (select incarnation from cluster) "
           "from unnest($1::uuid[], $2::int4[], $3::int4[]) with ordinality u(job, segment, attempt, n) "
           "join attempt a on a.job = u.job and a.segment = u.segment and a.attempt = u.attempt");
// Lateral: as a join, the planner may walk all segments for each batch.
constexpr Statement kCarriedBefore =
    "select u.job, u.segment - 1, p.carried from unnest($1::uuid[], $2::int4[]) u(job, segment) cross join lateral "
    "(select s.carried from segment s where s.job = u.job and s.segment = u.segment - 1 and s.revision = 0 offset 0) p "
    "where u.segment > 0";
constexpr Statement kExpected =
    "select u.n, s.outputs from unnest($1::uuid[]) with ordinality u(job, n) join job_spec s on s.job = u.job "
    "where s.outputs is not null";
// The same typed failure before, on another box; or on this one, where no other box that is open could run the segment:
// then a second try tells as much as there is to learn.
constexpr Statement kFailedSoBefore =
    "select u.n from unnest($1::uuid[], $2::int4[], $3::int4[], $4::text[]) with ordinality u(job, segment, attempt, "
    "code, n) "
    "join attempt a on a.job = u.job and a.segment = u.segment and a.attempt = u.attempt "
    "join box_session here on here.id = a.session join job j on j.id = u.job "
    "where exists (select from attempt p join box_session there on there.id = p.session "
    "where p.job = u.job and p.segment = u.segment and p.attempt < u.attempt and p.failure_code = u.code and "
    "(there.box <> here.box or (u.code = any($5::text[]) and not exists (select from box_session o "
    "join device d on d.box = o.box join slice l on l.device = d.id where o.closed_at is null and o.box <> here.box "
    "and l.retired_at is null and l.memory_bytes >= j.memory_bound_bytes))))";
constexpr auto kCurrentAttempts =
    joined("select ", kAttemptColumns,
           " from unnest($1::uuid[]) u(job) join job j on j.id = u.job "
           "join attempt a on a.job = j.id and a.segment = j.segment and a.attempt = j.attempt");
// The box that a job without an accepted segment has kept busy for nothing: the one that runs it now, or the last one
// that it failed on by its own doing. Work that a box or the service lost is nobody's debt.
constexpr Statement kRanInVain =
    "select a.job, a.owner from unnest($1::uuid[]) u(job) cross join lateral (select * from attempt a where a.job = "
    "u.job and a.segment = 0 and (a.state in (0, 1, 2) or a.failure_code = any($2::text[])) order by a.state in (0, 1, "
    "2) desc, a.attempt desc limit 1) a";

/// The code of an attempt whose completion was not what its lease asked for.
constexpr std::string_view kRejected = "rejected";

/// Jobs and attempts that a batch of fences names, the jobs locked.
struct Named {
  uint64_t incarnation = 0;
  JobMap jobs;
  std::map<size_t, StoredAttempt> attempts;  ///< by position in the batch

  /// The attempt at position n while it is its job's current one and the fence is not stale; else nullptr.
  const StoredAttempt* current(size_t n, const wire::Fence& fence) {
    const StoredAttempt* attempt = known(n, fence);
    const auto job = jobs.find(fence.job);
    if (attempt == nullptr || !attempt->live() || job == jobs.end()) return nullptr;
    const bool is_current = job->second.state == JobState::Running && job->second.segment == fence.segment &&
                            job->second.attempt == fence.attempt && incarnation == fence.incarnation;
    return is_current ? attempt : nullptr;
  }
  /// The attempt at position n when the fence is its own, whatever became of it.
  const StoredAttempt* known(size_t n, const wire::Fence& fence) const {
    const auto attempt = attempts.find(n);
    return attempt != attempts.end() && attempt->second.fence() == fence ? &attempt->second : nullptr;
  }
};

struct FenceColumns {
  std::vector<JobId> jobs;
  std::vector<int32_t> segments, attempts;
  void add(const wire::Fence& fence) {
    jobs.push_back(fence.job);
    segments.push_back(fence.segment);
    attempts.push_back(fence.attempt);
  }
};

/// The reads of Named, queued.
struct NamedReads {
  Queued jobs, attempts;
};
NamedReads queue_named(Connection::Transaction& tx, const FenceColumns& columns) {
  const auto jobs = queue_locked_jobs(tx, columns.jobs);
  return {jobs, tx.queue(kReadAttempts, columns.jobs, columns.segments, columns.attempts)};
}
Named read_named(const Answers& answers, const NamedReads& reads) {
  Named named;
  named.jobs = locked_jobs(answers[reads.jobs]);
  const Rows& attempts = answers[reads.attempts];
  for (size_t row = 0; row < attempts.size(); ++row) {
    named.incarnation = attempts.get<uint64_t>(row, kAttemptColumnCount + 1);
    named.attempts[attempts.get<size_t>(row, kAttemptColumnCount) - 1] = read_row<StoredAttempt>(attempts, row);
  }
  return named;
}
/// Later items of the batch that name the same attempt see how this one ended.
void mark(Named& named, const wire::Fence& fence, AttemptState state) {
  for (auto& [n, attempt] : named.attempts)
    if (attempt.fence() == fence) attempt.state = state;
}

/// What the completions of a batch must bring, by position; absent for jobs of which that is not stored.
using ExpectedTexts = std::map<size_t, std::string_view>;

std::optional<std::string> reason_to_reject(const StoredJob& job, const ExpectedTexts& expected, size_t n,
                                            const wire::Completion& completion) {
  const auto text = expected.find(n);
  if (text == expected.end()) return why_inline_rejected(completion);
  const int64_t steps = segment_work(job, job.segment).steps;
  return why_rejected(segment_outputs(outputs_from_json(text->second), steps, job.last_segment()), completion);
}

/// Where each segment that is completed started from.
using CarriedBefore = std::map<std::pair<JobId, int32_t>, Values>;

/// Asks PostgreSQL at its first call only: nearly every batch has nothing to reject.
using CountAttempts = std::function<const AttemptCounts&()>;

/// Pays nothing; the segment is queued again, or the job has had all its attempts.
void reject(StoredJob& job, const StoredAttempt& attempt, const std::string& why, const AttemptCounts& counted,
            JobChanges& changes) {
  changes.end_attempt(attempt, {.state = AttemptState::Rejected,
                                .reason = EndReason::Rejected,
                                .code = std::string(kRejected),
                                .detail = why,
                                .schedules_hash = {}});
  if (may_try_again(job, EndReason::Rejected, counted))
    changes.requeue(job, EndReason::Rejected);
  else
    changes.end(job, JobState::Failed, EndReason::AttemptsExhausted, "no box delivered what was asked for", {});
}

CompletionOutcome complete_one(Named& named, size_t n, const wire::Completion& completion,
                               const ExpectedTexts& expected, const CountAttempts& counted,
                               const CarriedBefore& carried, JobChanges& changes) {
  CompletionOutcome outcome{};
  outcome.result.fence = completion.fence;
  outcome.result.code = "stale_fence";
  const auto found = named.jobs.find(completion.fence.job);
  if (found == named.jobs.end()) return outcome;
  StoredJob& job = found->second;
  const StoredAttempt* attempt = named.current(n, completion.fence);
  const StoredAttempt* known = named.known(n, completion.fence);
  const auto wrong = attempt == nullptr ? std::nullopt : reason_to_reject(job, expected, n, completion);
  if (wrong) {
    reject(job, *attempt, *wrong, counted(), changes);
    mark(named, completion.fence, AttemptState::Rejected);
    outcome.result.code = kRejected;
  } else if (attempt != nullptr) {
    const auto before = carried.find({job.id, job.segment - 1});
    changes.accept_segment(job, *attempt, completion, before == carried.end() ? Values() : before->second);
    mark(named, completion.fence, AttemptState::Accepted);
    outcome.result.accepted = true;
    outcome.result.code = "accepted";
  } else if (known != nullptr && known->state == AttemptState::Accepted) {
    outcome.result.accepted = true;
    outcome.result.code = "already_accepted";
  } else if (known != nullptr && known->state == AttemptState::Rejected) {
    outcome.result.code = kRejected;
  }
  outcome.job_ended = is_terminal(job.state);
  outcome.state = job.state;
  outcome.account = job.account;
  // Also for a repeat: the answer that named the next segment may have been lost.
  const bool goes_on = outcome.result.accepted && job.segment == completion.fence.segment + 1;
  const bool again = outcome.result.code == kRejected && job.segment == completion.fence.segment &&
                     job.attempt == completion.fence.attempt;
  if (job.state == JobState::Queued && (goes_on || again)) outcome.next = ready_job(job);
  return outcome;
}

/// Failures that are the graph's own doing when boxes of two owners meet them.
const std::vector<std::string> kGraphFailures{"graph_error", "executor_crashed", "time_limit", "out_of_memory"};
bool blames_graph(const std::string& code) {
  return std::find(kGraphFailures.begin(), kGraphFailures.end(), code) != kGraphFailures.end();
}
EndReason attempt_end_reason(const std::string& code) {
  if (code == "graph_error") return EndReason::GraphError;
  if (code == kRejected) return EndReason::Rejected;
  return code == "drained" || code == "cancelled" ? EndReason::Drained : EndReason::DeviceError;
}

FailureOutcome fail_one(Named& named, size_t n, const wire::AttemptFailure& failure, bool failed_so_before,
                        const AttemptCounts& counted, JobChanges& changes) {
  FailureOutcome outcome{};
  outcome.fence = failure.fence;
  const StoredAttempt* known = named.known(n, failure.fence);
  const auto found = named.jobs.find(failure.fence.job);
  if (const StoredAttempt* attempt = named.current(n, failure.fence)) {
    StoredJob& job = found->second;
    const std::string code = clean_text(failure.code, 64);
    const EndReason reason = attempt_end_reason(code);
    const bool rejected = code == kRejected;
    changes.end_attempt(*attempt, {.state = rejected ? AttemptState::Rejected : AttemptState::Failed,
                                   .reason = reason,
                                   .code = code,
                                   .detail = failure.detail,
                                   .schedules_hash = {}});
    if (failed_so_before && blames_graph(code))
      changes.end(job, JobState::Failed, EndReason::GraphError, code + ": " + failure.detail, attempt->owner);
    else if (!may_try_again(job, reason, counted))
      changes.end(job, JobState::Failed, EndReason::AttemptsExhausted, code + ": " + failure.detail, {});
    else
      changes.requeue(job, reason);
    mark(named, failure.fence, rejected ? AttemptState::Rejected : AttemptState::Failed);
  } else {
    outcome.stale =
        known == nullptr || (known->state != AttemptState::Failed && known->state != AttemptState::Rejected);
  }
  if (found == named.jobs.end()) return outcome;
  const StoredJob& job = found->second;
  outcome.job_ended = is_terminal(job.state);
  outcome.state = job.state;
  outcome.account = job.account;
  const bool still_here = job.segment == failure.fence.segment && job.attempt == failure.fence.attempt;
  if (!outcome.stale && job.state == JobState::Queued && still_here) outcome.next = ready_job(job);
  return outcome;
}

CancelOutcome cancel_one(JobMap& jobs, const std::map<JobId, StoredAttempt>& attempts,
                         const std::map<JobId, AccountId>& ran_in_vain, const CancelRequest& request,
                         JobChanges& changes) {
  const auto found = jobs.find(request.job);
  if (found == jobs.end() || found->second.account != request.account)
    return {CancelOutcome::Kind::NotFound, {}, {}, {}};
  StoredJob& job = found->second;
  if (is_terminal(job.state)) return {CancelOutcome::Kind::AlreadyEnded, job.state, {}, {}};
  CancelOutcome outcome{CancelOutcome::Kind::Cancelled, JobState::Cancelled, {}, {}};
  if (const auto attempt = attempts.find(job.id); attempt != attempts.end() && attempt->second.live()) {
    outcome.running = attempt->second.fence();
    outcome.session = attempt->second.session;
    changes.end_attempt(attempt->second, {.state = AttemptState::Cancelled,
                                          .reason = EndReason::Cancelled,
                                          .code = {},
                                          .detail = {},
                                          .schedules_hash = {}});
  }
  const auto ran = ran_in_vain.find(job.id);
  changes.end(job, JobState::Cancelled, EndReason::Cancelled, "",
              ran == ran_in_vain.end() ? std::nullopt : std::optional(ran->second));
  return outcome;
}

}  // namespace

std::vector<CompletionOutcome> PgStore::complete(const std::vector<wire::Completion>& batch) {
  return transact([&](Transaction& tx) {
    FenceColumns columns;
    for (const auto& completion : batch) columns.add(completion.fence);
    const NamedReads reads = queue_named(tx, columns);
    const auto before = tx.queue(kCarriedBefore, columns.jobs, columns.segments);
    const auto outputs = tx.queue(kExpected, columns.jobs);
    const Answers answers = tx.flush();
    Named named = read_named(answers, reads);
    ExpectedTexts expected;
    const Rows& texts = answers[outputs];
    for (size_t row = 0; row < texts.size(); ++row) expected[texts.get<size_t>(row, 0) - 1] = texts.text(row, 1);
    std::optional<AttemptCounts> counts;
    const CountAttempts counted = [&]() -> const AttemptCounts& {
      if (!counts) {
        const auto attempts = queue_counted_attempts(tx, columns.jobs);
        counts = counted_attempts(tx.flush()[attempts]);
      }
      return *counts;
    };
    CarriedBefore carried;
    const Rows& rows = answers[before];
    for (size_t row = 0; row < rows.size(); ++row)
      carried[{rows.get<JobId>(row, 0), rows.get<int32_t>(row, 1)}] = values_from_json(rows.text(row, 2));
    JobChanges changes;
    std::vector<CompletionOutcome> outcomes;
    for (size_t n = 0; n < batch.size(); ++n)
      outcomes.push_back(complete_one(named, n, batch[n], expected, counted, carried, changes));
    changes.write(tx, clock_.wall(), random_);
    return outcomes;
  });
}

std::vector<FailureOutcome> PgStore::fail(const std::vector<wire::AttemptFailure>& batch) {
  return transact([&](Transaction& tx) {
    FenceColumns columns;
    std::vector<std::string> codes;
    for (const auto& failure : batch) {
      columns.add(failure.fence);
      codes.push_back(clean_text(failure.code, 64));
    }
    const NamedReads reads = queue_named(tx, columns);
    const auto elsewhere = tx.queue(kFailedSoBefore, columns.jobs, columns.segments, columns.attempts, codes,
                                    std::vector<std::string>{"graph_error", "time_limit", "out_of_memory"});
    const auto attempts = queue_counted_attempts(tx, columns.jobs);
    const Answers answers = tx.flush();
    Named named = read_named(answers, reads);
    std::vector<bool> failed_so_before(batch.size());
    for (size_t row = 0; row < answers[elsewhere].size(); ++row)
      failed_so_before[answers[elsewhere].get<size_t>(row, 0) - 1] = true;
    const AttemptCounts counted = counted_attempts(answers[attempts]);
    JobChanges changes;
    std::vector<FailureOutcome> outcomes;
    for (size_t n = 0; n < batch.size(); ++n)
      outcomes.push_back(fail_one(named, n, batch[n], failed_so_before[n], counted, changes));
    changes.write(tx, clock_.wall(), random_);
    return outcomes;
  });
}

std::vector<CancelOutcome> PgStore::cancel(const std::vector<CancelRequest>& batch) {
  return transact([&](Transaction& tx) {
    std::vector<JobId> ids;
    for (const auto& request : batch) ids.push_back(request.job);
    const auto locked = queue_locked_jobs(tx, ids);
    const auto current = tx.queue(kCurrentAttempts, ids);
    const auto vain = tx.queue(kRanInVain, ids, kGraphFailures);
    const Answers answers = tx.flush();
    JobMap jobs = locked_jobs(answers[locked]);
    std::map<JobId, StoredAttempt> attempts;
    for (size_t row = 0; row < answers[current].size(); ++row) {
      const auto attempt = read_row<StoredAttempt>(answers[current], row);
      attempts[attempt.job] = attempt;
    }
    std::map<JobId, AccountId> ran_in_vain;
    for (size_t row = 0; row < answers[vain].size(); ++row)
      ran_in_vain[answers[vain].get<JobId>(row, 0)] = answers[vain].get<AccountId>(row, 1);
    JobChanges changes;
    std::vector<CancelOutcome> outcomes;
    for (const auto& request : batch) outcomes.push_back(cancel_one(jobs, attempts, ran_in_vain, request, changes));
    changes.write(tx, clock_.wall(), random_);
    return outcomes;
  });
}

}  // namespace quarry::sql
