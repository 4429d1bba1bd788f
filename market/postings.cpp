// Every event that moves money, as one table: postings() applies it and describe_postings() prints it.
#include <array>

#include "market/market.h"

namespace quarry::market {

namespace {

enum class Holder { Renter, Owner, Operator };
enum class Part { Amount, RenterCharge, OwnerShare, OperatorShare };

struct Rule {
  EventKind kind;
  Holder holder;
  Book book;
  bool is_credit;
  Part part;
};

// The rules of an event stand together, debits first; they sum to zero because a charge is the owner's share and the
// operator's.
constexpr std::array kRules{
    Rule{EventKind::Deposit, Holder::Operator, Book::Deposits, false, Part::Amount},
    Rule{EventKind::Deposit, Holder::Renter, Book::Available, true, Part::Amount},

    Rule{EventKind::Reserve, Holder::Renter, Book::Available, false, Part::Amount},
    Rule{EventKind::Reserve, Holder::Renter, Book::Reserved, true, Part::Amount},

    Rule{EventKind::Charge, Holder::Renter, Book::Reserved, false, Part::RenterCharge},
    Rule{EventKind::Charge, Holder::Owner, Book::Pending, true, Part::OwnerShare},
    Rule{EventKind::Charge, Holder::Operator, Book::Revenue, true, Part::OperatorShare},

    Rule{EventKind::Release, Holder::Renter, Book::Reserved, false, Part::Amount},
    Rule{EventKind::Release, Holder::Renter, Book::Available, true, Part::Amount},

    // Back into the reservation: the segment runs again at the frozen terms.
    Rule{EventKind::Reversal, Holder::Owner, Book::Pending, false, Part::OwnerShare},
    Rule{EventKind::Reversal, Holder::Operator, Book::Revenue, false, Part::OperatorShare},
    Rule{EventKind::Reversal, Holder::Renter, Book::Reserved, true, Part::RenterCharge},

    // Owners keep what they earned with accepted segments.
    Rule{EventKind::Refund, Holder::Operator, Book::Revenue, false, Part::Amount},
    Rule{EventKind::Refund, Holder::Renter, Book::Available, true, Part::Amount},
};

struct EventText {
  EventKind kind;
  std::string_view name, when;
};
constexpr std::array kEvents{
    EventText{EventKind::Deposit, "deposit", "money comes in from outside"},
    EventText{EventKind::Reserve, "reserve", "a job is submitted: its limit is set aside"},
    EventText{EventKind::Charge, "charge", "a segment is accepted"},
    EventText{EventKind::Release, "release", "a job ends: what is left of its limit is free again"},
    EventText{EventKind::Reversal, "reversal", "a check rejects an accepted segment: its charge is undone"},
    EventText{EventKind::Refund, "refund", "a job ends by the service's fault: what it was charged is given back"},
};

AccountId account(const Event& event, Holder holder) {
  switch (holder) {
    case Holder::Renter:
      return event.renter;
    case Holder::Owner:
      return event.owner;
    case Holder::Operator:
      return event.operator_account;
  }
  return {};
}

Money amount(const Event& event, Part part) {
  switch (part) {
    case Part::Amount:
      return event.amount;
    case Part::RenterCharge:
      return event.charge.renter;
    case Part::OwnerShare:
      return event.charge.owner;
    case Part::OperatorShare:
      return event.charge.operator_share;
  }
  return {};
}

std::string_view text(Holder holder) {
  switch (holder) {
    case Holder::Renter:
      return "renter";
    case Holder::Owner:
      return "owner";
    case Holder::Operator:
      return "operator";
  }
  return {};
}

std::string_view text(Part part) {
  switch (part) {
    case Part::Amount:
      return "amount";
    case Part::RenterCharge:
      return "charge";
    case Part::OwnerShare:
      return "owner's share";
    case Part::OperatorShare:
      return "operator's share";
  }
  return {};
}

}  // namespace

std::string_view name(Book book) {
  switch (book) {
    case Book::Available:
      return "available";
    case Book::Reserved:
      return "reserved";
    case Book::Pending:
      return "pending";
    case Book::Payable:
      return "payable";
    case Book::Revenue:
      return "revenue";
    case Book::Deposits:
      return "deposits";
  }
  return {};
}

std::string_view name(EventKind kind) {
  return kEvents[static_cast<size_t>(kind)].name;
}

std::vector<Entry> postings(const Event& event) {
  std::vector<Entry> entries;
  for (const Rule& rule : kRules) {
    if (rule.kind != event.kind) continue;
    const Money value = amount(event, rule.part);
    if (value == Money{}) continue;
    entries.push_back({account(event, rule.holder), rule.book, rule.is_credit ? value : -value});
  }
  return entries;
}

std::string describe_postings() {
  std::string out = "| event | when | account | book | entry |\n|---|---|---|---|---|\n";
  for (const EventText& event : kEvents) {
    bool is_first = true;
    for (const Rule& rule : kRules) {
      if (rule.kind != event.kind) continue;
      out.append("| ")
          .append(is_first ? event.name : "")
          .append(" | ")
          .append(is_first ? event.when : "")
          .append(" | ");
      out.append(text(rule.holder)).append(" | ").append(name(rule.book)).append(" | ");
      out.append(rule.is_credit ? "+ " : "- ").append(text(rule.part)).append(" |\n");
      is_first = false;
    }
  }
  return out;
}

}  // namespace quarry::market
