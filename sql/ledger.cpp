#include "sql/cursors.h"
#include "sql/pg_store.h"

namespace quarry::sql {
namespace {

constexpr Statement kInsertDeposit =
    "insert into deposit (account, reference, transfer, amount) values ($1, $2, $3, $4) on conflict do nothing "
    "returning 1";
constexpr Statement kAudit = "select audit('deposit', $1, $2)";
constexpr Statement kBalance = "select book, amount from balance where account = $1";
constexpr Statement kLedger =
    "select e.transfer, micros(t.at), k.name, b.name, e.amount, e.book, "
    "(select coalesce(string_agg(l.job || ' ' || l.segment, ',' order by l.job, l.segment), '') "
    " from (select job, segment from transfer_line l where l.transfer = e.transfer order by job, segment limit 1000) "
    "l) "
    "from entry e join transfer t on t.id = e.transfer join ledger_kind k on k.id = t.kind join book b on b.id = "
    "e.book "
    "where e.account = $1 and (e.transfer, e.book) < ($2::uuid, $3::int2) order by e.transfer desc, e.book desc limit "
    "$4";
constexpr Statement kJobLedger =
    "select l.transfer, micros(t.at), l.kind, l.amount, l.segment from job j join transfer_line l on l.job = j.id "
    "join transfer t on t.id = l.transfer where j.account = $1 and j.id = $2 order by l.transfer, l.kind, l.segment";
constexpr auto kUsage = joined("select ", kMeterColumns,
                               " from meter m where m.account = $1 and m.sequence < $2 order by m.sequence desc limit "
                               "$3");
constexpr auto kJobUsage =
    joined("select ", kMeterColumns,
           " from job j join meter m on m.job = j.id where j.account = $1 and j.id = $2 order by m.segment");
constexpr Statement kUsageTotals = "select flops, metered, bytes, charge, segments from usage_total where account = $1";

/// "job segment,job segment,..." as kLedger aggregates it.
std::vector<std::pair<std::string, int32_t>> segments_from(std::string_view text) {
  std::vector<std::pair<std::string, int32_t>> segments;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, comma);
    const size_t space = item.find(' ');
    segments.emplace_back(Cell<JobId>::read(item.substr(0, space)).to_string(),
                          from_text<int32_t>(item.substr(space + 1)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return segments;
}

}  // namespace

void PgStore::deposit(AccountId account, Money amount, const std::string& reference) {
  if (amount <= Money()) throw std::invalid_argument("a deposit must be more than zero");
  transact([&](Transaction& tx) {
    LedgerChanges ledger;
    const size_t transfer = ledger.add({.kind = market::EventKind::Deposit,
                                        .renter = account,
                                        .owner = {},
                                        .operator_account = kOperatorAccount,
                                        .amount = amount,
                                        .charge = {}});
    ledger.assign_ids(clock_.wall(), random_);
    if (tx.query(kInsertDeposit, account, reference, ledger.id_of(transfer), amount).empty()) return;  // a repeat
    ledger.queue(tx);
    tx.queue(kAudit, account.to_string(), amount.to_string() + " " + reference);
  });
}

Balance PgStore::balance(AccountId account) {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kBalance, account);
    Balance balance;
    for (size_t row = 0; row < rows.size(); ++row) {
      const Money amount = rows.get<Money>(row, 1);
      switch (static_cast<market::Book>(rows.get<int32_t>(row, 0))) {
        case market::Book::Available:
          balance.available = amount;
          break;
        case market::Book::Reserved:
          balance.reserved = amount;
          break;
        case market::Book::Pending:
          balance.pending = amount;
          break;
        case market::Book::Payable:
          balance.payable = amount;
          break;
        case market::Book::Revenue:
        case market::Book::Deposits:
          break;  // the operator's, not a renter's or owner's figure
      }
    }
    return balance;
  });
}

std::vector<LedgerLine> PgStore::ledger(AccountId account, const Page& page, std::string& next) {
  const LedgerCursor after = read_ledger_cursor(page.after);
  const int32_t limit = std::clamp(page.limit, 1, kMaxPage);
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kLedger, account, after.transfer, after.book, limit + 1);
    std::vector<LedgerLine> lines;
    next.clear();
    for (size_t row = 0; row < rows.size(); ++row) {
      if (row == static_cast<size_t>(limit)) {
        next = rows.get<std::string>(row - 1, 0) + "." + rows.get<std::string>(row - 1, 5);
        break;
      }
      lines.push_back({rows.get<TransferId>(row, 0).to_string(), rows.get<WallTime>(row, 1),
                       rows.get<std::string>(row, 2), rows.get<std::string>(row, 3), rows.get<Money>(row, 4),
                       segments_from(rows.text(row, 6))});
    }
    return lines;
  });
}

std::vector<LedgerLine> PgStore::job_ledger(AccountId account, JobId job) {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kJobLedger, account, job);
    std::vector<LedgerLine> lines;
    for (size_t row = 0; row < rows.size(); ++row) {
      market::Event event;
      event.kind = static_cast<market::EventKind>(rows.get<int32_t>(row, 2));
      event.renter = account;
      event.operator_account = kOperatorAccount;
      event.owner = kOperatorAccount;  // only the renter's side is shown
      event.amount = rows.get<Money>(row, 3);
      event.charge = {event.amount, Money(), event.amount};
      for (const auto& entry : market::postings(event))
        if (entry.account == account && entry.amount != Money())
          lines.push_back({rows.get<TransferId>(row, 0).to_string(),
                           rows.get<WallTime>(row, 1),
                           std::string(name(event.kind)),
                           std::string(name(entry.book)),
                           entry.amount,
                           {{job.to_string(), rows.get<int32_t>(row, 4)}}});
    }
    return lines;
  });
}

std::vector<MeterRow> PgStore::usage(AccountId account, const Page& page, std::string& next) {
  const int64_t after = read_usage_cursor(page.after);
  const int32_t limit = std::clamp(page.limit, 1, kMaxPage);
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kUsage, account, after, limit + 1);
    std::vector<MeterRow> lines;
    next.clear();
    for (size_t row = 0; row < rows.size(); ++row) {
      if (row == static_cast<size_t>(limit)) {
        next = std::to_string(lines.back().sequence);
        break;
      }
      lines.push_back(read_row<MeterRow>(rows, row));
    }
    return lines;
  });
}

std::vector<MeterRow> PgStore::job_usage(AccountId account, JobId job) {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kJobUsage, account, job);
    std::vector<MeterRow> lines;
    for (size_t row = 0; row < rows.size(); ++row) lines.push_back(read_row<MeterRow>(rows, row));
    return lines;
  });
}

UsageTotals PgStore::usage_totals(AccountId account) {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kUsageTotals, account);
    if (rows.empty()) return UsageTotals{};
    return UsageTotals{rows.get<Flops>(0, 0), rows.get<Flops>(0, 1), rows.get<UInt128>(0, 2), rows.get<Money>(0, 3),
                       rows.get<int64_t>(0, 4)};
  });
}

}  // namespace quarry::sql
