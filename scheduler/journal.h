// What the scheduler asks of the journal, PostgreSQL, and nothing more. The process speaks through it to sql::Store;
// the simulation to a store in memory with the same fences.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/clock.h"
#include "sql/store.h"

namespace quarry::scheduler {

class Journal {
 public:
  virtual ~Journal() = default;
  virtual std::vector<wire::ReadyJob> load_ready() = 0;
  virtual std::vector<sql::Store::RunningAttempt> load_running() = 0;
  virtual std::vector<wire::SessionUp> load_sessions() = 0;
  virtual std::vector<wire::Lease> load_leases(const std::vector<wire::Fence>& fences) = 0;
  virtual std::vector<wire::Lease> lease(int64_t leader_epoch, const std::vector<sql::Placement>& batch) = 0;
  /// Ends a waiting job as a fault of the service.
  virtual bool fault(int64_t leader_epoch, JobId job, const std::string& detail) = 0;
  virtual std::vector<sql::FailureOutcome> expire_sessions(int64_t leader_epoch,
                                                           const std::vector<wire::SessionKey>& sessions) = 0;
};

/// All that a new leader starts from.
struct Snapshot {
  std::vector<wire::SessionUp> sessions;
  std::vector<sql::Store::RunningAttempt> running;
  std::vector<wire::ReadyJob> ready;
};
Snapshot load(Journal& journal);

/// What a leader wants done next, in this order: each list is one transaction, whatever joined it meanwhile.
struct Work {
  std::vector<wire::SessionKey> expire;
  std::vector<sql::Placement> place;
  std::vector<wire::Fence> send_again;
  bool census = false;      ///< what runs and what is open: small
  bool find_ready = false;  ///< all that waits: large under load, so asked for seldom
  Instant asked;

  bool empty() const { return expire.empty() && place.empty() && send_again.empty() && !census && !find_ready; }
};
struct Answer {
  Work work;
  std::vector<sql::FailureOutcome> expired;
  std::vector<wire::Lease> leases;
  std::vector<wire::Lease> sent_again;
  std::vector<sql::Store::RunningAttempt> running;
  std::vector<wire::SessionUp> sessions;
  std::vector<wire::ReadyJob> ready;
};
/// One item that the journal cannot do (whatever it throws but StoreUnavailable) does not keep the others from being
/// done: they are done one by one then. A job of which no lease can be made ends, as a fault of the service; a session
/// that cannot be closed, or an attempt that cannot be read, is left out of the answer. Throws StoreUnavailable; then
/// any part may have been done, and the leader must start again from a Snapshot.
Answer perform(Journal& journal, int64_t leader_epoch, Work work);

}  // namespace quarry::scheduler
