#include "tests/support/postgres.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <stdexcept>
#include <thread>

#include "sql/store.h"

namespace quarry::test {
namespace {

void execute(const std::string& connection, const std::string& statement) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> session(PQconnectdb(connection.c_str()), PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(session.get(), statement.c_str()), PQclear);
  if (const auto status = PQresultStatus(result.get()); status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    throw std::runtime_error(statement + ": " + PQerrorMessage(session.get()));
}

std::filesystem::path temporary_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "quarry-pg-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
  chmod(pattern.c_str(), 0755);  // PostgreSQL's user must pass through it to the cluster, which is private
  return pattern;
}

/// PostgreSQL's immediate shutdown. Nothing is written out, but unlike after SIGKILL its shared memory is given back:
/// a segment of System V (a machine has 4,096) and a megabyte or two in /dev/shm, which nobody else would ever remove.
void stop_at_once(sql::Cluster& cluster, const std::filesystem::path& data) {
  pid_t postmaster = 0;
  if (!(std::ifstream(data / "postmaster.pid") >> postmaster) || postmaster <= 1 || !cluster.running()) return;
  kill(postmaster, SIGQUIT);
  while (cluster.running()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

Postgres::Postgres() : directory_(temporary_directory()) {
  cluster_ = std::make_unique<sql::Cluster>(sql::ClusterOptions{.data = directory_ / "data",
                                                                .socket = directory_ / "run",
                                                                .log = directory_ / "postgres.log",
                                                                .throwaway = true});
  // Readers of events wait for every transaction of the cluster that is under way. One of autovacuum's is no part of
  // any test, and would come whenever the machine is slow.
  for (const char* statement : {"alter system set autovacuum = off", "select pg_reload_conf()"})
    execute(cluster_->connection("postgres"), statement);
}

Postgres::~Postgres() {
  stop_at_once(*cluster_, directory_ / "data");
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
