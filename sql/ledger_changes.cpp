#include "sql/changes.h"

namespace quarry::sql {
namespace {

constexpr Statement kTransfers =
    "insert into transfer (id, kind, account, at) select u.id, u.kind, u.account, t.now "
    "from unnest($1::uuid[], $2::int2[], $3::uuid[]) u(id, kind, account), (select business_now() as now) t";
constexpr Statement kLines =
    "insert into transfer_line (job, kind, segment, transfer, amount) "
    "select * from unnest($1::uuid[], $2::int2[], $3::int4[], $4::uuid[], $5::numeric[])";
constexpr Statement kEntries =
    "insert into entry (account, transfer, book, amount) select * from unnest($1::uuid[], $2::uuid[], $3::int2[], "
    "$4::numeric[])";
// Balances are locked in account order before any is changed, so that two batches cannot wait for each other.
constexpr Statement kLockBalances =
    "select 1 from unnest($1::uuid[], $2::int2[]) u(account, book) join balance b on b.account = u.account and b.book "
    "= u.book "
    "order by b.account, b.book for update of b";
constexpr Statement kMoveBalances =
    "update balance b set amount = b.amount + u.delta from unnest($1::uuid[], $2::int2[], $3::numeric[]) u(account, "
    "book, delta) "
    "where b.account = u.account and b.book = u.book";
constexpr Statement kEvents =
    "insert into event (sequence, account, job, kind, payload, at) "
    "select c.event_base + (pg_current_xact_id()::text::bigint << 20) + u.n, u.account, u.job, u.kind, u.payload, "
    "t.now "
    "from cluster c, (select business_now() as now) t, "
    "unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) with ordinality u(account, job, kind, payload, n)";

/// What a line shows: the renter's side of the event.
Money line_amount(const market::Event& event) {
  const bool charged = event.kind == market::EventKind::Charge || event.kind == market::EventKind::Reversal;
  return charged ? event.charge.renter : event.amount;
}

}  // namespace

size_t LedgerChanges::add(const market::Event& event) {
  const auto [found, added] = index_.try_emplace({event.kind, event.renter}, transfers_.size());
  if (added) transfers_.push_back({{}, event.kind, event.renter, {}});
  auto& entries = transfers_[found->second].entries;
  for (const auto& entry : market::postings(event)) entries[{entry.account, entry.book}] += entry.amount;
  return found->second;
}

void LedgerChanges::add(const market::Event& event, JobId job, int32_t segment) {
  const size_t transfer = add(event);
  lines_.push_back({job, event.kind, segment, transfer, line_amount(event)});
}

void LedgerChanges::assign_ids(WallTime now, RandomSource& random) {
  for (auto& transfer : transfers_) transfer.id = TransferId::make(now, random);
}

void LedgerChanges::queue(Connection::Transaction& tx) const {
  if (transfers_.empty()) return;
  std::vector<TransferId> ids;
  std::vector<int> kinds;
  std::vector<AccountId> accounts;
  for (const auto& transfer : transfers_) {
    ids.push_back(transfer.id);
    kinds.push_back(static_cast<int>(transfer.kind));
    accounts.push_back(transfer.account);
  }
  tx.queue(kTransfers, ids, kinds, accounts);

  std::vector<JobId> jobs;
  std::vector<int> line_kinds;
  std::vector<int32_t> segments;
  std::vector<TransferId> line_transfers;
  std::vector<Money> amounts;
  for (const auto& line : lines_) {
    jobs.push_back(line.job);
    line_kinds.push_back(static_cast<int>(line.kind));
    segments.push_back(line.segment);
    line_transfers.push_back(transfers_[line.transfer].id);
    amounts.push_back(line.amount);
  }
  if (!lines_.empty()) tx.queue(kLines, jobs, line_kinds, segments, line_transfers, amounts);
  queue_entries(tx);
}

void LedgerChanges::queue_entries(Connection::Transaction& tx) const {
  std::vector<AccountId> accounts;
  std::vector<TransferId> transfers;
  std::vector<int> books;
  std::vector<Money> amounts;
  std::map<std::pair<AccountId, market::Book>, Money> deltas;
  for (const auto& transfer : transfers_) {
    for (const auto& [key, amount] : transfer.entries) {
      if (amount == Money()) continue;
      accounts.push_back(key.first);
      transfers.push_back(transfer.id);
      books.push_back(static_cast<int>(key.second));
      amounts.push_back(amount);
      deltas[key] += amount;
    }
  }
  if (accounts.empty()) return;
  tx.queue(kEntries, accounts, transfers, books, amounts);

  std::vector<AccountId> moved_accounts;
  std::vector<int> moved_books;
  std::vector<Money> moved;
  for (const auto& [key, delta] : deltas) {
    moved_accounts.push_back(key.first);
    moved_books.push_back(static_cast<int>(key.second));
    moved.push_back(delta);
  }
  tx.queue(kLockBalances, moved_accounts, moved_books);
  tx.queue(kMoveBalances, moved_accounts, moved_books, moved);
}

void EventChanges::add(AccountId account, JobId job, std::string kind, std::string payload) {
  accounts_.push_back(account);
  jobs_.push_back(job);
  kinds_.push_back(std::move(kind));
  payloads_.push_back(std::move(payload));
}

void EventChanges::queue(Connection::Transaction& tx) const {
  if (!jobs_.empty()) tx.queue(kEvents, accounts_, jobs_, kinds_, payloads_);
}

}  // namespace quarry::sql
