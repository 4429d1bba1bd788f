#include "server/api/keys.h"

#include "common/api_key.h"
#include "server/limits.h"

namespace quarry::server {

namespace {
constexpr size_t kRememberedKeys = 10'000;
constexpr std::string_view kScheme = "Bearer ";

Problem unauthorized() {
  return {"unauthorized", "there is no valid API key in this request", "",
          "send Authorization: Bearer and a key of the account"};
}
}  // namespace

Keys::Keys(Database& database, const Clock& clock) : database_(database), clock_(clock), remembered_(kRememberedKeys) {}

Awaitable<Result<std::shared_ptr<const sql::ApiKey>>> Keys::authenticate(const http::Request& request) {
  const std::string* field = request.field("authorization");
  if (field == nullptr || !field->starts_with(kScheme)) co_return unauthorized();
  const auto given = parse_api_key(std::string_view(*field).substr(kScheme.size()));
  if (!given) co_return unauthorized();
  std::shared_ptr<const sql::ApiKey> key;
  if (const auto known = remembered_.find(given->id); known && clock_.now() < known->until) key = known->key;
  if (!key) {
    const std::string id = given->id;
    const auto find = [id](sql::AccountStore& store) { return store.find_api_key(id); };
    auto found = co_await database_.run(find);
    if (!found || found->revoked) co_return unauthorized();
    key = std::make_shared<const sql::ApiKey>(std::move(*found));
    remembered_.put(id, std::make_shared<const Remembered>(Remembered{key, clock_.now() + kKeyCacheTime}), 1);
  }
  if (!constant_time_equal(key->secret_sha256, given->secret_sha256)) co_return unauthorized();
  co_return key;
}

}  // namespace quarry::server
