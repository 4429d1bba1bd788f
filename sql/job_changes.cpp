#include <algorithm>

#include "sql/changes.h"
#include "sql/stored_json.h"

namespace quarry::sql {
namespace {

constexpr size_t kMaxDetail = 2'000;

constexpr auto kUpdateJobs =
    joined("update job j set ", column_assignments<StoredJob, changed>(),
           ", event_xid = pg_current_xact_id()::text::bigint, "
           "started_at = case when u.state = 2 then coalesce(j.started_at, t.now) else j.started_at end, "
           "ended_at = case when u.state >= 4 then t.now end from unnest(",
           column_parameters<StoredJob, key_or_changed>(), ") u(", column_names<StoredJob, key_or_changed>(),
           "), (select business_now() as now) t where j.id = u.id");
constexpr auto kInsertAttempts = joined(
    "insert into attempt (", column_names<StoredAttempt, any_column>(), ", leased_at) select u.*, t.now from unnest(",
    column_parameters<StoredAttempt, any_column>(), ") u, (select business_now() as now) t");
constexpr Statement kEndAttempts =
    "update attempt a set state = u.state, end_reason = u.end_reason, failure_code = u.code, "
    "failure_detail = u.detail, device_ns = u.device_ns, compile_ns = u.compile_ns, energy_joules = "
    "u.energy, "
    "schedules_hash = u.schedules, ended_at = t.now "
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
    "insert into small_blob (sha256, job, role, bytes, created_at) select u.*, t.now from unnest($1::bytea[], "
    "$2::uuid[], $3::int2[], $4::bytea[]) u, (select business_now() as now) t on conflict do nothing";
constexpr Statement kInsertUses =
    "insert into blob_use (sha256, job, role) select * from unnest($1::bytea[], $2::uuid[], $3::int2[]) on conflict do "
    "nothing";
constexpr Statement kDropCarried =
    "with u as (select * from unnest($1::bytea[], $2::uuid[], $3::int2[]) u(sha256, job, role)), small as (delete from "
    "small_blob b using u where b.sha256 = u.sha256 and b.job = u.job and b.role = u.role), files as (delete from "
    "blob_use b using u where b.sha256 = u.sha256 and b.job = u.job and b.role = u.role returning b.sha256) insert "
    "into "
    "blob_garbage (kind, sha256) select distinct 2, sha256 from files on conflict do nothing";
constexpr Statement kClearCarried =
    "update segment p set carried = '{}' from unnest($1::uuid[], $2::int4[]) u(job, segment) where p.job = u.job and "
    "p.segment = u.segment - 1 and p.revision = 0 and p.carried <> '{}'";
constexpr auto kInsertMeter =
    joined("insert into meter (", column_names<MeterRow, inserted>(), ", at) select u.*, t.now from unnest(",
           column_parameters<MeterRow, inserted>(), ") u, (select business_now() as now) t");

std::string number(int64_t value) {
  return std::to_string(value);
}
/// Clients' measurements are kept, not trusted: what a bigint cannot hold is cut off.
int64_t clamped(uint64_t value) {
  return static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX));
}

}  // namespace

void JobChanges::lease(StoredJob& job, const wire::Fence& fence, SessionId session, SliceId slice, AccountId owner) {
  job.state = JobState::Running;
  job.attempt = fence.attempt;
  leases_.push_back({fence.job, fence.segment, fence.attempt, session, fence.session_epoch, fence.incarnation, slice,
                     owner, AttemptState::Leased});
  events_.add(job.account, job.id, "job.running",
              payload({{"segment", number(fence.segment)}, {"attempt", number(fence.attempt)}}));
  touch(job);
}

void JobChanges::end_attempt(const StoredAttempt& attempt, const AttemptEnd& end) {
  ended_.push_back({attempt, end});
}

void JobChanges::charge(StoredJob& job, int32_t segment, AccountId payee) {
  const SegmentWork work = segment_work(job, segment);
  const market::Charge charge = segment_charge(job, work, true);
  job.spent += charge.renter;
  MeterRow row;
  row.job = job.id;
  row.segment = segment;
  row.account = job.account;
  row.tariff = job.tariff;
  row.steps = work.steps;
  row.work = work.total;
  row.bytes_in = work.work.bytes_in;
  row.bytes_out = work.work.bytes_out;
  row.byte_hours = work.work.byte_hours;
  row.metered = work.work.metered;
  row.charge = charge.renter;
  row.owner_share = charge.owner;
  row.payee = payee;
  metered_.push_back(row);
  ledger_.add({.kind = market::EventKind::Charge,
               .renter = job.account,
               .owner = payee,
               .operator_account = kOperatorAccount,
               .amount = {},
               .charge = charge},
              job.id, segment);
}

void JobChanges::accept_segment(StoredJob& job, const StoredAttempt& attempt, const wire::Completion& completion,
                                const Values& carried_before) {
  AttemptEnd end{AttemptState::Accepted,
                 EndReason::Succeeded,
                 std::nullopt,
                 std::nullopt,
                 completion.device_ns,
                 completion.compile_ns,
                 completion.energy_joules,
                 clean_text(completion.schedules_hash, 200)};
  end_attempt(attempt, end);
  const bool last = job.last_segment();
  accepted_.push_back(
      {completion.fence, values_to_json(completion.kept), last ? "{}" : values_to_json(completion.carried)});
  const auto name = [&](const std::vector<wire::Produced>& values, Role role) {
    for (const auto& value : values) {
      if (value.inline_bytes)
        blobs_.try_emplace({value.blob, job.id, role}, *value.inline_bytes);
      else
        files_.insert({value.blob, job.id, role});
    }
  };
  name(completion.kept, Role::Output);
  if (!last) name(completion.carried, Role::Carried);
  for (const auto& [_, value] : carried_before) {
    const NamedBlob was{value.blob, job.id, Role::Carried};
    if (!files_.contains(was) && !blobs_.contains(was)) dropped_.insert(was);
  }

  const Money before = job.spent;
  charge(job, job.segment, attempt.owner);
  job.steps_accepted += metered_.back().steps;
  events_.add(job.account, job.id, "segment.accepted",
              payload({{"segment", number(job.segment)},
                       {"steps_done", number(job.steps_accepted)},
                       {"steps_total", number(job.steps)},
                       {"charge", (job.spent - before).to_string(), true}}));
  if (last) return this->end(job, JobState::Succeeded, EndReason::Succeeded, "", {});
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

void JobChanges::end(StoredJob& job, JobState state, EndReason reason, const std::string& detail,
                     std::optional<AccountId> ran) {
  const market::EndTerms terms = market::end_terms(reason);
  if (terms.minimum && ran && job.steps_accepted == 0) charge(job, kWholeJob, *ran);
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
  if (terms.refund && job.spent > Money())
    ledger_.add({.kind = market::EventKind::Refund,
                 .renter = job.account,
                 .owner = {},
                 .operator_account = kOperatorAccount,
                 .amount = job.spent,
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
  ColumnArrays<key_or_changed> arrays;
  for (const auto& [id, job] : jobs_) arrays.add(job);
  tx.queue_params(kUpdateJobs, arrays.take());
}

void JobChanges::queue_attempts(Connection::Transaction& tx) const {
  if (!leases_.empty()) {
    ColumnArrays<any_column> arrays;
    for (const auto& lease : leases_) arrays.add(lease);
    tx.queue_params(kInsertAttempts, arrays.take());
  }
  if (ended_.empty()) return;
  std::vector<JobId> jobs;
  std::vector<int32_t> segments, attempts;
  std::vector<AttemptState> states;
  std::vector<EndReason> reasons;
  std::vector<std::optional<std::string>> codes, details, schedules;
  std::vector<int64_t> device, compile;
  std::vector<double> energy;
  for (const auto& [attempt, end] : ended_) {
    jobs.push_back(attempt.job), segments.push_back(attempt.segment), attempts.push_back(attempt.attempt);
    states.push_back(end.state), reasons.push_back(end.reason);
    codes.push_back(end.code), schedules.push_back(end.schedules_hash);
    details.push_back(end.detail ? std::optional(clean_text(*end.detail, kMaxDetail)) : std::nullopt);
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
  if (std::any_of(segments.begin(), segments.end(), [](int32_t segment) { return segment > 0; }))
    tx.queue(kClearCarried, jobs, segments);
  queue_values(tx);
}

void JobChanges::queue_values(Connection::Transaction& tx) const {
  struct Columns {
    std::vector<Digest> digests;
    std::vector<JobId> jobs;
    std::vector<Role> roles;
    void add(const NamedBlob& blob) {
      digests.push_back(std::get<0>(blob));
      jobs.push_back(std::get<1>(blob));
      roles.push_back(std::get<2>(blob));
    }
  };
  Columns small, files, dropped;
  std::vector<std::span<const std::byte>> bytes;
  for (const auto& [blob, content] : blobs_) small.add(blob), bytes.push_back(content);
  for (const auto& blob : files_) files.add(blob);
  for (const auto& blob : dropped_) dropped.add(blob);
  if (!dropped.jobs.empty()) tx.queue(kDropCarried, dropped.digests, dropped.jobs, dropped.roles);
  if (!small.jobs.empty()) tx.queue(kInsertBlobs, small.digests, small.jobs, small.roles, bytes);
  if (!files.jobs.empty()) tx.queue(kInsertUses, files.digests, files.jobs, files.roles);
}

void JobChanges::queue_meter(Connection::Transaction& tx) const {
  if (metered_.empty()) return;
  ColumnArrays<inserted> arrays;
  for (const auto& row : metered_) arrays.add(row);
  tx.queue_params(kInsertMeter, arrays.take());
}

}  // namespace quarry::sql
