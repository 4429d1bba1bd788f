// The numbered SQL files of sql/migrations, embedded at build time.
#pragma once

#include <vector>

namespace quarry::sql {

struct Migration {
  const char* name;  ///< "0001_accounts"
  const char* sql;
};
const std::vector<Migration>& migrations();

}  // namespace quarry::sql
