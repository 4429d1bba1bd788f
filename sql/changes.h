// What one transaction changes, gathered item by item and written by a fixed number of statements, whatever the size of
// the batch. The one place that moves money, ends attempts and jobs, and numbers events.
#pragma once

#include <set>
#include <tuple>

#include "sql/stored_job.h"
#include "sql/stored_json.h"

namespace quarry::sql {

/// Ledger movements of one transaction, summed to one transfer per (kind, renter).
class LedgerChanges {
 public:
  /// A movement of a job or of one of its segments; its natural key is (job, kind, segment).
  void add(const market::Event& event, JobId job, int32_t segment);
  /// A movement with no job; returns the index of its transfer for id_of().
  size_t add(const market::Event& event);
  void assign_ids(WallTime now, RandomSource& random);
  TransferId id_of(size_t index) const { return transfers_.at(index).id; }
  void queue(Connection::Transaction& tx) const;

 private:
  struct Transfer {
    TransferId id;
    market::EventKind kind;
    AccountId account;
    std::map<std::pair<AccountId, market::Book>, Money> entries;
  };
  struct Line {
    JobId job;
    market::EventKind kind;
    int32_t segment;
    size_t transfer;
    Money amount;
  };
  void queue_balances(Connection::Transaction& tx) const;

  std::vector<Transfer> transfers_;
  std::map<std::pair<market::EventKind, AccountId>, size_t> index_;
  std::vector<Line> lines_;
};

class EventChanges {
 public:
  void add(AccountId account, JobId job, std::string kind, std::string payload);
  /// At most once a transaction: the ordinals of its events start at 1.
  void queue(Connection::Transaction& tx) const;

 private:
  std::vector<AccountId> accounts_;
  std::vector<JobId> jobs_;
  std::vector<std::string> kinds_, payloads_;
};

/// How an attempt ended, beyond its state.
struct AttemptEnd {
  AttemptState state = AttemptState::Lost;
  EndReason reason = EndReason::LeaseExpired;
  std::optional<std::string> code, detail;
  uint64_t device_ns = 0, compile_ns = 0;
  double energy_joules = 0;
  std::optional<std::string> schedules_hash;
};

/// Changes to jobs that are locked. Each method alters the StoredJob it is given, so that a later item of the batch
/// sees the new state.
class JobChanges {
 public:
  void lease(StoredJob& job, const wire::Fence& fence, SessionId session, SliceId slice, AccountId owner);
  void end_attempt(const StoredAttempt& attempt, const AttemptEnd& end);
  /// Meters and charges the job's current segment, stores its outcome, and readies the next or ends the job. What the
  /// segment started from, `carried_before`, is needed no more once its own end is durable, and goes.
  void accept_segment(StoredJob& job, const StoredAttempt& attempt, const wire::Completion& completion,
                      const Values& carried_before);
  /// Back to the queue, for another attempt of the same segment.
  void requeue(StoredJob& job, EndReason why);
  /// Ends the job as the market's end_terms() say: charges the minimum to the credit of `ran`, the owner of the box
  /// that ran it in vain, if there is one; releases what is left of the reservation; refunds.
  void end(StoredJob& job, JobState state, EndReason reason, const std::string& detail, std::optional<AccountId> ran);
  void write(Connection::Transaction& tx, WallTime now, RandomSource& random);

 private:
  struct Ended {
    StoredAttempt attempt;
    AttemptEnd end;
  };
  struct Accepted {
    wire::Fence fence;
    std::string outputs, carried;
  };
  enum class Role : int16_t { Output, Carried };  // of small_blob and blob_use
  using NamedBlob = std::tuple<Digest, JobId, Role>;
  void touch(const StoredJob& job) { jobs_.insert_or_assign(job.id, job); }
  void charge(StoredJob& job, int32_t segment, AccountId payee);
  void queue_jobs(Connection::Transaction& tx) const;
  void queue_attempts(Connection::Transaction& tx) const;
  void queue_segments(Connection::Transaction& tx) const;
  void queue_values(Connection::Transaction& tx) const;
  void queue_meter(Connection::Transaction& tx) const;

  std::map<JobId, StoredJob> jobs_;
  std::vector<StoredAttempt> leases_;
  std::vector<Ended> ended_;
  std::vector<Accepted> accepted_;
  std::map<NamedBlob, std::vector<std::byte>> blobs_;  ///< small ones
  std::set<NamedBlob> files_, dropped_;
  std::vector<MeterRow> metered_;
  LedgerChanges ledger_;
  EventChanges events_;
};

}  // namespace quarry::sql
