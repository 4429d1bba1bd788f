// The typed queries that the other rooms call, by subject; a reader takes the subject that it needs. Every method is
// one transaction on one connection; batched methods take what many requests asked for and commit it at once.
// PostgreSQL is the journal of every durable fact.
//
// Threading: a Store owns one connection and is used by one thread at a time; DatabasePool (group_commit.h) feeds it
// from many. Failure: expected outcomes are values. A lost connection or a serialization failure throws
// StoreUnavailable, after which the effect is unknown: the caller reconnects and repeats, and natural unique keys make
// the repeat harmless.
#pragma once

#include <memory>
#include <string>

#include "common/clock.h"
#include "common/random.h"
#include "sql/account_store.h"
#include "sql/event_store.h"
#include "sql/fleet_store.h"
#include "sql/job_store.h"
#include "sql/ledger_store.h"
#include "sql/object_store.h"
#include "sql/scheduling_store.h"

namespace quarry::sql {

/// Applies the migrations that are missing, under an advisory lock; safe to call from several processes at once.
void migrate(const std::string& connection);

class Store : public AccountStore,
              public LedgerStore,
              public ObjectStore,
              public JobStore,
              public SchedulingStore,
              public FleetStore,
              public EventStore {
 public:
  /// Opens a connection; `connection` is a libpq string. Throws StoreUnavailable.
  static std::unique_ptr<Store> open(const std::string& connection, const Clock& clock, RandomSource& random);
};

}  // namespace quarry::sql
