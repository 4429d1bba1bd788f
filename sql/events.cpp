#include "sql/pg_store.h"

namespace quarry::sql {
namespace {

// Rows at or past the horizon may still be joined by smaller ones: they wait (see the table event).
constexpr Statement kEventsAfter =
    "select sequence, account, job, kind, payload from event where sequence > $1 and sequence < (select "
    "event_horizon()) "
    "order by sequence limit $2";
constexpr Statement kJobEventsAfter =
    "select e.sequence, e.account, e.job, e.kind, e.payload from event e where e.job = $2 and e.account = $1 and "
    "e.sequence > $3 "
    "and e.sequence < (select event_horizon()) order by e.sequence limit $4";
constexpr Statement kHorizon = "select event_horizon() - 1";

std::vector<EventRow> events_from(const Rows& rows) {
  std::vector<EventRow> events;
  for (size_t row = 0; row < rows.size(); ++row)
    events.push_back({rows.get<int64_t>(row, 0), rows.get<AccountId>(row, 1), rows.get<JobId>(row, 2),
                      rows.get<std::string>(row, 3), rows.get<std::string>(row, 4)});
  return events;
}

}  // namespace

std::vector<EventRow> PgStore::events_after(int64_t sequence, int32_t limit) {
  return transact([&](Transaction& tx) {
    const auto read = tx.queue(kEventsAfter, sequence, limit);
    return events_from(tx.flush_and_commit()[read]);
  });
}

std::vector<EventRow> PgStore::job_events_after(AccountId account, JobId job, int64_t sequence, int32_t limit) {
  return transact([&](Transaction& tx) {
    const auto read = tx.queue(kJobEventsAfter, account, job, sequence, limit);
    return events_from(tx.flush_and_commit()[read]);
  });
}

int64_t PgStore::last_event() {
  return transact([&](Transaction& tx) { return tx.query(kHorizon).get<int64_t>(0, 0); });
}

}  // namespace quarry::sql
