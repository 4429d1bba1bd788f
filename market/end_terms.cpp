// What ends a job and who pays, as one table: end_terms() gives a row, describe_end_terms() prints all.
#include <array>
#include <stdexcept>

#include "market/market.h"

namespace quarry::market {
namespace {

struct Row {
  EndTerms terms;
  std::string_view when, renter, owner, operator_side;
};
constexpr std::string_view kAccepted = "the accepted segments", kShare = "its share of them", kTake = "the take";
constexpr std::string_view kMinimum = "the accepted segments, at least the minimum";

constexpr std::array kRows{
    Row{{EndReason::Succeeded, false, false}, "all steps are accepted", "all segments", "its share", kTake},
    Row{{EndReason::Cancelled, true, false}, "its renter cancels it", kMinimum, kShare, kTake},
    Row{{EndReason::DeadlinePassed, true, false}, "its deadline passes", kMinimum, kShare, kTake},
    Row{{EndReason::BudgetStop, true, false}, "its budget is spent", kMinimum, kShare, kTake},
    Row{{EndReason::GraphError, true, false}, "it fails alike on the boxes of two owners", kMinimum, kShare, kTake},
    Row{{EndReason::AttemptsExhausted, false, false}, "boxes failed or were lost too often", kAccepted, kShare, kTake},
    Row{{EndReason::RentalEnded, false, false},
        "its rental ends",
        "nothing: it is in the rental",
        "in the rental",
        "in the rental"},
    Row{{EndReason::ServiceFault, false, true},
        "the service is at fault",
        "nothing: what was charged is refunded",
        "keeps its share of accepted segments",
        "pays the refund"},
};

}  // namespace

EndTerms end_terms(EndReason reason) {
  for (const Row& row : kRows)
    if (row.terms.reason == reason) return row.terms;
  throw std::logic_error("this reason ends an attempt, not a job: " + std::string(name(reason)));
}

std::string describe_end_terms() {
  std::string out = "| end reason | when | renter pays | owner gets | operator |\n|---|---|---|---|---|\n";
  for (const Row& row : kRows) {
    out.append("| ").append(name(row.terms.reason));
    for (const auto cell : {row.when, row.renter, row.owner, row.operator_side}) out.append(" | ").append(cell);
    out.append(" |\n");
  }
  return out;
}

}  // namespace quarry::market
