#include <algorithm>

#include "sql/pg_store.h"

namespace quarry::sql {
namespace {

constexpr Statement kInsertAccount =
    "insert into account (id, name) values ($1, $2) on conflict (id) do nothing returning name";
constexpr Statement kInsertBalances = "insert into balance (account, book) select $1::uuid, id from book";
constexpr Statement kFindAccount = "select id, name from account where name = $1";
constexpr Statement kReadAccount = "select id, name from account where id = $1";
constexpr Statement kAudit = "select audit($1, $2, $3)";
constexpr Statement kInsertKey =
    "insert into api_key (id, account, secret_sha256, scopes) values ($1, $2, $3, $4) on conflict (id) do nothing "
    "returning id";
constexpr Statement kRevokeKey =
    "update api_key set revoked_at = business_now() where account = $1 and id = $2 and revoked_at is null returning id";
#define QUARRY_KEY_COLUMNS "id, account, secret_sha256, array_to_string(scopes, ','), revoked_at is not null"
constexpr Statement kFindKey = "select " QUARRY_KEY_COLUMNS " from api_key where id = $1";
constexpr Statement kListKeys = "select " QUARRY_KEY_COLUMNS " from api_key where account = $1 order by created_at, id";

ApiKey key_from(const Rows& rows, size_t row) {
  ApiKey key{
      rows.get<std::string>(row, 0), rows.get<AccountId>(row, 1), rows.get<Digest>(row, 2), {}, rows.get<bool>(row, 4)};
  std::string_view scopes = rows.text(row, 3);
  while (!scopes.empty()) {
    const size_t comma = std::min(scopes.find(','), scopes.size());
    key.scopes.emplace_back(scopes.substr(0, comma));
    scopes.remove_prefix(std::min(comma + 1, scopes.size()));
  }
  return key;
}

}  // namespace

std::unique_ptr<Store> Store::open(const std::string& connection, const Clock& clock, RandomSource& random) {
  return std::make_unique<PgStore>(connection, clock, random);
}

void PgStore::create_account(const AccountRow& account) {
  transact([&](Transaction& tx) {
    if (tx.query(kInsertAccount, account.id, account.name).empty()) {
      const Rows found = tx.query(kReadAccount, account.id);
      if (found.get<std::string>(0, 1) != account.name) throw SqlError("the account's id is taken", "");
      return;
    }
    tx.queue(kInsertBalances, account.id);
    tx.queue(kAudit, std::string("account.created"), account.id.to_string(), account.name);
  });
}

std::optional<AccountRow> PgStore::find_account(const std::string& name) {
  return transact([&](Transaction& tx) -> std::optional<AccountRow> {
    const Rows rows = tx.query(kFindAccount, name);
    if (rows.empty()) return std::nullopt;
    return AccountRow{rows.get<AccountId>(0, 0), rows.get<std::string>(0, 1)};
  });
}

std::optional<AccountRow> PgStore::account(AccountId account) {
  return transact([&](Transaction& tx) -> std::optional<AccountRow> {
    const Rows rows = tx.query(kReadAccount, account);
    if (rows.empty()) return std::nullopt;
    return AccountRow{rows.get<AccountId>(0, 0), rows.get<std::string>(0, 1)};
  });
}

void PgStore::create_api_key(const ApiKey& key) {
  transact([&](Transaction& tx) {
    if (tx.query(kInsertKey, key.id, key.account, key.secret_sha256, key.scopes).empty()) {
      const ApiKey found = key_from(tx.query(kFindKey, key.id), 0);
      if (found.account != key.account || found.secret_sha256 != key.secret_sha256)
        throw SqlError("the key's id is taken", "");
      return;
    }
    tx.queue(kAudit, std::string("api_key.created"), key.id, key.account.to_string());
  });
}

bool PgStore::revoke_api_key(AccountId account, const std::string& id) {
  return transact([&](Transaction& tx) {
    if (tx.query(kRevokeKey, account, id).empty()) return false;
    tx.queue(kAudit, std::string("api_key.revoked"), id, account.to_string());
    return true;
  });
}

std::optional<ApiKey> PgStore::find_api_key(const std::string& id) {
  return transact([&](Transaction& tx) -> std::optional<ApiKey> {
    const Rows rows = tx.query(kFindKey, id);
    if (rows.empty()) return std::nullopt;
    return key_from(rows, 0);
  });
}

std::vector<ApiKey> PgStore::api_keys(AccountId account) {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kListKeys, account);
    std::vector<ApiKey> keys;
    for (size_t row = 0; row < rows.size(); ++row) keys.push_back(key_from(rows, row));
    return keys;
  });
}

}  // namespace quarry::sql
