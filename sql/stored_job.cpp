#include "sql/stored_job.h"

#include <algorithm>

#include "common/log.h"

#include "sql/tariff.h"
#include "wire/graph_key.h"

namespace quarry::sql {
namespace {

constexpr Statement kLockJobs =
    "select j.id from unnest($1::uuid[]) u(id) join job j on j.id = u.id order by j.id for update of j";
constexpr auto kReadJobs = joined("select ", kJobColumns,
                                  ", pg_current_xact_id()::text::bigint from unnest($1::uuid[]) u(id) join job j on "
                                  "j.id = u.id");

constexpr Statement kCountedAttempts =
    "select a.job, count(*) from unnest($1::uuid[]) u(id) join job j on j.id = u.id join attempt a on a.job = j.id and "
    "a.segment = j.segment where a.end_reason is distinct from $2 group by a.job";

template <class T>
T fits(std::optional<T> value) {
  if (!value) throw std::overflow_error("a job's stored work does not fit 128 bits");  // submit refuses such a job
  return *value;
}

UInt128 metered(const MeteredStep& step, const Tariff& tariff) {
  const auto times = [](UInt128 a, UInt128 b) { return fits(checked_mul(a, b)); };
  const auto plus = [](UInt128 a, UInt128 b) { return fits(checked_add(a, b)); };
  return plus(plus(step.weighted16.count, plus(step.weighted32.count, step.weighted64.count)),
              plus(times(tariff.flops_per_byte, step.bytes), times(tariff.flops_per_stored_value, step.stored_values)));
}

MeteredStep times(const MeteredStep& step, int64_t steps) {
  const auto factor = static_cast<UInt128>(steps);
  const auto flops = [&](Flops f) { return fits(checked_mul(f, factor)); };
  return {flops(step.flops),
          flops(step.weighted16),
          flops(step.weighted32),
          flops(step.weighted64),
          fits(checked_mul(step.bytes, factor)),
          step.stored_values * static_cast<uint64_t>(steps)};
}

}  // namespace

bool readable(const Rows& rows, size_t row, const std::function<void()>& read) {
  try {
    read();
    return true;
  } catch (const std::exception& error) {
    spdlog::error("the row of job {} is passed over, because it cannot be read: {}", rows.text(row, 0), error.what());
    return false;
  }
}

Queued queue_locked_jobs(Connection::Transaction& tx, const std::vector<JobId>& jobs) {
  std::vector<JobId> sorted = jobs;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  tx.queue(kLockJobs, sorted);
  return tx.queue(kReadJobs, sorted);
}

JobMap locked_jobs(const Rows& rows) {
  JobMap jobs;
  for (size_t row = 0; row < rows.size(); ++row) {
    std::optional<StoredJob> job;
    if (!readable(rows, row, [&] { job = read_row<StoredJob>(rows, row); })) continue;
    if (job->event_xid > rows.get<int64_t>(row, kJobColumnCount))
      throw TransactionConflict("a younger transaction has numbered this job's events", "40001");
    jobs.emplace(job->id, std::move(*job));
  }
  return jobs;
}

Queued queue_counted_attempts(Connection::Transaction& tx, const std::vector<JobId>& jobs) {
  std::vector<JobId> sorted = jobs;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return tx.queue(kCountedAttempts, sorted, EndReason::Drained);
}

AttemptCounts counted_attempts(const Rows& rows) {
  AttemptCounts counts;
  for (size_t row = 0; row < rows.size(); ++row) counts[rows.get<JobId>(row, 0)] = rows.get<int64_t>(row, 1);
  return counts;
}

bool may_try_again(const StoredJob& job, EndReason reason, const AttemptCounts& counted_before) {
  if (job.attempt >= kMaxAttemptsWithDrained) return false;
  const auto counted = counted_before.find(job.id);  // the attempt that ends is among them, being live when counted
  return reason == EndReason::Drained || counted == counted_before.end() || counted->second < kMaxAttempts;
}

SegmentWork segment_work(const StoredJob& job, int32_t segment) {
  SegmentWork out;
  if (segment == kWholeJob) {
    out.work.metered = {tariff(job.tariff).flops_per_job};
    return out;
  }
  const int64_t before = segment * job.steps_per_segment;
  out.steps = std::min(job.steps_per_segment, job.steps - before);
  out.total = times(job.step, out.steps);
  const Tariff& of = tariff(job.tariff);
  const bool starts_at_checkpoint = segment > 0 && of.bills_checkpoints;
  if (starts_at_checkpoint) out.total.bytes = fits(checked_add(out.total.bytes, job.checkpoint_bytes));
  const UInt128 constant = segment == 0 || starts_at_checkpoint ? of.flops_per_job : 0;
  out.work.metered = {fits(checked_add(metered(out.total, of), constant))};
  if (segment == 0) out.work.bytes_in = job.bytes_in;
  if (before + out.steps == job.steps) {
    out.work.bytes_out = job.bytes_out;
    out.work.byte_hours = job.byte_hours;
  }
  return out;
}

Flops job_metered(const JobTerms& job) {
  const Tariff& of = tariff(job.tariff);
  MeteredStep total = times(job.step, job.steps);
  UInt128 starts = 1;
  if (of.bills_checkpoints) {
    const auto checkpoints = static_cast<UInt128>((job.steps - 1) / job.steps_per_segment);
    total.bytes = fits(checked_add(total.bytes, fits(checked_mul(checkpoints, job.checkpoint_bytes))));
    starts += checkpoints;
  }
  return {fits(checked_add(metered(total, of), starts * of.flops_per_job))};
}

market::Charge segment_charge(const StoredJob& job, const SegmentWork& work, bool has_payee) {
  auto computed = market::charge(work.work, job.prices);
  if (!computed) throw std::overflow_error("a segment's charge does not fit: " + computed.problem().detail);
  market::Charge charge = *computed;
  if (charge.renter > job.limit - job.spent) {  // the limit is a contract: roundings of many segments never pass it
    charge.renter = job.limit - job.spent;
    charge.owner = std::min(charge.owner, charge.renter);
    charge.operator_share = charge.renter - charge.owner;
  }
  if (!has_payee) charge = {charge.renter, Money(), charge.renter};
  return charge;
}

wire::ReadyJob ready_job(const StoredJob& job) {
  constexpr UInt128 kGiga = 1'000'000'000;
  const UInt128 size = segment_work(job, job.segment).work.metered.count / kGiga;
  wire::ReadyJob ready;
  ready.job = job.id;
  ready.account = job.account;
  ready.segment = job.segment;
  ready.submitted_at_us = job.submitted_at.micros;
  ready.memory_bound_bytes = job.memory_bound_bytes;
  ready.dtypes = job.dtypes;
  ready.graph = wire::graph_key(job.graph);
  ready.metered_gflop = static_cast<uint64_t>(std::min<UInt128>(size, UINT64_MAX));
  return ready;
}

}  // namespace quarry::sql
