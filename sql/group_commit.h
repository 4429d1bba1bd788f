// Group commit: everything that queued while the last transaction ran joins the next one, so light load pays no delay
// and heavy load shares its fsyncs.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "sql/store.h"

namespace quarry::sql {

inline constexpr size_t kMaxGroup = 2'000;          ///< items in one transaction
inline constexpr size_t kMaxGroupBytes = 16 << 20;  ///< of what they bring; the item that passes it is still taken
inline constexpr size_t kMaxQueued = 20'000;        ///< past this, enqueue refuses: shed load before queues grow

/// A pool of `threads` database threads. Thread-safe. Callbacks run on a database thread: post to your executor and
/// return.
class DatabasePool {
 public:
  DatabasePool(std::string connection, size_t threads, const Clock& clock, RandomSource& random);
  ~DatabasePool();  ///< finishes what is queued

  /// Runs one piece of work with a Store; on StoreUnavailable reconnects and repeats it up to a bound, then calls
  /// `failed`. Returns false when the queue is full: answer 503.
  bool run(std::function<void(Store&)> work, std::function<void()> failed);

  /// Batched paths: each call joins the next transaction of its kind.
  bool submit(Submission item, std::function<void(Result<SubmitOutcome>)> done);
  bool cancel(CancelRequest item, std::function<void(Result<CancelOutcome>)> done);
  bool complete(wire::Completion item, std::function<void(Result<CompletionOutcome>)> done);
  bool fail(wire::AttemptFailure item, std::function<void(Result<FailureOutcome>)> done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quarry::sql
