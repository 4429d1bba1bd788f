// A job's life as its renter and its boxes drive it: submitted, read, cancelled, its segments completed or failed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "sql/job_rows.h"
#include "sql/store_errors.h"

namespace quarry::sql {

struct Idempotency {
  std::string key;  ///< empty: none given
  Digest request_sha256{};
};
/// What a job's completions must bring: bytes, as they follow from the graph's dtypes and shapes.
struct JobOutputs {
  struct Kept {
    uint64_t bytes = 0;  ///< of one step's value
    bool each = false;   ///< kept for each step, else for the last
  };
  std::map<std::string, Kept> kept;         ///< by output
  std::map<std::string, uint64_t> carried;  ///< by input
};
struct NewJob : JobTerms {
  std::string document;                                     ///< the job document as JSON
  std::map<std::string, std::vector<wire::Extent>> inputs;  ///< resolved
  std::optional<JobOutputs> outputs;                        ///< nullopt: completions are not compared with anything
};
/// A job that no lease could carry: its document and resolved inputs do not fit a message to a box (wire/messages.h).
/// Submitted all the same, it would end the scheduler with each try to place it.
Status fits_a_lease(const NewJob& job);

/// All jobs of one request: all are accepted or none is.
struct Submission {
  AccountId account;
  std::vector<NewJob> jobs;
  Idempotency idempotency;
  std::string answer;  ///< stored with the idempotency key and given back on a repeat
  int answer_status = 201;
};
struct SubmitOutcome {
  enum class Kind { Accepted, Repeated, KeyReused, InsufficientBalance } kind;
  std::string answer;  ///< the stored answer for Repeated
  int answer_status = 0;
  Money available, needed;            ///< for InsufficientBalance
  std::vector<wire::ReadyJob> ready;  ///< for the scheduler
};

struct OutputRow {
  std::string name;
  std::vector<wire::Extent> extents;  ///< one per accepted segment for "each", one for "last"
};
struct JobRow : StoredJob {
  Flops metered;                   ///< of the whole job
  bool results_expired = false;    ///< filled by job()
  std::string document;            ///< filled by job(), not by jobs(): a page of them could be gigabytes
  std::vector<OutputRow> outputs;  ///< of accepted segments; filled by job(), not by jobs()
};

struct CancelRequest {
  AccountId account;
  JobId job;
};
struct CancelOutcome {
  enum class Kind { Cancelled, AlreadyEnded, NotFound } kind;
  JobState state = JobState::Cancelled;
  std::optional<wire::Fence> running;  ///< the attempt to stop, if one runs
  std::optional<SessionId> session;
};

struct CompletionOutcome {
  wire::CompletionResult result;
  bool job_ended = false;
  JobState state = JobState::Running;
  AccountId account;
  std::optional<wire::ReadyJob> next;  ///< the next segment
};
struct FailureOutcome {
  wire::Fence fence;
  bool stale = false;
  bool job_ended = false;  ///< attempts exhausted or graph_error
  JobState state = JobState::Queued;
  AccountId account;
  std::optional<wire::ReadyJob> next;  ///< the same segment, ready again
};

inline constexpr int32_t kMaxAttempts = 5;  ///< of one segment, before the job ends as attempts_exhausted
/// Attempts that a box gave back when it stopped do not count among those, but a limit is on everything.
inline constexpr int32_t kMaxAttemptsWithDrained = 100;

class JobStore {
 public:
  virtual ~JobStore() = default;
  virtual std::vector<SubmitOutcome> submit(const std::vector<Submission>& batch) = 0;
  virtual std::optional<JobRow> job(AccountId account, JobId job) = 0;
  virtual std::vector<JobRow> jobs(AccountId account, const Page& page, std::string& next) = 0;
  virtual std::vector<CancelOutcome> cancel(const std::vector<CancelRequest>& batch) = 0;
  /// A stored answer for an Idempotency-Key, also for requests other than submit.
  virtual std::optional<SubmitOutcome> find_idempotent(AccountId account, const Idempotency& idempotency) = 0;
  virtual void store_idempotent(AccountId account, const Idempotency& idempotency, int status,
                                const std::string& answer) = 0;
  /// Removes up to `limit` answers that are honoured no more, the oldest first; how many.
  virtual int64_t forget_answers(int32_t limit) = 0;
  /// What the open jobs keep of results once they have succeeded.
  virtual uint64_t open_result_bytes() = 0;

  /// Accepts each completion whose fence is current: meters, charges, ends or continues the job, in one transaction.
  virtual std::vector<CompletionOutcome> complete(const std::vector<wire::Completion>& batch) = 0;
  virtual std::vector<FailureOutcome> fail(const std::vector<wire::AttemptFailure>& batch) = 0;
};

}  // namespace quarry::sql
