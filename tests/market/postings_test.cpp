// Which entries an event makes, and that docs/ledger.md says the same.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "market/market.h"

namespace quarry::market {
namespace {

AccountId account(uint8_t number) {
  AccountId id;
  id.bytes[15] = number;
  return id;
}

Event event(EventKind kind, int64_t amount, int64_t owner = 0, int64_t operator_share = 0) {
  return {kind,
          account(1),
          account(2),
          account(3),
          Money::from_pico(amount),
          {Money::from_pico(owner + operator_share), Money::from_pico(owner), Money::from_pico(operator_share)}};
}

using Books = std::map<std::pair<AccountId, Book>, Int128>;

void post(Books& books, const Event& what) {
  for (const Entry& entry : postings(what)) books[{entry.account, entry.book}] += entry.amount.pico();
}

TEST_CASE("a deposit is available to the renter and owed to the outside world") {
  Books books;
  post(books, event(EventKind::Deposit, 50));
  CHECK(books == Books{{{account(3), Book::Deposits}, -50}, {{account(1), Book::Available}, 50}});
}

TEST_CASE("reserve and release move money between available and reserved") {
  Books books;
  post(books, event(EventKind::Reserve, 50));
  CHECK(books == Books{{{account(1), Book::Available}, -50}, {{account(1), Book::Reserved}, 50}});
  post(books, event(EventKind::Release, 50));
  CHECK(books == Books{{{account(1), Book::Available}, 0}, {{account(1), Book::Reserved}, 0}});
}

TEST_CASE("a charge leaves the reservation and is shared between owner and operator; its reversal puts it back") {
  Books books;
  post(books, event(EventKind::Charge, 0, 7, 3));
  CHECK(books ==
        Books{{{account(1), Book::Reserved}, -10}, {{account(2), Book::Pending}, 7}, {{account(3), Book::Revenue}, 3}});
  post(books, event(EventKind::Reversal, 0, 7, 3));
  for (const auto& [book, amount] : books) CHECK(amount == 0);
}

TEST_CASE("entries of amount zero are left out") {
  CHECK(postings(event(EventKind::Charge, 0, 7, 0)).size() == 2);
  CHECK(postings(event(EventKind::Charge, 0, 0, 0)).empty());
  CHECK(postings(event(EventKind::Release, 0)).empty());
}

TEST_CASE("the entries of every event sum to zero") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2'000; ++i) {
    const auto kind = static_cast<EventKind>(random() % 6);
    const auto some = [&] { return static_cast<int64_t>(random() >> (2 + random() % 62)); };
    Int128 sum = 0;
    for (const Entry& entry : postings(event(kind, some(), some() / 2, some() / 2))) sum += entry.amount.pico();
    CHECK(sum == 0);
  }
}

TEST_CASE("a job's life leaves the renter with the deposit less its charges and nothing reserved") {
  Books books;
  post(books, event(EventKind::Deposit, 100));
  post(books, event(EventKind::Reserve, 60));
  post(books, event(EventKind::Charge, 0, 19, 1));
  post(books, event(EventKind::Charge, 0, 19, 1));
  post(books, event(EventKind::Reversal, 0, 19, 1));
  post(books, event(EventKind::Charge, 0, 19, 1));
  post(books, event(EventKind::Release, 20));
  CHECK(books[{account(1), Book::Available}] == 60);
  CHECK(books[{account(1), Book::Reserved}] == 0);
  CHECK(books[{account(2), Book::Pending}] == 38);
  CHECK(books[{account(3), Book::Revenue}] == 2);
}

TEST_CASE("books and events have the names that the ledger shows") {
  CHECK(name(Book::Available) == "available");
  CHECK(name(Book::Deposits) == "deposits");
  CHECK(name(EventKind::Deposit) == "deposit");
  CHECK(name(EventKind::Reversal) == "reversal");
}

TEST_CASE("a refund comes out of the operator's revenue and leaves the owner's share alone") {
  Books books;
  post(books, event(EventKind::Charge, 0, 7, 3));
  post(books, event(EventKind::Refund, 10));
  CHECK(books[{account(1), Book::Reserved}] + books[{account(1), Book::Available}] == 0);
  CHECK(books[{account(2), Book::Pending}] == 7);
  CHECK(books[{account(3), Book::Revenue}] == -7);
}

TEST_CASE("each reason that ends a job has its terms; a reason of an attempt has none") {
  for (int reason = 0; reason <= static_cast<int>(EndReason::ServiceFault); ++reason)
    CHECK(end_terms(static_cast<EndReason>(reason)).reason == static_cast<EndReason>(reason));
  CHECK_THROWS_AS(end_terms(EndReason::BoxLost), std::logic_error);
}

TEST_CASE("docs/ledger.md holds the table of end reasons") {
  std::ifstream file(QUARRY_LEDGER_DOCUMENT);
  std::stringstream text;
  text << file.rdbuf();
  INFO("docs/ledger.md should hold this table:\n" << describe_end_terms());
  CHECK(text.str().find("\n\n" + describe_end_terms() + "\n") != std::string::npos);
}

TEST_CASE("docs/ledger.md ends with the table of postings") {
  std::ifstream file(QUARRY_LEDGER_DOCUMENT);
  std::stringstream text;
  text << file.rdbuf();
  INFO("replace the table at the end of docs/ledger.md by this one:\n" << describe_postings());
  const std::string document = text.str();
  CHECK(document.ends_with("\n\n" + describe_postings()));
}

}  // namespace
}  // namespace quarry::market
