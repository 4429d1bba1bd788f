#include "sql/changes.h"
#include "sql/stored_json.h"
#include "sql/tariff.h"

namespace quarry::sql {
namespace {

constexpr size_t kMaxDetail = 2'000;

constexpr Statement kUpdateJobs =
    "update job j set state = u.state, segment = u.segment, attempt = u.attempt, steps_accepted = u.steps_accepted, "
    "spent = u.spent, "
    "event_xid = pg_current_xact_id()::text::bigint, end_reason = u.end_reason, failure_detail = u.failure_detail, "
    "started_at = case when u.state = 2 then coalesce(j.started_at, t.now) else j.started_at end, "
    "ended_at = case when u.state >= 4 then t.now end "
    "from unnest($1::uuid[], $2::int2[], $3::int4[], $4::int4[], $5::int8[], $6::numeric[], $7::int2[], $8::text[]) "
    "u(id, state, segment, attempt, steps_accepted, spent, end_reason, failure_detail), (select business_now() as now) "
    "t where j.id = u.id";
constexpr Statement kInsertAttempts =
    "insert into attempt (job, segment, attempt, session, session_epoch, incarnation, slice, owner, leased_at, state) "
    "select u.*, t.now, 0 from unnest($1::uuid[], $2::int4[], $3::int4[], $4::uuid[], $5::int8[], $6::int8[], "
    "$7::uuid[], $8::uuid[]) u, "
    "(select business_now() as now) t";
constexpr Statement kEndAttempts =
    "update attempt a set state = u.state, end_reason = u.end_reason, failure_code = nullif(u.code, ''), "
    "failure_detail = nullif(u.detail, ''), device_ns = u.device_ns, compile_ns = u.compile_ns, energy_joules = "
    "u.energy, "
    "schedules_hash = nullif(u.schedules, ''), ended_at = t.now "
    "from unnest($1::uuid[], $2::int4[], $3::int4[], $4::int2[], $5::int2[], $6::text[], $7::text[], $8::int8[], "
    "$9::int8[], "
    "$10::float8[], $11::text[]) u(job, segment, attempt, state, end_reason, code, detail, device_ns, compile_ns, "
    "energy, schedules), "
    "(select business_now() as now) t where a.job = u.job and a.segment = u.segment and a.attempt = u.attempt";
constexpr Statement kInsertSegments =
    "insert into segment (job, segment, attempt, session_epoch, outputs, carried, accepted_at) "
    "select u.*, t.now from unnest($1::uuid[], $2::int4[], $3::int4[], $4::int8[], $5::text[], $6::text[]) u, "
    "(select business_now() as now) t";
constexpr Statement kInsertBlobs =
    "insert into small_blob (sha256, bytes, created_at) select u.*, t.now from unnest($1::bytea[], $2::bytea[]) u, "
    "(select business_now() as now) t on conflict do nothing";
constexpr Statement kInsertMeter =
    "insert into meter (job, segment, account, steps, flops, weighted16, weighted32, weighted64, bytes, stored_values, "
    "bytes_in, "
    "bytes_out, byte_hours, metered, charge, owner_share, payee, at) select u.*, t.now from unnest($1::uuid[], "
    "$2::int4[], $3::uuid[], "
    "$4::int8[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[], $9::numeric[], $10::numeric[], "
    "$11::int8[], $12::int8[], "
    "$13::int8[], $14::numeric[], $15::numeric[], $16::numeric[], $17::uuid[]) u, (select business_now() as now) t";

std::string number(int64_t value) {
  return std::to_string(value);
}
/// Clients' measurements are kept, not trusted: what a bigint cannot hold is cut off.
int64_t clamped(uint64_t value) {
  return static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX));
}

}  // namespace

StoredAttempt attempt_from(const Rows& rows, size_t row) {
  StoredAttempt attempt;
  attempt.job = rows.get<JobId>(row, 0);
  attempt.segment = rows.get<int32_t>(row, 1);
  attempt.attempt = rows.get<int32_t>(row, 2);
  attempt.session = rows.get<SessionId>(row, 3);
  attempt.session_epoch = rows.get<int64_t>(row, 4);
  attempt.incarnation = rows.get<uint64_t>(row, 5);
  attempt.owner = rows.get<AccountId>(row, 6);
  attempt.state = static_cast<AttemptState>(rows.get<int32_t>(row, 7));
  return attempt;
}

void JobChanges::lease(StoredJob& job, const wire::Fence& fence, SessionId session, SliceId slice, AccountId owner) {
  job.state = JobState::Running;
  job.attempt = fence.attempt;
  leases_.push_back({fence, session, slice, owner});
  events_.add(job.account, job.id, "job.running",
              payload({{"segment", number(fence.segment)}, {"attempt", number(fence.attempt)}}));
  touch(job);
}

void JobChanges::end_attempt(const StoredAttempt& attempt, const AttemptEnd& end) {
  ended_.push_back({attempt, end});
}

void JobChanges::charge(StoredJob& job, int32_t segment, std::optional<AccountId> payee) {
  const SegmentWork work = segment_work(job, segment);
  const market::Charge charge = segment_charge(job, work, payee.has_value());
  job.spent += charge.renter;
  metered_.push_back({job.id, segment, job.account, work, charge, payee});
  ledger_.add({.kind = market::EventKind::Charge,
               .renter = job.account,
               .owner = payee.value_or(kOperatorAccount),
               .operator_account = kOperatorAccount,
               .amount = {},
               .charge = charge},
              job.id, segment);
}

void JobChanges::accept_segment(StoredJob& job, const StoredAttempt& attempt, const wire::Completion& completion) {
  AttemptEnd end{AttemptState::Accepted,
                 EndReason::Succeeded,
                 "",
                 "",
                 completion.device_ns,
                 completion.compile_ns,
                 completion.energy_joules,
                 clean_text(completion.schedules_hash, 200)};
  end_attempt(attempt, end);
  const bool last = job.last_segment();
  accepted_.push_back(
      {completion.fence, values_to_json(completion.kept), last ? "{}" : values_to_json(completion.carried)});
  for (const auto* values : {&completion.kept, &completion.carried})
    for (const auto& value : *values)
      if (value.inline_bytes) blobs_.try_emplace(value.blob, *value.inline_bytes);

  const Money before = job.spent;
  charge(job, job.segment, attempt.owner);
  job.steps_accepted += metered_.back().work.steps;
  events_.add(job.account, job.id, "segment.accepted",
              payload({{"segment", number(job.segment)},
                       {"steps_done", number(job.steps_accepted)},
                       {"steps_total", number(job.steps)},
                       {"charge", (job.spent - before).to_string(), true}}));
  if (last) return this->end(job, JobState::Succeeded, EndReason::Succeeded, "", false, {});
  job.state = JobState::Queued;
  job.segment += 1;
  job.attempt = 0;
  events_.add(job.account, job.id, "job.queued", payload({{"segment", number(job.segment)}}));
  touch(job);
}

void JobChanges::requeue(StoredJob& job, EndReason why) {
  job.state = JobState::Queued;
  events_.add(job.account, job.id, "job.queued",
              payload({{"segment", number(job.segment)}, {"reason", std::string(name(why)), true}}));
  touch(job);
}

void JobChanges::end(StoredJob& job, JobState state, EndReason reason, const std::string& detail, bool minimum,
                     std::optional<AccountId> payee) {
  if (minimum && job.steps_accepted == 0) charge(job, kWholeJob, payee);
  job.state = state;
  job.end_reason = reason;
  job.failure_detail = clean_text(detail, kMaxDetail);
  ledger_.add({.kind = market::EventKind::Release,
               .renter = job.account,
               .owner = {},
               .operator_account = kOperatorAccount,
               .amount = job.limit - job.spent,
               .charge = {}},
              job.id, kWholeJob);
  events_.add(job.account, job.id, "job." + std::string(name(state)),
              payload({{"end_reason", std::string(name(reason)), true}, {"spent", job.spent.to_string(), true}}));
  touch(job);
}

void JobChanges::write(Connection::Transaction& tx, WallTime now, RandomSource& random) {
  ledger_.assign_ids(now, random);
  queue_jobs(tx);
  queue_attempts(tx);
  queue_segments(tx);
  queue_meter(tx);
  ledger_.queue(tx);
  events_.queue(tx);
}

void JobChanges::queue_jobs(Connection::Transaction& tx) const {
  if (jobs_.empty()) return;
  std::vector<JobId> ids;
  std::vector<int> states;
  std::vector<int32_t> segments, attempts;
  std::vector<int64_t> steps;
  std::vector<Money> spent;
  std::vector<std::optional<int>> reasons;
  std::vector<std::string> details;
  for (const auto& [id, job] : jobs_) {
    ids.push_back(id);
    states.push_back(static_cast<int>(job.state));
    segments.push_back(job.segment);
    attempts.push_back(job.attempt);
    steps.push_back(job.steps_accepted);
    spent.push_back(job.spent);
    reasons.push_back(job.end_reason ? std::optional(static_cast<int>(*job.end_reason)) : std::nullopt);
    details.push_back(job.failure_detail);
  }
  tx.queue(kUpdateJobs, ids, states, segments, attempts, steps, spent, reasons, details);
}

void JobChanges::queue_attempts(Connection::Transaction& tx) const {
  std::vector<JobId> jobs;
  std::vector<int32_t> segments, attempts;
  if (!leases_.empty()) {
    std::vector<SessionId> sessions;
    std::vector<int64_t> epochs;
    std::vector<uint64_t> incarnations;
    std::vector<SliceId> slices;
    std::vector<AccountId> owners;
    for (const auto& lease : leases_) {
      jobs.push_back(lease.fence.job), segments.push_back(lease.fence.segment), attempts.push_back(lease.fence.attempt);
      sessions.push_back(lease.session), epochs.push_back(lease.fence.session_epoch);
      incarnations.push_back(lease.fence.incarnation), slices.push_back(lease.slice), owners.push_back(lease.owner);
    }
    tx.queue(kInsertAttempts, jobs, segments, attempts, sessions, epochs, incarnations, slices, owners);
  }
  if (ended_.empty()) return;
  jobs.clear(), segments.clear(), attempts.clear();
  std::vector<int> states, reasons;
  std::vector<std::string> codes, details, schedules;
  std::vector<int64_t> device, compile;
  std::vector<double> energy;
  for (const auto& [attempt, end] : ended_) {
    jobs.push_back(attempt.job), segments.push_back(attempt.segment), attempts.push_back(attempt.attempt);
    states.push_back(static_cast<int>(end.state)), reasons.push_back(static_cast<int>(end.reason));
    codes.push_back(end.code), details.push_back(clean_text(end.detail, kMaxDetail)),
        schedules.push_back(end.schedules_hash);
    device.push_back(clamped(end.device_ns)), compile.push_back(clamped(end.compile_ns)),
        energy.push_back(end.energy_joules);
  }
  tx.queue(kEndAttempts, jobs, segments, attempts, states, reasons, codes, details, device, compile, energy, schedules);
}

void JobChanges::queue_segments(Connection::Transaction& tx) const {
  if (accepted_.empty()) return;
  std::vector<JobId> jobs;
  std::vector<int32_t> segments, attempts;
  std::vector<int64_t> epochs;
  std::vector<std::string> outputs, carried;
  for (const auto& accepted : accepted_) {
    jobs.push_back(accepted.fence.job), segments.push_back(accepted.fence.segment),
        attempts.push_back(accepted.fence.attempt);
    epochs.push_back(accepted.fence.session_epoch), outputs.push_back(accepted.outputs),
        carried.push_back(accepted.carried);
  }
  tx.queue(kInsertSegments, jobs, segments, attempts, epochs, outputs, carried);
  if (blobs_.empty()) return;
  std::vector<Digest> digests;
  std::vector<std::span<const std::byte>> bytes;
  for (const auto& [digest, content] : blobs_) digests.push_back(digest), bytes.push_back(content);
  tx.queue(kInsertBlobs, digests, bytes);
}

void JobChanges::queue_meter(Connection::Transaction& tx) const {
  if (metered_.empty()) return;
  std::vector<JobId> jobs;
  std::vector<int32_t> segments;
  std::vector<AccountId> accounts;
  std::vector<int64_t> steps;
  std::vector<Flops> flops, weighted16, weighted32, weighted64, metered;
  std::vector<std::string> bytes;
  std::vector<uint64_t> stored, bytes_in, bytes_out, byte_hours;
  std::vector<Money> charges, owner_shares;
  std::vector<std::optional<AccountId>> payees;
  for (const auto& row : metered_) {
    const auto& [total, work] = std::tie(row.work.total, row.work.work);
    jobs.push_back(row.job), segments.push_back(row.segment), accounts.push_back(row.account),
        steps.push_back(row.work.steps);
    flops.push_back(total.flops), weighted16.push_back(total.weighted16), weighted32.push_back(total.weighted32);
    weighted64.push_back(total.weighted64), bytes.push_back(to_decimal(total.bytes)),
        stored.push_back(total.stored_values);
    bytes_in.push_back(work.bytes_in), bytes_out.push_back(work.bytes_out), byte_hours.push_back(work.byte_hours);
    metered.push_back(work.metered), charges.push_back(row.charge.renter), owner_shares.push_back(row.charge.owner);
    payees.push_back(row.payee);
  }
  tx.queue(kInsertMeter, jobs, segments, accounts, steps, flops, weighted16, weighted32, weighted64, bytes, stored,
           bytes_in, bytes_out, byte_hours, metered, charges, owner_shares, payees);
}

}  // namespace quarry::sql
