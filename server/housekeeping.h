// Removes what would pile up: unfinished uploads, the answers kept for Idempotency-Keys, expired tensors and results.
// Any number of servers may do it over one database and blob directory.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/blobs/blob_store.h"
#include "server/limits.h"
#include "sql/group_commit.h"

namespace quarry::server {

class Housekeeping {
 public:
  /// Works on a thread of its own, at once and then each `times.housekeeping`. What fails is tried again the next time.
  Housekeeping(const BlobStore& blobs, sql::DatabasePool& pool, const TimeLimits& times);
  ~Housekeeping();
  Housekeeping(const Housekeeping&) = delete;
  Housekeeping& operator=(const Housekeeping&) = delete;

 private:
  void run(const TimeLimits& times);

  const BlobStore& blobs_;
  sql::DatabasePool& pool_;
  std::mutex mutex_;
  std::condition_variable stop_wanted_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quarry::server
