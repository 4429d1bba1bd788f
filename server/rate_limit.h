// Token buckets by name ("key:...", "address:..."): a request takes one; an empty bucket says how long to wait.
// Thread-safe; forgets full buckets when there are too many.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/clock.h"
#include "server/limits.h"

namespace quarry::server {

class RateLimiter {
 public:
  explicit RateLimiter(const Clock& clock) : clock_(clock) {}
  /// nullopt: go on. Else the whole seconds after which a request will pass, at least 1.
  std::optional<int> take(const std::string& name, Rate rate);

 private:
  struct Bucket {
    double tokens;
    Instant at;
    Rate rate;
  };
  Bucket& refilled(const std::string& name, Rate rate);
  void forget_full_ones(Instant now);

  const Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
};

/// Counts what is held by name: the connections of a key, the event streams of an account. A count is released when its
/// holder is dropped.
class HeldCounts {
 public:
  explicit HeldCounts(size_t limit) : limit_(limit) {}
  /// nullptr when the name has as many as it may.
  std::shared_ptr<void> hold(const std::string& name);

 private:
  struct Counts {
    std::mutex mutex;
    std::unordered_map<std::string, size_t> by_name;
  };
  const size_t limit_;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace quarry::server
