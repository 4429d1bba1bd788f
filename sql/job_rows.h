// Rows of the tables job, meter and attempt as C++ structs; job_columns.h maps each member to its column.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/flops.h"
#include "common/id.h"
#include "common/lifecycle.h"
#include "common/money.h"
#include "common/sha256.h"
#include "market/market.h"
#include "wire/messages.h"

namespace quarry::sql {

/// The metered vector of one step, as counted at submit (engine/meter StepCount).
struct MeteredStep {
  Flops flops, weighted16, weighted32, weighted64;
  UInt128 bytes = 0;
  uint64_t stored_values = 0;
};

/// What a submission fixes of a job, for ever.
struct JobTerms {
  JobId id;
  AccountId account;
  Digest graph{};
  int32_t tariff = 1;
  uint64_t memory_bound_bytes = 0;
  uint32_t dtypes = 0;
  int64_t first_step = 0, steps = 1, steps_per_segment = 1;
  MeteredStep step;
  UInt128 checkpoint_bytes = 0;  ///< what the end of a segment moves, before the next one starts
  uint64_t bytes_in = 0, bytes_out = 0, byte_hours = 0;
  market::Prices prices;  ///< frozen
  Money limit;            ///< reserved
};

/// A job's row.
struct StoredJob : JobTerms {
  JobState state = JobState::Queued;
  int32_t segment = 0, attempt = 0;  ///< current ones
  int64_t steps_accepted = 0;
  Money spent;
  std::optional<EndReason> end_reason;
  std::string failure_detail;
  WallTime submitted_at;
  std::optional<WallTime> started_at, ended_at;
  int64_t event_xid = 0;  ///< the transaction that wrote the latest event: see the table event

  bool last_segment() const { return (segment + int64_t{1}) * steps_per_segment >= steps; }
};

/// The work and the charge of one accepted segment.
struct MeterRow {
  JobId job;
  int32_t segment = 0;  ///< -1: the minimum of a job that ended before any segment was accepted
  AccountId account;
  int32_t tariff = 1;  ///< the job's
  int64_t steps = 0;
  MeteredStep work;  ///< of all its steps, and of the checkpoint that a later segment starts from
  uint64_t bytes_in = 0, bytes_out = 0, byte_hours = 0;
  Flops metered;
  Money charge, owner_share;
  std::optional<AccountId> payee;  ///< the account of the box; none when nobody ran any of it
  WallTime at;
  int64_t sequence = 0;
};

/// An attempt as read under its job's lock.
struct StoredAttempt {
  JobId job;
  int32_t segment = 0, attempt = 0;
  SessionId session;
  int64_t session_epoch = 0;
  uint64_t incarnation = 0;
  SliceId slice;
  AccountId owner;
  AttemptState state = AttemptState::Leased;

  wire::Fence fence() const { return {incarnation, job, segment, session_epoch, attempt}; }
  bool live() const {
    return state == AttemptState::Leased || state == AttemptState::Running || state == AttemptState::Delivered;
  }
};

}  // namespace quarry::sql
