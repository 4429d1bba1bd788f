// A small world over a fresh database: a renter with money, two owners with a box and an open session each, and a
// leader.
#pragma once

#include <catch2/catch.hpp>

#include "common/random.h"
#include "sql/store.h"
#include "tests/support/postgres.h"

namespace quarry::test {

inline Money dollars(const char* text) {
  return *Money::parse(text);
}
inline Digest digest(std::string_view text) {
  return sha256(text);
}
std::vector<std::byte> bytes_of(std::string_view text);
wire::Produced produced(const std::string& name, std::string_view content);

/// One GFLOP-ish step at $1 a PFLOP, so that amounts are easy to see.
sql::NewJob new_job(AccountId account, RandomSource& random, int64_t steps = 1, int64_t steps_per_segment = 1);
Money full_price(const sql::NewJob& job);  ///< of all its segments

class World {
 public:
  explicit World(const std::string& target = Postgres::shared().fresh_database());

  struct Box {
    AccountId owner;
    BoxId id;
    sql::OpenedSession session;
    SliceId slice() const { return session.scheduling.at(0).slice; }
  };
  AccountId add_account(const std::string& name);
  Box add_box(const std::string& name);

  sql::SubmitOutcome submit(const sql::NewJob& job, const std::string& key = "", const std::string& request = "");
  JobId submit_job(int64_t steps = 1, int64_t steps_per_segment = 1);
  /// Leases the job's segment to a box; fails the test when the placement did not hold.
  wire::Lease lease(JobId job, int32_t segment, const Box& box);
  std::vector<wire::Lease> try_lease(JobId job, int32_t segment, const Box& box);
  wire::Completion completion(const wire::Lease& lease, std::string_view content = "value") const;
  sql::CompletionOutcome complete(const wire::Completion& completion);
  sql::FailureOutcome fail(const wire::Fence& fence, const std::string& code, const std::string& detail = "");
  sql::CancelOutcome cancel(JobId job);
  sql::JobRow job(JobId job);
  std::vector<std::string> event_kinds(JobId job);
  /// Runs SQL behind the store's back; the error's text, or empty.
  std::string execute(const std::string& statement);
  /// The first cell of a query, as text.
  std::string ask(const std::string& query);

  std::string target;
  SystemClock clock;
  SystemRandom random;
  std::unique_ptr<sql::Store> store;
  AccountId renter;
  int64_t leader_epoch = 0;
  Box first, second;
};

}  // namespace quarry::test
