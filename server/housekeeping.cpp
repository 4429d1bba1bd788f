#include "server/housekeeping.h"

#include <malloc.h>

namespace quarry::server {

namespace {

constexpr int32_t kForgottenAtOnce = 10'000;
constexpr int kForgettingBatches = 50;  // in a minute: five times what the service was seen to take

}  // namespace

Housekeeping::Housekeeping(const BlobStore& blobs, sql::DatabasePool& pool, std::chrono::milliseconds interval)
    : blobs_(blobs), pool_(pool), thread_([this, interval] { run(interval); }) {}

Housekeeping::~Housekeeping() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_wanted_.notify_one();
  thread_.join();
}

void Housekeeping::run(std::chrono::milliseconds interval) {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    blobs_.drop_old_uploads();
    ::malloc_trim(0);  // what thousands of connections or large bodies used goes back to the machine
    // A batch at a time, so that no transaction is long. Nobody waits for it: what is left over is for the next time.
    pool_.run(
        [](sql::JobStore& store) {
          for (int batch = 0; batch < kForgettingBatches; ++batch)
            if (store.forget_answers(kForgottenAtOnce) < kForgottenAtOnce) return;
        },
        [] {});
    lock.lock();
  } while (!stop_wanted_.wait_for(lock, interval, [this] { return stopping_; }));
}

}  // namespace quarry::server
