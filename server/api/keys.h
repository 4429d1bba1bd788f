// Who is asking: finds the API key of a request and compares its secret. Keys are remembered for kKeyCacheTime, so a
// revoked key stops working within that time.
#pragma once

#include <memory>
#include <optional>

#include "common/clock.h"
#include "server/api/call.h"
#include "server/lru_cache.h"

namespace quarry::server {

class Keys {
 public:
  Keys(Database& database, const Clock& clock);
  /// The key named by the Authorization field; Problem "unauthorized" when it is absent, unknown, wrong or revoked: one
  /// sentence for all.
  Awaitable<Result<std::shared_ptr<const sql::ApiKey>>> authenticate(const http::Request& request);

 private:
  struct Remembered {
    std::shared_ptr<const sql::ApiKey> key;
    Instant until;
  };
  Database& database_;
  const Clock& clock_;
  LruCache<std::string, Remembered> remembered_;
};

}  // namespace quarry::server
