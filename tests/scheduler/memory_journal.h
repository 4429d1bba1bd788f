// A journal in memory with PostgreSQL's fences: leader epoch, session, current attempt. The simulation's database. It
// also watches the promises: what it finds broken is in violations().
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/journal.h"

namespace quarry::scheduler::test {

class MemoryJournal final : public Journal {
 public:
  enum class Fault { None, BeforeCommit, AfterCommit };
  struct Outcome {
    std::string code;  ///< "accepted", "already_accepted", "stale_fence"; of failures "failed" or "stale_fence"
    std::optional<wire::ReadyJob> next;
  };

  // What the scheduler asks; a fault throws StoreUnavailable before or after the effect.
  std::vector<wire::ReadyJob> load_ready() override;
  std::vector<sql::Store::RunningAttempt> load_running() override;
  std::vector<wire::SessionUp> load_sessions() override;
  std::vector<wire::Lease> load_leases(const std::vector<wire::Fence>& fences) override;
  std::vector<wire::Lease> lease(int64_t leader_epoch, const std::vector<sql::Placement>& batch) override;
  bool fault(int64_t leader_epoch, JobId job, const std::string& detail) override;
  std::vector<sql::FailureOutcome> expire_sessions(int64_t leader_epoch,
                                                   const std::vector<wire::SessionKey>& sessions) override;

  // What candidates and servers ask.
  /// The epoch of `holder`, or 0 when another leads at `now`.
  int64_t try_lead(int holder, Instant now, std::chrono::milliseconds ttl);
  std::optional<int> leader(Instant now) const;
  void submit(const wire::ReadyJob& job, int32_t segments);
  /// Resumes that session of the box if it is open, else opens one.
  wire::SessionUp open_session(BoxId box, const std::optional<wire::SessionKey>& resume,
                               const wire::SessionSlice& slice);
  Outcome complete(const wire::Fence& fence);
  Outcome fail(const wire::Fence& fence);
  void cancel(JobId job);

  /// Asked once for each of the scheduler's transactions.
  std::function<Fault()> next_fault = [] { return Fault::None; };
  bool check_fences = true;  ///< false: the simulation must notice

  const std::vector<std::string>& violations() const { return violations_; }
  size_t unended() const;
  std::string describe_unended() const;
  /// Of every ended job and its segments.
  void check_ends();

  struct Counts {
    int leases = 0, refused_placements = 0, deposed = 0, stale = 0, repeated = 0, accepted = 0, expired = 0,
        exhausted = 0, cancelled = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Job {
    wire::ReadyJob ready;  // of the current segment
    int32_t segments = 1, attempt = 0;
    JobState state = JobState::Queued;
    std::optional<wire::Fence> fence;  // while running
    SessionId session;
    SliceId slice;
  };
  struct Session {
    wire::SessionUp up;
    bool open = true;
  };
  template <class Work>
  auto transact(Work work);
  wire::Lease lease_of(const Job& job) const;
  std::optional<wire::ReadyJob> retry(Job& job);
  bool is_current(const Job& job, const wire::Fence& fence) const;

  int64_t epoch_ = 0;
  int holder_ = -1;
  Instant led_until_;
  int64_t next_session_ = 1;
  std::map<JobId, Job> jobs_;
  std::map<SessionId, Session> sessions_;
  std::map<std::pair<JobId, int32_t>, std::vector<wire::Fence>> accepted_;  // each is a charge
  std::vector<std::string> violations_;
  Counts counts_;
};

}  // namespace quarry::scheduler::test
