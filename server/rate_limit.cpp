#include "server/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace quarry::server {

namespace {
double seconds_between(Instant from, Instant to) {
  return static_cast<double>((to - from).count()) / 1e6;
}
}  // namespace

RateLimiter::Bucket& RateLimiter::refilled(const std::string& name, Rate rate) {
  const Instant now = clock_.now();
  if (buckets_.size() >= kMaxBuckets) forget_full_ones(now);
  auto [found, fresh] = buckets_.try_emplace(name, Bucket{rate.burst, now, rate});
  Bucket& bucket = found->second;
  bucket.tokens = std::min(rate.burst, bucket.tokens + seconds_between(bucket.at, now) * rate.per_second);
  bucket.at = now;
  return bucket;
}

std::optional<int> RateLimiter::take(const std::string& name, Rate rate) {
  std::lock_guard lock(mutex_);
  Bucket& bucket = refilled(name, rate);
  if (bucket.tokens < 1) return std::max(1, static_cast<int>(std::ceil((1 - bucket.tokens) / rate.per_second)));
  bucket.tokens -= 1;
  return std::nullopt;
}

void RateLimiter::forget_full_ones(Instant now) {
  std::erase_if(buckets_, [now](const auto& entry) {
    const Bucket& bucket = entry.second;
    return bucket.tokens + seconds_between(bucket.at, now) * bucket.rate.per_second >= bucket.rate.burst;
  });
  if (buckets_.size() >= kMaxBuckets) buckets_.clear();  // an attack from more addresses than are remembered
}

std::shared_ptr<void> HeldCounts::hold(const std::string& name) {
  std::lock_guard lock(counts_->mutex);
  size_t& count = counts_->by_name[name];
  if (count >= limit_) return nullptr;
  ++count;
  return std::shared_ptr<void>(static_cast<void*>(&count), [counts = counts_, name](void*) {
    std::lock_guard release(counts->mutex);
    const auto found = counts->by_name.find(name);
    if (--found->second == 0) counts->by_name.erase(found);
  });
}

}  // namespace quarry::server
