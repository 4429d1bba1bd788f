// What the scheduler reads and decides: leadership, what waits and what runs, leases, expired sessions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "sql/job_store.h"

namespace quarry::sql {

/// One placement decided by the scheduler.
struct Placement {
  JobId job;
  int32_t segment = 0;
  wire::SessionKey session;
  SliceId slice;
};
struct Leader {
  int64_t epoch = 0;
  std::string holder, address;
  bool mine = false;
};

class SchedulingStore {
 public:
  virtual ~SchedulingStore() = default;
  virtual Leader try_lead(const std::string& holder, const std::string& address, std::chrono::milliseconds ttl) = 0;
  virtual std::optional<Leader> current_leader() = 0;
  /// Gives leadership up at once, so that a standby need not wait for the expiry. Nothing happens when `leader_epoch`
  /// no longer leads.
  virtual void resign(int64_t leader_epoch) = 0;
  virtual std::vector<wire::ReadyJob> load_ready() = 0;
  struct RunningAttempt {
    wire::Fence fence;
    SessionId session;
    SliceId slice;
    wire::ReadyJob job;
  };
  virtual std::vector<RunningAttempt> load_running() = 0;
  virtual std::vector<wire::SessionUp> load_sessions() = 0;
  /// The leases of those of these attempts that still run, as lease() gave them: a leader sends them again after its
  /// start, after a commit whose answer was lost, and when a session comes back over another server.
  virtual std::vector<wire::Lease> load_leases(const std::vector<wire::Fence>& fences) = 0;
  /// The leases that a session holds now: what its box may complete.
  virtual std::vector<wire::Lease> session_leases(const wire::SessionKey& session) = 0;
  /// Commits the placements that still hold (leader epoch, job queued at that segment, session open); the others are
  /// absent from the result.
  virtual std::vector<wire::Lease> lease(int64_t leader_epoch, const std::vector<Placement>& batch) = 0;
  /// Ends a job that waits as a fault of the service: no lease can be made from its rows. False: it does not wait, or
  /// the epoch no longer leads.
  virtual bool fault(int64_t leader_epoch, JobId job, const std::string& detail) = 0;
  /// Closes the sessions and queues their attempts' segments again; a job past kMaxAttempts ends as attempts_exhausted.
  virtual std::vector<FailureOutcome> expire_sessions(int64_t leader_epoch,
                                                      const std::vector<wire::SessionKey>& sessions) = 0;
};

}  // namespace quarry::sql
