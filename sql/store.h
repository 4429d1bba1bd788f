// The typed queries that the other rooms call. Every method is one transaction on one connection; batched methods take
// what many requests asked for and commit it at once (group commit: design section 9). PostgreSQL is the journal of
// every durable fact.
//
// Threading: a Store owns one connection and is used by one thread at a time; GroupCommit (group_commit.h) feeds it
// from many. Failure: expected outcomes are values. A lost connection or a serialization failure throws
// StoreUnavailable, after which the effect is unknown: the caller reconnects and repeats, and natural unique keys make
// the repeat harmless.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/flops.h"
#include "common/id.h"
#include "common/lifecycle.h"
#include "common/money.h"
#include "common/result.h"
#include "common/sha256.h"
#include "market/market.h"
#include "wire/messages.h"

namespace quarry::sql {

struct StoreUnavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A page's cursor is not one that this store gave out.
struct BadCursor : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Applies the migrations that are missing, under an advisory lock; safe to call from several processes at once.
void migrate(const std::string& connection);

// --- accounts and keys ---
struct ApiKey {
  std::string id;  ///< the public part of qk_live_<id>_<secret>
  AccountId account;
  Digest secret_sha256{};
  std::vector<std::string>
      scopes;  ///< "jobs:read", "jobs:write", "tensors:read", "tensors:write", "account:read", "boxes:write"
  bool revoked = false;
};
struct AccountRow {
  AccountId id;
  std::string name;
};

// --- jobs ---
/// The metered vector of one step, as counted at submit (engine/meter StepCount), and the job's scalar.
struct MeteredStep {
  Flops flops, weighted16, weighted32, weighted64;
  UInt128 bytes = 0;
  uint64_t stored_values = 0;
};
struct Idempotency {
  std::string key;  ///< empty: none given
  Digest request_sha256{};
};
struct NewJob {
  JobId id;
  AccountId account;
  Digest graph{};
  std::string document;  ///< the job document as JSON
  MeteredStep step;
  int32_t tariff = 1;
  uint64_t memory_bound_bytes = 0;
  uint32_t dtypes = 0;
  int64_t first_step = 0, steps = 1, steps_per_segment = 1;
  uint64_t bytes_in = 0, bytes_out = 0, byte_hours = 0;
  market::Prices prices;                                    ///< frozen
  Money limit;                                              ///< reserved
  std::map<std::string, std::vector<wire::Extent>> inputs;  ///< resolved
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
struct JobRow {
  JobId id;
  AccountId account;
  Digest graph{};
  std::string document;  ///< filled by job(), not by jobs(): a page of them could be gigabytes
  JobState state;
  std::optional<EndReason> end_reason;
  std::string failure_detail;
  WallTime submitted_at;
  std::optional<WallTime> started_at, ended_at;
  int64_t first_step = 0, steps = 0, steps_per_segment = 0;
  int64_t steps_accepted = 0;
  int32_t segment = 0, attempt = 0;  ///< current ones
  Flops metered;                     ///< of the whole job
  Money limit, spent;
  market::Prices prices;
  std::vector<OutputRow> outputs;  ///< of accepted segments; filled by job(), not by jobs()
};
struct Page {
  std::string after;  ///< opaque cursor, empty for the first page; BadCursor is thrown for what is none
  int32_t limit = 50;
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

// --- completions ---
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

// --- ledger ---
struct Balance {
  Money available, reserved, pending, payable;
};
struct LedgerLine {
  std::string transfer;  ///< xfer_...
  WallTime at;
  std::string kind, book;
  Money amount;
  std::vector<std::pair<std::string, int32_t>> segments;  ///< (job, segment) that the transfer sums; -1: the job
};
struct UsageLine {
  JobId job;
  int32_t segment;  ///< -1: the minimum of a job that ended before any segment was accepted
  WallTime at;
  int64_t steps;
  MeteredStep work;  ///< of the segment, all its steps
  Flops metered;
  Money charge;
};
struct UsageTotals {
  Flops flops, metered;
  UInt128 bytes = 0;
  Money charge;
  int64_t segments = 0;
};

// --- fleet ---
struct BoxRow {
  BoxId id;
  AccountId account;
  std::string name;
  std::optional<Digest> key_sha256;  ///< set when claimed
  bool revoked = false;
};
struct OpenedSession {
  wire::SessionKey session;
  uint64_t incarnation = 0;
  BoxId box;
  AccountId owner;
  std::vector<wire::WelcomeSlice> slices;
  std::vector<wire::SessionSlice> scheduling;
  bool resumed = false;
};
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

// --- events ---
struct EventRow {
  int64_t sequence = 0;  ///< per outbox, increasing: the Last-Event-ID
  AccountId account;
  JobId job;
  std::string kind;     ///< "job.queued", "job.running", "segment.accepted", "job.succeeded", ...
  std::string payload;  ///< JSON
};

class Store {
 public:
  virtual ~Store() = default;
  /// Opens a connection; `connection` is a libpq string. Throws StoreUnavailable.
  static std::unique_ptr<Store> open(const std::string& connection, const Clock& clock, RandomSource& random);

  // accounts, keys, money
  virtual AccountId create_account(const std::string& name) = 0;
  virtual std::optional<AccountRow> find_account(const std::string& name) = 0;
  virtual std::optional<AccountRow> account(AccountId account) = 0;
  virtual void create_api_key(const ApiKey& key) = 0;
  virtual bool revoke_api_key(AccountId account, const std::string& id) = 0;
  virtual std::optional<ApiKey> find_api_key(const std::string& id) = 0;
  virtual std::vector<ApiKey> api_keys(AccountId account) = 0;
  /// Credits an account once per `reference`; a repeat changes nothing.
  virtual void deposit(AccountId account, Money amount, const std::string& reference) = 0;
  virtual Balance balance(AccountId account) = 0;
  virtual std::vector<LedgerLine> ledger(AccountId account, const Page& page, std::string& next) = 0;
  virtual std::vector<LedgerLine> job_ledger(AccountId account, JobId job) = 0;
  virtual std::vector<UsageLine> job_usage(AccountId account, JobId job) = 0;
  virtual std::vector<UsageLine> usage(AccountId account, const Page& page, std::string& next) = 0;
  virtual UsageTotals usage_totals(AccountId account) = 0;
  /// Re-derives every balance from the entries and every charge from the meter records; returns what disagrees, empty
  /// when all is well.
  virtual std::vector<std::string> reconcile() = 0;

  // graphs and tensors: the rows only, the bytes lie in the server's blob store
  virtual void put_graph(AccountId account, const Digest& graph, uint64_t bytes) = 0;
  virtual bool owns_graph(AccountId account, const Digest& graph) = 0;
  virtual void put_tensor(AccountId account, const Digest& file, uint64_t bytes) = 0;
  virtual std::optional<uint64_t> tensor_bytes(AccountId account, const Digest& file) = 0;
  /// Bytes of a small output that travelled inside a completion.
  virtual std::optional<std::vector<std::byte>> small_blob(const Digest& blob) = 0;

  // jobs
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

  // segments: accepts each completion whose fence is current, meters, charges, ends or continues the job; one
  // transaction
  virtual std::vector<CompletionOutcome> complete(const std::vector<wire::Completion>& batch) = 0;
  virtual std::vector<FailureOutcome> fail(const std::vector<wire::AttemptFailure>& batch) = 0;

  // scheduler
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
  /// Commits the placements that still hold (leader epoch, job queued at that segment, session open); the others are
  /// absent from the result.
  virtual std::vector<wire::Lease> lease(int64_t leader_epoch, const std::vector<Placement>& batch) = 0;
  /// Closes the sessions and queues their attempts' segments again; a job past kMaxAttempts ends as attempts_exhausted.
  virtual std::vector<FailureOutcome> expire_sessions(int64_t leader_epoch,
                                                      const std::vector<wire::SessionKey>& sessions) = 0;

  // fleet
  virtual BoxId create_box(AccountId account, const std::string& name, const Digest& claim_code_sha256) = 0;
  /// Spends a claim code, binding the box to a key. nullopt: unknown or spent with another key (the same key again
  /// succeeds).
  virtual std::optional<BoxRow> claim_box(const Digest& claim_code_sha256, const Digest& key_sha256) = 0;
  virtual std::optional<BoxRow> find_box(BoxId box) = 0;
  virtual std::vector<BoxRow> boxes(AccountId account) = 0;
  virtual bool revoke_box(AccountId account, BoxId box) = 0;
  /// Resumes the session that the Hello names while it is open; else opens a new one. Throws std::invalid_argument when
  /// the box is unknown, unclaimed or revoked, or when its report is contradictory (overlapping slices). An older
  /// session of the box stays open until the scheduler expires it, which then queues its attempts again.
  virtual OpenedSession open_session(BoxId box, const wire::Hello& hello) = 0;

  // events
  /// Rows in sequence order, never skipping one that commits later: rows wait until all older transactions have ended,
  /// milliseconds as a rule, so a reader that was woken by a hint looks again a little later.
  virtual std::vector<EventRow> events_after(int64_t sequence, int32_t limit) = 0;
  virtual std::vector<EventRow> job_events_after(AccountId account, JobId job, int64_t sequence, int32_t limit) = 0;
  /// A position that all rows still to come lie behind.
  virtual int64_t last_event() = 0;
};

/// The operator's own account, made by the migrations: the other side of deposits, and the operator's revenue.
inline constexpr AccountId kOperatorAccount{{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};

inline constexpr int32_t kMaxAttempts = 5;  ///< of one segment, before the job ends as attempts_exhausted
/// Attempts that a box gave back when it stopped do not count among those, but a limit is on everything.
inline constexpr int32_t kMaxAttemptsWithDrained = 100;

}  // namespace quarry::sql
