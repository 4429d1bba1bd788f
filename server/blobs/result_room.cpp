#include "server/blobs/result_room.h"

#include "server/limits.h"

namespace quarry::server {

namespace {

/// Reading the open jobs takes a second when there are a million: it may take a twentieth of the time at most.
constexpr int kPauseFactor = 20;

}  // namespace

Awaitable<bool> ResultRoom::take(uint64_t bytes) {
  TimePoint measured_at, not_before;
  {
    std::lock_guard lock(mutex_);
    measured_at = measured_at_;
    not_before = not_before_;
  }
  const TimePoint now = std::chrono::steady_clock::now();
  if (measured_at == TimePoint{} || now - measured_at > kRoomMeasuredEvery) {
    co_await measure();
    not_before = TimePoint::max();
  }
  if (try_take(bytes)) co_return true;
  if (now < not_before) co_return false;
  co_await measure();
  co_return try_take(bytes);
}

bool ResultRoom::try_take(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (!blobs_.has_space(bytes)) return false;
  pending_ += bytes;
  publish();
  return true;
}

void ResultRoom::accepted(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  pending_ -= bytes;
  fresh_ += bytes;
  publish();
}

void ResultRoom::refused(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  pending_ -= bytes;
  publish();
}

Awaitable<void> ResultRoom::measure() {
  const TimePoint began = std::chrono::steady_clock::now();
  uint64_t fresh_before = 0;
  {
    std::lock_guard lock(mutex_);
    fresh_before = fresh_;
    measured_at_ = began;  // others go on with the last figure meanwhile
    not_before_ = TimePoint::max();
  }
  const auto read = [](sql::JobStore& store) { return store.open_result_bytes(); };
  std::optional<uint64_t> open;
  try {
    open = co_await database_.run(read);
  } catch (const http::RequestFailed&) {  // the submit will meet the same
  }
  const TimePoint now = std::chrono::steady_clock::now();
  std::lock_guard lock(mutex_);
  not_before_ = now + std::max<std::chrono::nanoseconds>(kRoomMeasuredAgain, kPauseFactor * (now - began));
  if (!open) {
    measured_at_ = {};
    co_return;
  }
  measured_ = *open;
  fresh_ -= std::min(fresh_, fresh_before);
  publish();
}

void ResultRoom::publish() {
  blobs_.keep_for_results(measured_ + fresh_ + pending_);
}

}  // namespace quarry::server
