#include "tests/support/postgres.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <stdexcept>

#include "sql/store.h"

namespace quarry::test {
namespace {

void execute(const std::string& connection, const std::string& statement) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> session(PQconnectdb(connection.c_str()), PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(session.get(), statement.c_str()), PQclear);
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK)
    throw std::runtime_error(statement + ": " + PQerrorMessage(session.get()));
}

std::filesystem::path temporary_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "quarry-pg-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
  chmod(pattern.c_str(), 0755);  // PostgreSQL's user must pass through it to the cluster, which is private
  return pattern;
}

}  // namespace

Postgres::Postgres() : directory_(temporary_directory()) {
  cluster_ = std::make_unique<sql::Cluster>(sql::ClusterOptions{.data = directory_ / "data",
                                                                .socket = directory_ / "run",
                                                                .log = directory_ / "postgres.log",
                                                                .throwaway = true});
}

Postgres::~Postgres() {
  cluster_->kill();  // nothing of it is kept: no need to write it out
  cluster_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Postgres& Postgres::shared() {
  static Postgres postgres;
  return postgres;
}

std::string Postgres::create(const std::string& options) {
  const std::string name = "test_" + std::to_string(++made_);
  execute(cluster_->connection("postgres"), "create database " + name + options);
  return cluster_->connection(name);
}

std::string Postgres::empty_database() {
  return create("");
}

std::string Postgres::fresh_database() {
  if (!template_made_) sql::migrate(cluster_->connection());
  template_made_ = true;
  return create(" template quarry");
}

}  // namespace quarry::test
