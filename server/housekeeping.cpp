#include "server/housekeeping.h"

#include <malloc.h>

namespace quarry::server {

namespace {

constexpr int32_t kForgottenAtOnce = 10'000;
constexpr int kForgettingBatches = 50;  // in a minute: five times what the service was seen to take
constexpr int32_t kExpiredAtOnce = 500;
constexpr int kExpiringBatches = 20;
constexpr int32_t kFilesAtOnce = 100;

/// Rows first, then the files that no row names any more. Killed anywhere in it, the next one goes on: a removed file
/// is forgotten only when its removal is durable.
void remove_expired(sql::ObjectStore& store, const BlobStore& blobs, std::chrono::milliseconds grace) {
  for (int batch = 0; batch < kExpiringBatches; ++batch)
    if (store.expire_tensors(kExpiredAtOnce) < kExpiredAtOnce) break;
  for (int batch = 0; batch < kExpiringBatches; ++batch)
    if (store.expire_jobs(kExpiredAtOnce) < kExpiredAtOnce) break;
  for (int batch = 0; batch < kExpiringBatches; ++batch) {
    const auto files = store.sweep_garbage(std::chrono::ceil<std::chrono::seconds>(grace), kFilesAtOnce);
    std::vector<sql::GarbageFile> removed;
    for (const auto& file : files) {
      const bool tensor = file.kind == sql::GarbageFile::Kind::Tensor;
      if (blobs.remove(tensor ? BlobKind::Tensor : BlobKind::Result, file.sha256, grace)) removed.push_back(file);
    }
    store.forget_garbage(removed);
    if (removed.size() < static_cast<size_t>(kFilesAtOnce)) return;
  }
}

}  // namespace

Housekeeping::Housekeeping(const BlobStore& blobs, sql::DatabasePool& pool, const TimeLimits& times)
    : blobs_(blobs), pool_(pool), thread_([this, times] { run(times); }) {}

Housekeeping::~Housekeeping() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_wanted_.notify_one();
  thread_.join();
}

void Housekeeping::run(const TimeLimits& times) {
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
    pool_.run([this, grace = times.blob_grace](sql::ObjectStore& store) { remove_expired(store, blobs_, grace); },
              [] {});
    lock.lock();
  } while (!stop_wanted_.wait_for(lock, times.housekeeping, [this] { return stopping_; }));
}

}  // namespace quarry::server
