// Who is asking: finds the API key of a request and compares its secret. Keys are remembered for kKeyCacheTime, so a
// revoked key stops working within that time.
#pragma once

#include <memory>
#include <string>

#include "common/clock.h"
#include "common/result.h"
#include "server/async.h"
#include "server/lru_cache.h"
#include "sql/account_store.h"

namespace quarry::server {

class Keys {
 public:
  Keys(Database& database, const Clock& clock);
  /// The key named by the Authorization field; unauthorized() when it is absent, unknown, wrong or revoked.
  Awaitable<Result<std::shared_ptr<const sql::ApiKey>>> authenticate(const http::Request& request);
  /// Whether a key that was good is so still. Asked again by what lasts: waits, streams, the end of a slow body.
  Awaitable<bool> is_good(std::string id);
  /// One sentence for all causes.
  static Problem unauthorized();

 private:
  struct Remembered {
    std::shared_ptr<const sql::ApiKey> key;
    Instant until;
  };
  /// nullptr when the key is unknown or revoked.
  Awaitable<std::shared_ptr<const sql::ApiKey>> find(std::string id);

  Database& database_;
  const Clock& clock_;
  LruCache<std::string, Remembered> remembered_;
};

}  // namespace quarry::server
