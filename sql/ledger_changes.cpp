#include "sql/changes.h"

namespace quarry::sql {
namespace {

// Tables that do not depend on each other share a statement: each costs 30-50 us to bind and to start.
constexpr Statement kTransfers =
    "with transfers as (insert into transfer (id, kind, account, at) select u.id, u.kind, u.account, t.now "
    "from unnest($1::uuid[], $2::int2[], $3::uuid[]) u(id, kind, account), (select business_now() as now) t), "
    "lines as (insert into transfer_line (job, kind, segment, transfer, amount) "
    "select * from unnest($4::uuid[], $5::int2[], $6::int4[], $7::uuid[], $8::numeric[])) "
    "insert into entry (account, transfer, book, amount) select * from unnest($9::uuid[], $10::uuid[], $11::int2[], "
    "$12::numeric[])";
// Balances are locked in account order as they are changed, so that two batches cannot wait for each other.
constexpr Statement kMoveBalances =
    "with locked as materialized (select b.account, b.book, u.delta from unnest($1::uuid[], $2::int2[], "
    "$3::numeric[]) u(account, book, delta) join balance b on b.account = u.account and b.book = u.book "
    "order by b.account, b.book for update of b) "
    "update balance b set amount = b.amount + l.delta from locked l where b.account = l.account and b.book = l.book";
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
  std::vector<AccountId> entry_accounts;
  std::vector<TransferId> entry_transfers;
  std::vector<int> books;
  std::vector<Money> entry_amounts;
  for (const auto& transfer : transfers_) {
    for (const auto& [key, amount] : transfer.entries) {
      if (amount == Money()) continue;
      entry_accounts.push_back(key.first);
      entry_transfers.push_back(transfer.id);
      books.push_back(static_cast<int>(key.second));
      entry_amounts.push_back(amount);
    }
  }
  tx.queue(kTransfers, ids, kinds, accounts, jobs, line_kinds, segments, line_transfers, amounts, entry_accounts,
           entry_transfers, books, entry_amounts);
  queue_balances(tx);
}

void LedgerChanges::queue_balances(Connection::Transaction& tx) const {
  std::map<std::pair<AccountId, market::Book>, Money> deltas;
  for (const auto& transfer : transfers_)
    for (const auto& [key, amount] : transfer.entries) deltas[key] += amount;
  std::erase_if(deltas, [](const auto& delta) { return delta.second == Money(); });
  if (deltas.empty()) return;
  std::vector<AccountId> moved_accounts;
  std::vector<int> moved_books;
  std::vector<Money> moved;
  for (const auto& [key, delta] : deltas) {
    moved_accounts.push_back(key.first);
    moved_books.push_back(static_cast<int>(key.second));
    moved.push_back(delta);
  }
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
