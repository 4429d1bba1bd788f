// A job's row as read and locked, and what can be worked out from it alone: segments, their metered work, their charge.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "sql/job_columns.h"
#include "sql/store.h"

namespace quarry::sql {

/// Jobs by id, in id order, locked until the transaction ends: two statements, so that the second reads what the lock
/// waited for. Throws TransactionConflict when a younger transaction has numbered an event of one of them: see the
/// table event.
using JobMap = std::map<JobId, StoredJob>;
Queued queue_locked_jobs(Connection::Transaction& tx, const std::vector<JobId>& jobs);
/// Calls `read`, which reads a row whose first column is a job's id. False, after saying so in the log: the row holds
/// what nothing here could have written. One such row must not keep all others from being read.
bool readable(const Rows& rows, size_t row, const std::function<void()>& read);
JobMap locked_jobs(const Rows& rows);

/// Attempts of each job's present segment that count against it: all but those a draining box gave back.
using AttemptCounts = std::map<JobId, int64_t>;
Queued queue_counted_attempts(Connection::Transaction& tx, const std::vector<JobId>& jobs);
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
/// Metered FLOPs of all segments.
Flops job_metered(const JobTerms& job);
/// At the job's frozen prices, never past its limit. Without a payee the whole charge is the operator's.
market::Charge segment_charge(const StoredJob& job, const SegmentWork& work, bool has_payee);

wire::ReadyJob ready_job(const StoredJob& job);

}  // namespace quarry::sql
