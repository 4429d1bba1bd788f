// A real PostgreSQL for a test program: one private cluster in a temporary directory, started on first use and removed
// at exit. Each fresh_database() is a migrated database of its own, copied from a template in some 50 ms.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "sql/cluster.h"

namespace quarry::test {

class Postgres {
 public:
  Postgres();
  ~Postgres();

  /// The program's shared cluster. A test that kills or stops it must start it again.
  static Postgres& shared();

  /// Connection string of a new database with all migrations applied and nothing else in it.
  std::string fresh_database();
  /// Connection string of a new, empty database.
  std::string empty_database();
  sql::Cluster& cluster() { return *cluster_; }

 private:
  std::string create(const std::string& options);

  std::filesystem::path directory_;
  std::unique_ptr<sql::Cluster> cluster_;
  bool template_made_ = false;
  int made_ = 0;
};

}  // namespace quarry::test
