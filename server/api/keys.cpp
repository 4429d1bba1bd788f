#include "server/api/keys.h"

#include "common/api_key.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

constexpr size_t kRememberedKeys = 10'000;

/// What follows the scheme "Bearer", written in any case; empty when the scheme is another one.
std::string_view bearer_token(std::string_view field) {
  constexpr std::string_view kScheme = "bearer";
  const size_t blank = std::min(field.find(' '), field.size());
  const bool bearer = std::equal(kScheme.begin(), kScheme.end(), field.begin(), field.begin() + blank,
                                 [](char wanted, char c) { return wanted == c || wanted - 'a' + 'A' == c; });
  if (!bearer) return "";
  field.remove_prefix(blank);
  field.remove_prefix(std::min(field.find_first_not_of(' '), field.size()));
  return field;
}

}  // namespace

Problem Keys::unauthorized() {
  return {"unauthorized", "there is no valid API key in this request", "",
          "send Authorization: Bearer and a key of the account"};
}

Keys::Keys(Database& database, const Clock& clock) : database_(database), clock_(clock), remembered_(kRememberedKeys) {}

Awaitable<std::shared_ptr<const sql::ApiKey>> Keys::find(std::string id) {
  if (const auto known = remembered_.find(id); known && clock_.now() < known->until) co_return known->key;
  const auto look_up = [id](sql::AccountStore& store) { return store.find_api_key(id); };
  auto found = co_await database_.run(look_up);
  if (!found || found->revoked) co_return nullptr;
  auto key = std::make_shared<const sql::ApiKey>(std::move(*found));
  remembered_.put(id, std::make_shared<const Remembered>(Remembered{key, clock_.now() + kKeyCacheTime}), 1);
  co_return key;
}

Awaitable<Result<std::shared_ptr<const sql::ApiKey>>> Keys::authenticate(const http::Request& request) {
  const std::string* field = request.field("authorization");
  if (field == nullptr) co_return unauthorized();
  const auto given = parse_api_key(bearer_token(*field));
  if (!given) co_return unauthorized();
  const auto key = co_await find(given->id);
  if (!key) co_return unauthorized();
  if (!constant_time_equal(key->secret_sha256, given->secret_sha256)) co_return unauthorized();
  co_return key;
}

Awaitable<bool> Keys::is_good(std::string id) {
  const auto key = co_await find(std::move(id));
  co_return key != nullptr;
}

}  // namespace quarry::server
