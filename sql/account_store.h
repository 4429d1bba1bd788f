// Accounts and their API keys.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/id.h"
#include "common/random.h"
#include "common/sha256.h"
#include "sql/store_errors.h"

namespace quarry::sql {

struct ApiKey {
  std::string id;  ///< the public part of qk_live_<id>_<secret>
  AccountId account;
  Digest secret_sha256{};
  /// "jobs:read", "jobs:write", "tensors:read", "tensors:write", "account:read", "boxes:write"
  std::vector<std::string> scopes;
  bool revoked = false;
};
struct AccountRow {
  AccountId id;
  std::string name;
};

/// The operator's own account, made by the migrations: the other side of deposits, and the operator's revenue.
inline constexpr AccountId kOperatorAccount{{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};

class AccountStore {
 public:
  virtual ~AccountStore() = default;
  /// The caller makes the id: the same account again is the repeat of a call whose answer was lost, and changes
  /// nothing. Throws SqlError when the name is another account's.
  virtual void create_account(const AccountRow& account) = 0;
  virtual std::optional<AccountRow> find_account(const std::string& name) = 0;
  virtual std::optional<AccountRow> account(AccountId account) = 0;
  /// The same key again changes nothing. Throws SqlError when the id is another key's.
  virtual void create_api_key(const ApiKey& key) = 0;
  virtual bool revoke_api_key(AccountId account, const std::string& id) = 0;
  virtual std::optional<ApiKey> find_api_key(const std::string& id) = 0;
  virtual std::vector<ApiKey> api_keys(AccountId account) = 0;
};

/// A new account, with an id made here.
inline AccountId create_account(AccountStore& store, const std::string& name, WallTime now, RandomSource& random) {
  const AccountRow account{AccountId::make(now, random), name};
  store.create_account(account);
  return account.id;
}

}  // namespace quarry::sql
