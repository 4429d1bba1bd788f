// Submissions and what is read of jobs.
#include <algorithm>
#include <set>

#include "sql/cursors.h"
#include "sql/outputs.h"
#include "sql/pg_store.h"
#include "sql/stored_json.h"

namespace quarry::sql {
namespace {

// An account's submissions are decided under the lock of its balances: the same account cannot spend twice, nor use a
// key twice.
constexpr Statement kLockBalances =
    "select b.account, b.book, b.amount, micros(business_now()) from unnest($1::uuid[]) u(account) join balance b on "
    "b.account = u.account and b.book in (0, 1) "
    "order by b.account, b.book for update of b";
constexpr Statement kKnownJobs =
    "select u.n from unnest($1::uuid[], $2::uuid[]) with ordinality u(id, account, n) join job j on j.id = u.id and "
    "j.account = u.account";
#define QUARRY_OLDEST_ANSWER "business_now() - interval '48 hours'"  // younger ones are honoured
constexpr Statement kKnownKeys =
    "select u.n, i.request_sha256, i.status, i.answer from unnest($1::uuid[], $2::text[]) with ordinality u(account, "
    "key, n) "
    "join idempotency i on i.account = u.account and i.key = u.key and i.created_at > " QUARRY_OLDEST_ANSWER;
constexpr Statement kInsertKeys =
    "insert into idempotency (account, key, request_sha256, status, answer, created_at) "
    "select u.*, t.now from unnest($1::uuid[], $2::text[], $3::bytea[], $4::int4[], $5::text[]) u, (select "
    "business_now() as now) t "
    "on conflict (account, key) do update set request_sha256 = excluded.request_sha256, status = excluded.status, "
    "answer = excluded.answer, created_at = excluded.created_at where idempotency.created_at <= " QUARRY_OLDEST_ANSWER;
// Until the commit: `recent` does not rise past these jobs while they cannot be seen. Its own statement, before the
// one that looks at `recent`.
constexpr Statement kHoldRecent = "select pg_advisory_xact_lock_shared(4242002)";
// Beside the jobs, what only a lease reads of them; and an id older than those that are looked for (tests, badly set
// clocks) pulls `recent` down. One statement: each costs 30-50 us to bind and to start.
constexpr auto kInsertJobs = written([](TextWriter& out) {
  constexpr int kColumns = column_count<StoredJob, inserted>();
  out << "with specs as (insert into job_spec (job, document, inputs, outputs) select * from unnest($1::uuid[], $"
      << kColumns + 1 << "::text[], $" << kColumns + 2 << "::text[], $" << kColumns + 4
      << "::text[])), lowered as (update queue_floor set floor = least(floor, $" << kColumns + 3
      << "), recent = least(recent, $" << kColumns + 3 << ") where floor > $" << kColumns + 3 << " or recent > $"
      << kColumns + 3 << ") insert into job (" << view(column_names<StoredJob, inserted>())
      << ", submitted_at, state) select u.*, t.now, 1 from unnest(" << view(column_parameters<StoredJob, inserted>())
      << ") u, (select business_now() as now) t";
});

constexpr auto kJob =
    joined("select ", kJobColumns,
           ", coalesce(s.document, ''), coalesce(j.ended_at + $3::int4 * interval '1 hour' <= business_now(), false) "
           "from job j left join job_spec s on s.job = j.id where j.account = $1 and j.id = $2");
constexpr auto kJobs =
    joined("select ", kJobColumns, " from job j where j.account = $1 and j.id < $2 order by j.id desc limit $3");
constexpr Statement kOutputs = "select outputs from segment s where s.job = $1 and s.revision = 0 order by s.segment";
constexpr Statement kFindKey =
    "select request_sha256, status, answer from idempotency "
    "where account = $1 and key = $2 and created_at > " QUARRY_OLDEST_ANSWER;
constexpr Statement kForgetAnswers =
    "with old as (select account, key from idempotency where created_at <= " QUARRY_OLDEST_ANSWER
    " order by created_at limit $1 for update skip locked), "
    "gone as (delete from idempotency i using old where i.account = old.account and i.key = old.key returning 1) "
    "select count(*) from gone";

// Open jobs are recent ones or among the old ones: see the migration 0010_recent_jobs.
constexpr Statement kOpenResultBytes =
    "select coalesce(sum(o.bytes_out), 0)::int8 from (select j.bytes_out from job j where j.id >= (select recent from "
    "queue_floor) and j.state in (0, 1, 2, 3) union all select j.bytes_out from old_job o join job j on j.id = o.job "
    "where j.id < (select recent from queue_floor) and j.state in (0, 1, 2, 3)) o";

using Kind = SubmitOutcome::Kind;

SubmitOutcome repeated(const Idempotency& asked, const Digest& stored, int status, std::string answer) {
  SubmitOutcome outcome{};
  outcome.kind = stored == asked.request_sha256 ? Kind::Repeated : Kind::KeyReused;
  if (outcome.kind == Kind::Repeated) {
    outcome.answer = std::move(answer);
    outcome.answer_status = status;
  }
  return outcome;
}

StoredJob stored(const NewJob& job, WallTime now) {
  StoredJob out;
  static_cast<JobTerms&>(out) = job;
  out.submitted_at = now;
  return out;
}

/// One batch of submissions: decided in order, written together.
class SubmitBatch {
 public:
  explicit SubmitBatch(const std::vector<Submission>& batch) : batch_(batch), outcomes_(batch.size()) {}

  void read(Connection::Transaction& tx);
  void decide();
  void write(Connection::Transaction& tx, WallTime now, RandomSource& random);
  std::vector<SubmitOutcome> take() { return std::move(outcomes_); }

 private:
  SubmitOutcome decide_one(size_t n);
  void queue_jobs(Connection::Transaction& tx) const;
  void queue_keys(Connection::Transaction& tx) const;

  const std::vector<Submission>& batch_;
  std::vector<SubmitOutcome> outcomes_;
  std::vector<size_t> accepted_;  ///< newly, in order
  WallTime now_;                  ///< business time of this transaction, the jobs' submitted_at
  std::map<AccountId, Money> available_;
  std::set<size_t> known_;                 ///< submissions whose jobs exist: the answer to their commit was lost
  std::map<size_t, SubmitOutcome> keyed_;  ///< submissions whose key has an answer
  std::map<std::pair<AccountId, std::string>, size_t> keys_in_batch_;
};

void SubmitBatch::read(Connection::Transaction& tx) {
  std::set<AccountId> distinct;
  std::vector<AccountId> accounts;
  std::vector<JobId> first_jobs;
  std::vector<std::string> keys;
  for (const auto& submission : batch_) {
    distinct.insert(submission.account);
    accounts.push_back(submission.account);
    first_jobs.push_back(submission.jobs.empty() ? JobId{} : submission.jobs.front().id);
    keys.push_back(submission.idempotency.key);
  }
  const auto locked = tx.queue(kLockBalances, std::vector<AccountId>(distinct.begin(), distinct.end()));
  const auto known_jobs = tx.queue(kKnownJobs, first_jobs, accounts);
  const auto known_keys = tx.queue(kKnownKeys, accounts, keys);
  const Answers answers = tx.flush();
  const Rows &balances = answers[locked], &jobs = answers[known_jobs], &answered = answers[known_keys];
  for (size_t row = 0; row < balances.size(); ++row) {
    now_ = balances.get<WallTime>(row, 3);
    if (balances.get<market::Book>(row, 1) == market::Book::Available)
      available_[balances.get<AccountId>(row, 0)] = balances.get<Money>(row, 2);
  }
  for (size_t row = 0; row < jobs.size(); ++row) known_.insert(jobs.get<size_t>(row, 0) - 1);
  for (size_t row = 0; row < answered.size(); ++row) {
    const size_t n = answered.get<size_t>(row, 0) - 1;
    if (batch_[n].idempotency.key.empty()) continue;
    keyed_[n] = repeated(batch_[n].idempotency, answered.get<Digest>(row, 1), answered.get<int32_t>(row, 2),
                         answered.get<std::string>(row, 3));
  }
}

void SubmitBatch::decide() {
  for (size_t n = 0; n < batch_.size(); ++n) outcomes_[n] = decide_one(n);
}

SubmitOutcome SubmitBatch::decide_one(size_t n) {
  const Submission& submission = batch_[n];
  SubmitOutcome outcome{};
  outcome.kind = Kind::Accepted;
  if (const auto keyed = keyed_.find(n); keyed != keyed_.end() && !known_.contains(n)) return keyed->second;
  for (const auto& job : submission.jobs) outcome.ready.push_back(ready_job(stored(job, now_)));
  if (known_.contains(n)) return outcome;
  const std::pair key(submission.account, submission.idempotency.key);
  if (!key.second.empty()) {
    if (const auto earlier = keys_in_batch_.find(key); earlier != keys_in_batch_.end()) {
      const Submission& first = batch_[earlier->second];
      return repeated(submission.idempotency, first.idempotency.request_sha256, first.answer_status, first.answer);
    }
  }
  for (const auto& job : submission.jobs) outcome.needed += job.limit;
  Money& available = available_[submission.account];
  outcome.available = available;
  if (outcome.needed > available) {
    outcome.kind = Kind::InsufficientBalance;
    outcome.ready.clear();
    return outcome;
  }
  available -= outcome.needed;
  accepted_.push_back(n);
  if (!key.second.empty()) keys_in_batch_[key] = n;
  return outcome;
}

void SubmitBatch::write(Connection::Transaction& tx, WallTime now, RandomSource& random) {
  if (accepted_.empty()) return;
  LedgerChanges ledger;
  EventChanges events;
  bool any = false;
  for (const size_t n : accepted_) {
    for (const auto& job : batch_[n].jobs) {
      ledger.add({.kind = market::EventKind::Reserve,
                  .renter = job.account,
                  .owner = {},
                  .operator_account = kOperatorAccount,
                  .amount = job.limit,
                  .charge = {}},
                 job.id, kWholeJob);
      events.add(job.account, job.id, "job.queued", payload({{"segment", "0"}}));
      any = true;
    }
  }
  ledger.assign_ids(now, random);
  queue_keys(tx);
  if (!any) return;
  queue_jobs(tx);
  ledger.queue(tx);
  events.queue(tx);
}

void SubmitBatch::queue_keys(Connection::Transaction& tx) const {
  std::vector<AccountId> accounts;
  std::vector<std::string> keys, answers;
  std::vector<Digest> digests;
  std::vector<int> statuses;
  for (const size_t n : accepted_) {
    const Submission& submission = batch_[n];
    if (submission.idempotency.key.empty()) continue;
    accounts.push_back(submission.account);
    keys.push_back(submission.idempotency.key);
    digests.push_back(submission.idempotency.request_sha256);
    statuses.push_back(submission.answer_status);
    answers.push_back(submission.answer);
  }
  if (!keys.empty()) tx.queue(kInsertKeys, accounts, keys, digests, statuses, answers);
}

void SubmitBatch::queue_jobs(Connection::Transaction& tx) const {
  ColumnArrays<inserted> arrays;
  std::vector<std::string> documents, inputs;
  std::vector<std::optional<std::string>> outputs;
  std::optional<JobId> least;
  for (const size_t n : accepted_) {
    for (const auto& job : batch_[n].jobs) {
      arrays.add(stored(job, now_));
      documents.push_back(job.document);
      inputs.push_back(inputs_to_json(job.inputs));
      outputs.push_back(job.outputs ? std::optional(outputs_to_json(*job.outputs)) : std::nullopt);
      least = least ? std::min(*least, job.id) : job.id;
    }
  }
  auto params = arrays.take();
  params.insert(params.end(), {to_param(documents), to_param(inputs), to_param(least), to_param(outputs)});
  tx.queue(kHoldRecent);
  tx.queue_params(kInsertJobs, std::move(params));
}

JobRow row_from(const Rows& rows, size_t row) {
  JobRow out;
  static_cast<StoredJob&>(out) = read_row<StoredJob>(rows, row);
  out.metered = job_metered(out);
  return out;
}

/// A value kept "each" is its segments' pieces in order; one kept "last" is the newest.
std::vector<OutputRow> outputs_from(const Rows& segments, const std::string& document) {
  const auto each = outputs_kept_each(document);
  std::map<std::string, std::vector<wire::Extent>> outputs;
  for (size_t row = 0; row < segments.size(); ++row) {
    for (const auto& [name, value] : values_from_json(segments.text(row, 0))) {
      auto& extents = outputs[name];
      if (std::find(each.begin(), each.end(), name) == each.end()) extents.clear();
      extents.push_back({value.blob, 0, value.bytes});
    }
  }
  std::vector<OutputRow> list;
  for (auto& [name, extents] : outputs) list.push_back({name, std::move(extents)});
  return list;
}

}  // namespace

Status fits_a_lease(const NewJob& job) {
  constexpr size_t kSmallDocument = 64 << 10, kFew = 64;  // far inside of every limit: the rule
  constexpr size_t kCarriedBytes = 96,
                   kFenceBytes = 1'024;  // what a later segment's lease may have more, an input and in all
  const bool few =
      job.inputs.size() <= kFew &&
      std::all_of(job.inputs.begin(), job.inputs.end(), [](const auto& input) { return input.second.size() <= kFew; });
  const bool few_outputs = !job.outputs || job.outputs->kept.size() + job.outputs->carried.size() <= kFew;
  if (few && few_outputs && job.document.size() <= kSmallDocument) return {};
  wire::Lease lease;
  lease.job_document = job.document;
  lease.inputs = job.inputs;
  if (job.outputs) {
    lease.outputs = segment_outputs(*job.outputs, 1, true);
    for (const auto& [name, value] : job.outputs->carried) lease.outputs->push_back({name, value, true});
  }
  size_t bytes = kFenceBytes + kCarriedBytes * job.inputs.size();
  try {
    bytes += wire::encode(wire::Leases{{std::move(lease)}}).size();
  } catch (const std::length_error&) {
    bytes = SIZE_MAX;
  }
  if (bytes <= wire::kMaxFrameBytes) return {};
  return Problem{"job_too_large",
                 "the job's document and inputs do not fit into a message to a box: at most 4 MiB of document, 16,384 "
                 "inputs, results of 131,072 segments an input, and 8 MiB in all",
                 "", "name fewer inputs, or shorter ones"};
}

std::vector<SubmitOutcome> PgStore::submit(const std::vector<Submission>& batch) {
  return transact([&](Transaction& tx) {
    SubmitBatch submissions(batch);
    submissions.read(tx);
    submissions.decide();
    submissions.write(tx, clock_.wall(), random_);
    return submissions.take();
  });
}

std::optional<JobRow> PgStore::job(AccountId account, JobId job) {
  return transact([&](Transaction& tx) -> std::optional<JobRow> {
    const auto read = tx.queue(kJob, account, job, kRetentionHours);
    const auto outputs = tx.queue(kOutputs, job);
    const Answers answers = tx.flush_and_commit();
    const Rows& rows = answers[read];
    if (rows.empty()) return std::nullopt;
    JobRow found = row_from(rows, 0);
    found.document = rows.get<std::string>(0, kJobColumnCount);
    found.results_expired = rows.get<bool>(0, kJobColumnCount + 1);
    if (!found.results_expired) found.outputs = outputs_from(answers[outputs], found.document);
    return found;
  });
}

std::vector<JobRow> PgStore::jobs(AccountId account, const Page& page, std::string& next) {
  const JobId before = read_job_cursor(page.after);
  const int32_t limit = std::clamp(page.limit, 1, kMaxPage);
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kJobs, account, before, limit + 1);
    std::vector<JobRow> list;
    next.clear();
    for (size_t row = 0; row < rows.size() && row < static_cast<size_t>(limit); ++row)
      list.push_back(row_from(rows, row));
    if (rows.size() > list.size()) next = list.back().id.to_string();
    return list;
  });
}

std::optional<SubmitOutcome> PgStore::find_idempotent(AccountId account, const Idempotency& idempotency) {
  return transact([&](Transaction& tx) -> std::optional<SubmitOutcome> {
    const auto found = tx.queue(kFindKey, account, idempotency.key);
    const Rows rows = tx.flush_and_commit()[found];
    if (rows.empty()) return std::nullopt;
    return repeated(idempotency, rows.get<Digest>(0, 0), rows.get<int32_t>(0, 1), rows.get<std::string>(0, 2));
  });
}

void PgStore::store_idempotent(AccountId account, const Idempotency& idempotency, int status,
                               const std::string& answer) {
  transact([&](Transaction& tx) {
    tx.queue(kInsertKeys, std::vector{account}, std::vector{idempotency.key}, std::vector{idempotency.request_sha256},
             std::vector{status}, std::vector{answer});
  });
}

uint64_t PgStore::open_result_bytes() {
  return transact(
      [&](Transaction& tx) { return static_cast<uint64_t>(tx.query(kOpenResultBytes).get<int64_t>(0, 0)); });
}

int64_t PgStore::forget_answers(int32_t limit) {
  return transact([&](Transaction& tx) { return tx.query(kForgetAnswers, limit).get<int64_t>(0, 0); });
}

}  // namespace quarry::sql
