// The outbox of events.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/id.h"
#include "sql/store_errors.h"

namespace quarry::sql {

struct EventRow {
  int64_t sequence = 0;  ///< per outbox, increasing: the Last-Event-ID
  AccountId account;
  JobId job;
  std::string kind;     ///< "job.queued", "job.running", "segment.accepted", "job.succeeded", ...
  std::string payload;  ///< JSON
};

class EventStore {
 public:
  virtual ~EventStore() = default;
  /// Rows in sequence order, never skipping one that commits later: rows wait until all older transactions have ended,
  /// milliseconds as a rule, so a reader that was woken by a hint looks again a little later.
  virtual std::vector<EventRow> events_after(int64_t sequence, int32_t limit) = 0;
  virtual std::vector<EventRow> job_events_after(AccountId account, JobId job, int64_t sequence, int32_t limit) = 0;
  /// A position that all rows still to come lie behind.
  virtual int64_t last_event() = 0;
};

}  // namespace quarry::sql
