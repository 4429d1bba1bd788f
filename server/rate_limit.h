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

/// Counts connections by API key; a count is released when its holder is dropped.
class KeyConnections {
 public:
  /// nullptr when the key has kMaxConnectionsPerKey already.
  std::shared_ptr<void> hold(const std::string& key_id);

 private:
  struct Counts {
    std::mutex mutex;
    std::unordered_map<std::string, size_t> by_key;
  };
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace quarry::server
