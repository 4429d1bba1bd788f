// A job's row as read and locked, and what can be worked out from it alone: segments, their metered work, their charge.
#pragma once

#include <map>
#include <vector>

#include "sql/connection.h"
#include "sql/store.h"

namespace quarry::sql {

/// Columns of `job j` in the order in which job_from() reads them; callers append their own after kJobColumnCount.
#define QUARRY_JOB_COLUMNS                                                                                     \
  "j.id, j.account, j.graph, micros(j.submitted_at), j.tariff, j.memory_bound_bytes, j.dtypes, j.first_step, " \
  "j.steps, "                                                                                                  \
  "j.steps_per_segment, j.step_flops, j.step_weighted16, j.step_weighted32, j.step_weighted64, j.step_bytes, " \
  "j.step_stored_values, j.bytes_in, j.bytes_out, j.byte_hours, j.per_pflop, j.per_gib_in, j.per_gib_out, "    \
  "j.per_gib_hour, "                                                                                           \
  "j.take_ppm, j.limit_amount, j.state, j.segment, j.attempt, j.steps_accepted, j.spent, j.failure_detail, "   \
  "j.end_reason, "                                                                                             \
  "micros(j.started_at), micros(j.ended_at), j.event_xid"
inline constexpr int kJobColumnCount = 35;

struct StoredJob {
  JobId id;
  AccountId account;
  Digest graph{};
  WallTime submitted_at;
  int32_t tariff = 1;
  uint64_t memory_bound_bytes = 0;
  uint32_t dtypes = 0;
  int64_t first_step = 0, steps = 1, steps_per_segment = 1;
  MeteredStep step;
  uint64_t bytes_in = 0, bytes_out = 0, byte_hours = 0;
  market::Prices prices;
  Money limit;
  JobState state = JobState::Queued;
  int32_t segment = 0, attempt = 0;
  int64_t steps_accepted = 0;
  Money spent;
  std::string failure_detail;
  std::optional<EndReason> end_reason;
  std::optional<WallTime> started_at, ended_at;
  int64_t event_xid = 0;

  bool last_segment() const { return (segment + int64_t{1}) * steps_per_segment >= steps; }
};

StoredJob job_from(const Rows& rows, size_t row);

/// Jobs by id, in id order, locked until the transaction ends: two statements, so that the second reads what the lock
/// waited for. Throws TransactionConflict when a younger transaction has numbered an event of one of them: see the
/// table event.
using JobMap = std::map<JobId, StoredJob>;
void queue_locked_jobs(Connection::Transaction& tx,
                       const std::vector<JobId>& jobs);  ///< appends the two statements below to the queue
JobMap locked_jobs(const Rows& rows);                    ///< rows of the second one

/// Attempts of each job's present segment that count against it: all but those a draining box gave back.
using AttemptCounts = std::map<JobId, int64_t>;
void queue_counted_attempts(Connection::Transaction& tx, const std::vector<JobId>& jobs);
AttemptCounts counted_attempts(const Rows& rows);
/// Whether a job whose attempt has just ended for this reason may have another.
bool may_try_again(const StoredJob& job, EndReason reason, const AttemptCounts& counted_before);

/// A segment's metered work. Segment kWholeJob is the job's constant alone, the least that a job costs.
inline constexpr int32_t kWholeJob = -1;
struct SegmentWork {
  int64_t steps = 0;
  MeteredStep total;
  market::Work work;
};
SegmentWork segment_work(const StoredJob& job, int32_t segment);
/// Metered FLOPs of all steps and the job's constant.
Flops job_metered(const MeteredStep& step, int64_t steps);
/// At the job's frozen prices, never past its limit. Without a payee the whole charge is the operator's.
market::Charge segment_charge(const StoredJob& job, const SegmentWork& work, bool has_payee);

wire::ReadyJob ready_job(const StoredJob& job);

}  // namespace quarry::sql
