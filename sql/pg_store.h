// The Store over PostgreSQL. One class, its methods in one file a subject: accounts, ledger, reconcile, jobs,
// completions, scheduling, fleet, events.
#pragma once

#include "sql/changes.h"
#include "sql/connection.h"
#include "sql/store.h"

namespace quarry::sql {

inline constexpr int kMaxConflicts = 10;  ///< repeats of a transaction that lost a race, before the caller hears of it
inline constexpr int32_t kMaxPage = 1'000;
/// Every backend of this version runs every dtype.
inline constexpr uint32_t kEveryDtype = UINT32_MAX;

class PgStore final : public Store {
 public:
  PgStore(const std::string& connection, const Clock& clock, RandomSource& random)
      : connection_(connection), clock_(clock), random_(random) {
    connection_.script("select notice_crash()");  // before the first transaction: see the migration
  }

  void create_account(const AccountRow& account) override;
  std::optional<AccountRow> find_account(const std::string& name) override;
  std::optional<AccountRow> account(AccountId account) override;
  void create_api_key(const ApiKey& key) override;
  bool revoke_api_key(AccountId account, const std::string& id) override;
  std::optional<ApiKey> find_api_key(const std::string& id) override;
  std::vector<ApiKey> api_keys(AccountId account) override;

  void deposit(AccountId account, Money amount, const std::string& reference) override;
  Balance balance(AccountId account) override;
  std::vector<LedgerLine> ledger(AccountId account, const Page& page, std::string& next) override;
  std::vector<LedgerLine> job_ledger(AccountId account, JobId job) override;
  std::vector<MeterRow> usage(AccountId account, const Page& page, std::string& next) override;
  std::vector<MeterRow> job_usage(AccountId account, JobId job) override;
  UsageTotals usage_totals(AccountId account) override;
  std::vector<std::string> reconcile() override;

  void put_graph(AccountId account, const Digest& graph, uint64_t bytes) override;
  bool owns_graph(AccountId account, const Digest& graph) override;
  std::optional<QuotaReached> put_tensor(AccountId account, const Digest& file, uint64_t bytes,
                                         uint64_t quota_bytes) override;
  std::optional<TensorRow> tensor(AccountId account, const Digest& file) override;
  bool delete_tensor(AccountId account, const Digest& file) override;
  uint64_t stored_bytes(AccountId account) override;
  std::optional<std::vector<std::byte>> small_blob(const Digest& blob) override;
  int64_t expire_tensors(int32_t limit) override;
  int64_t expire_jobs(int32_t limit) override;
  std::vector<GarbageFile> sweep_garbage(std::chrono::seconds grace, int32_t limit) override;
  void forget_garbage(const std::vector<GarbageFile>& removed) override;

  std::vector<SubmitOutcome> submit(const std::vector<Submission>& batch) override;
  std::optional<JobRow> job(AccountId account, JobId job) override;
  std::vector<JobRow> jobs(AccountId account, const Page& page, std::string& next) override;
  std::vector<CancelOutcome> cancel(const std::vector<CancelRequest>& batch) override;
  std::optional<SubmitOutcome> find_idempotent(AccountId account, const Idempotency& idempotency) override;
  void store_idempotent(AccountId account, const Idempotency& idempotency, int status,
                        const std::string& answer) override;
  int64_t forget_answers(int32_t limit) override;
  uint64_t open_result_bytes() override;

  std::vector<CompletionOutcome> complete(const std::vector<wire::Completion>& batch) override;
  std::vector<FailureOutcome> fail(const std::vector<wire::AttemptFailure>& batch) override;

  Leader try_lead(const std::string& holder, const std::string& address, std::chrono::milliseconds ttl) override;
  std::optional<Leader> current_leader() override;
  void resign(int64_t leader_epoch) override;
  std::vector<wire::ReadyJob> load_ready() override;
  std::vector<RunningAttempt> load_running() override;
  std::vector<wire::SessionUp> load_sessions() override;
  std::vector<wire::Lease> load_leases(const std::vector<wire::Fence>& fences) override;
  std::vector<wire::Lease> session_leases(const wire::SessionKey& session) override;
  std::vector<wire::Lease> lease(int64_t leader_epoch, const std::vector<Placement>& batch) override;
  bool fault(int64_t leader_epoch, JobId job, const std::string& detail) override;
  std::vector<FailureOutcome> expire_sessions(int64_t leader_epoch,
                                              const std::vector<wire::SessionKey>& sessions) override;

  BoxId create_box(AccountId account, const std::string& name, const Digest& claim_code_sha256) override;
  std::optional<BoxRow> claim_box(const Digest& claim_code_sha256, const Digest& key_sha256) override;
  std::optional<BoxRow> find_box(BoxId box) override;
  std::vector<BoxRow> boxes(AccountId account) override;
  bool revoke_box(AccountId account, BoxId box) override;
  OpenedSession open_session(BoxId box, const wire::Hello& hello) override;
  void update_rates(BoxId box, const std::string& device_key, const std::map<std::string, double>& rate_card) override;

  std::vector<EventRow> events_after(int64_t sequence, int32_t limit) override;
  std::vector<EventRow> job_events_after(AccountId account, JobId job, int64_t sequence, int32_t limit) override;
  int64_t last_event() override;

 private:
  using Transaction = Connection::Transaction;

  /// Runs `body(tx)` and commits, again from the start when it lost a race. A batch may be repeated as a whole: its
  /// effects are keyed.
  template <class Body>
  auto transact(Body&& body) {
    for (int conflicts = 1;; ++conflicts) {
      try {
        Transaction tx(connection_);
        if constexpr (std::is_void_v<decltype(body(tx))>) {
          body(tx);
          tx.commit();
          return;
        } else {
          auto result = body(tx);
          tx.commit();
          return result;
        }
      } catch (const TransactionConflict& conflict) {
        if (conflicts < kMaxConflicts) continue;
        if (conflict.sqlstate == "23505") throw;
        throw StoreUnavailable(conflict.what());
      }
    }
  }
  void raise_recent();
  void report_devices(Transaction& tx, BoxId box, const wire::Hello& hello);
  void read_slices(Transaction& tx, BoxId box, OpenedSession& opened);

  Connection connection_;
  const Clock& clock_;
  RandomSource& random_;
};

}  // namespace quarry::sql
