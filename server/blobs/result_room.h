// Keeps room on the blob directory's disk for the results of the jobs that are open, so that a job which was accepted
// never fails because the disk is full: a submit is refused before that, and so are uploads. Thread-safe.
//
// What the database says of all open jobs is read once in a while, and again before a refusal; what this process has
// accepted since is added. A running job counts with all its results, also those that are stored already.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

#include "server/async.h"
#include "server/blobs/blob_store.h"

namespace quarry::server {

class ResultRoom {
 public:
  ResultRoom(Database& database, BlobStore& blobs) : database_(database), blobs_(blobs) {}
  /// Takes room for results that may be accepted; false when there is none. Ends with accepted() or refused().
  Awaitable<bool> take(uint64_t bytes);
  void accepted(uint64_t bytes);
  void refused(uint64_t bytes);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  bool try_take(uint64_t bytes);
  Awaitable<void> measure();
  void publish();  ///< under the lock

  Database& database_;
  BlobStore& blobs_;
  std::mutex mutex_;
  uint64_t measured_ = 0;  ///< of the open jobs that the database had
  uint64_t fresh_ = 0;     ///< accepted here since the reading began
  uint64_t pending_ = 0;   ///< not yet known whether accepted
  TimePoint measured_at_{}, not_before_{};
};

}  // namespace quarry::server
