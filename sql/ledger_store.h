// Balances, the ledger's lines, metered usage, and the reconciler.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sql/job_rows.h"
#include "sql/store_errors.h"

namespace quarry::sql {

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
struct UsageTotals {
  Flops flops, metered;
  UInt128 bytes = 0;
  Money charge;
  int64_t segments = 0;
};

class LedgerStore {
 public:
  virtual ~LedgerStore() = default;
  /// Credits an account once per `reference`; a repeat changes nothing.
  virtual void deposit(AccountId account, Money amount, const std::string& reference) = 0;
  virtual Balance balance(AccountId account) = 0;
  virtual std::vector<LedgerLine> ledger(AccountId account, const Page& page, std::string& next) = 0;
  virtual std::vector<LedgerLine> job_ledger(AccountId account, JobId job) = 0;
  virtual std::vector<MeterRow> job_usage(AccountId account, JobId job) = 0;
  virtual std::vector<MeterRow> usage(AccountId account, const Page& page, std::string& next) = 0;
  virtual UsageTotals usage_totals(AccountId account) = 0;
  /// Re-derives every balance from the entries and every charge from the meter records; returns what disagrees, empty
  /// when all is well.
  virtual std::vector<std::string> reconcile() = 0;
};

}  // namespace quarry::sql
