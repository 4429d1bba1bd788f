// Pure rules of the market: prices, quotes, charges and postings. Takes events and amounts, returns decisions and
// ledger entries: no database, clock or network. Version 1 of the market is one price per PFLOP,
// which the server is given as a flag and freezes into each job, and a configured take.
#pragma once

#include <string>
#include <vector>

#include "common/flops.h"
#include "common/id.h"
#include "common/lifecycle.h"
#include "common/money.h"
#include "common/result.h"

namespace quarry::market {

/// Configured prices, frozen with each job. Amounts per unit; the take in parts per million.
struct Prices {
  Money per_pflop;
  Money per_gib_in, per_gib_out, per_gib_hour;
  uint32_t take_ppm = 0;
};

/// What is charged for: filled in from the meter and the inputs' and outputs' sizes.
struct Work {
  Flops metered;
  uint64_t bytes_in = 0, bytes_out = 0;
  uint64_t byte_hours = 0;  ///< retention of the results up to their stated expiry
};

struct QuoteLine {
  std::string item;      ///< "compute", "transfer_in", "transfer_out", "retention"
  std::string quantity;  ///< decimal
  std::string unit;      ///< "flop", "byte", "byte_hour"
  Money unit_price;      ///< per PFLOP or GiB
  std::string per;       ///< "pflop", "gib", "gib_hour"
  Money amount;
};
struct Quote {
  std::vector<QuoteLine> lines;
  Money total;  ///< what the work costs at today's price
  Money limit;  ///< the most that it can cost: reserved at submit
};

/// Problem "amount_overflow" when the sum leaves numeric(38,12).
Result<Quote> quote(const Work& work, const Prices& prices, int64_t segments);

/// One rounding per segment: the renter's charge rounds up, the owner gets floor(charge x (1 - take)), the operator the
/// rest.
struct Charge {
  Money renter, owner, operator_share;
};
Result<Charge> charge(const Work& segment, const Prices& prices);

/// The books of the ledger. Renter: Available, Reserved. Owner: Pending, Payable. Operator: Revenue. Outside world:
/// Deposits.
enum class Book : int16_t { Available, Reserved, Pending, Payable, Revenue, Deposits };
std::string_view name(Book book);

struct Entry {
  AccountId account;
  Book book;
  Money amount;  ///< entries of a transfer sum to zero
};

/// Every event that moves money. docs/ledger.md is generated from describe_postings().
enum class EventKind : int16_t { Deposit, Reserve, Charge, Release, Reversal, Refund };
std::string_view name(EventKind kind);

struct Event {
  EventKind kind;
  AccountId renter;
  AccountId owner;  ///< of the box, for Charge and Reversal
  AccountId operator_account;
  Money amount;   ///< Deposit, Reserve, Release, Refund
  Charge charge;  ///< Charge, Reversal
};
std::vector<Entry> postings(const Event& event);

/// The table of docs/ledger.md as Markdown.
std::string describe_postings();

/// What the renter of a job that ended pays, beside the charge of each accepted segment.
struct EndTerms {
  EndReason reason;
  bool minimum;  ///< the job's constant, when a box ran it and no segment was accepted: the first one's charge holds it
  bool refund;   ///< all that was charged: the operator bears it, owners keep their shares
};
/// Of the reasons that end a job. Those that end an attempt only cost nothing.
EndTerms end_terms(EndReason reason);
/// The table of end reasons in docs/ledger.md as Markdown.
std::string describe_end_terms();

}  // namespace quarry::market
