// The server on a real PostgreSQL, in one process, for test_*.py: prints what a test needs to know as one line of JSON,
// then obeys one command a line on stdin and answers each with one line of JSON. Ends with its stdin.
//
//   revoke KEY_ID          revokes a key
//   balances               what the two accounts have, and what the books say is wrong
//
// Arguments change limits: head=1000 idle=1000 (milliseconds), connections=100, disk_mib=8 (a small disk). Without one
// a limit is a user's, so that nothing is timed out because the machine is busy.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/api_key.h"
#include "common/log.h"
#include "server/application.h"
#include "sql/connection.h"
#include "sql/store.h"
#include "tests/support/postgres.h"
#include "wire/certificates.h"

namespace {

using namespace quarry;
using nlohmann::json;
namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A certificate authority and the server's certificate, as `quarry up` makes them.
void make_certificates(const fs::path& directory, const Clock& clock) {
  const auto authority = wire::make_authority("Quarry test CA", clock.wall());
  write_file(directory / "authority.key", authority.key_pem);
  write_file(directory / "authority.crt", authority.certificate_pem);
  for (const std::string name : {"server", "scheduler"}) {
    const std::string key = wire::make_key_pem();
    const auto certificate = wire::issue_certificate(authority, wire::make_request_pem(key, name), name,
                                                     {"localhost", "127.0.0.1"}, 30, clock.wall());
    if (!certificate) throw std::runtime_error(certificate.problem().detail);
    write_file(directory / (name + ".key"), key);
    write_file(directory / (name + ".crt"), *certificate);
  }
}

std::string make_key(sql::Store& store, AccountId account, std::vector<std::string> scopes, RandomSource& random) {
  const ApiKeyText key = make_api_key(random);
  store.create_api_key({key.id, account, key.secret_sha256, std::move(scopes), false});
  return key.text;
}

json make_accounts(sql::Store& store, RandomSource& random) {
  const std::vector<std::string> all{"jobs:read",     "jobs:write",   "tensors:read",
                                     "tensors:write", "account:read", "boxes:write"};
  const WallTime now = SystemClock().wall();
  const AccountId renter = sql::create_account(store, "renter", now, random);
  const AccountId stranger = sql::create_account(store, "stranger", now, random);
  store.deposit(renter, *Money::parse("100"), "test credit");
  const std::string revoked = make_key(store, renter, all, random);
  store.revoke_api_key(renter, parse_api_key(revoked)->id);
  return {{"renter", renter.to_string()},
          {"stranger", stranger.to_string()},
          {"keys",
           {{"renter", make_key(store, renter, all, random)},
            {"reader", make_key(store, renter, {"jobs:read"}, random)},
            {"uploader", make_key(store, renter, {"tensors:write"}, random)},
            {"spare", make_key(store, renter, all, random)},
            {"revoked", revoked},
            {"stranger", make_key(store, stranger, all, random)}}}};
}

/// Free bytes of a disk that has so many MiB beside what the server keeps free, with the blobs that are really there.
std::optional<uint64_t> free_of_small_disk(const fs::path& folder, int mib) {
  uint64_t used = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::error_code gone;
    const uint64_t bytes = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
    if (!gone) used += bytes;
  }
  const uint64_t all = server::kKeepFreeBytes + (static_cast<uint64_t>(mib) << 20);
  return all - std::min(all, used);
}

/// Sets the limits that the arguments name; throws std::out_of_range for a name that is none.
void change(server::Options& options, const std::vector<std::string>& arguments) {
  const std::map<std::string, std::chrono::milliseconds*> times{{"head", &options.times.head},
                                                                {"idle", &options.times.idle},
                                                                {"body_gap", &options.times.body_gap},
                                                                {"rate_grace", &options.times.rate_grace}};
  const std::map<std::string, size_t*> numbers{{"connections", &options.connections.total},
                                               {"connections_per_network", &options.connections.per_network}};
  for (const std::string& argument : arguments) {
    const size_t equals = std::min(argument.find('='), argument.size() - 1);
    const std::string name = argument.substr(0, equals);
    const int value = std::stoi(argument.substr(equals + 1));
    if (name == "disk_mib") {
      options.free_bytes = [value](const fs::path& folder) { return free_of_small_disk(folder, value); };
      continue;
    }
    if (const auto number = numbers.find(name); number != numbers.end())
      *number->second = static_cast<size_t>(value);
    else
      *times.at(name) = std::chrono::milliseconds(value);
  }
}

server::Options options_for(const fs::path& directory, const std::string& database) {
  server::Options options;
  options.database = database;
  options.blobs = directory / "blobs";
  options.tls_certificate = directory / "server.crt";
  options.tls_key = directory / "server.key";
  options.authority_certificate = directory / "authority.crt";
  options.authority_key = directory / "authority.key";
  options.quote_key_file = directory / "quote.key";
  options.prices.per_pflop = *Money::parse("0.0025");
  options.times.drain = std::chrono::milliseconds(3'000);
  options.times.housekeeping = std::chrono::milliseconds(200);
  options.times.blob_grace = std::chrono::milliseconds(0);
  return options;
}

/// Moves business time. The server's connections end, so that those made anew see it.
void move_clock(const std::string& database, const std::string& offset) {
  sql::Connection connection(database);
  connection.script(
      "do $$ begin execute format('alter database %I set quarry.clock_offset = %L', current_database(), '" + offset +
      "'); end $$");
  connection.script(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
      "pg_backend_pid()");
}

json obey(const std::string& line, std::unique_ptr<sql::Store>& own, const json& facts) {
  if (line.starts_with("at ")) {
    move_clock(facts.at("database").get<std::string>(), line.substr(3));
    static SystemClock clock;
    static SystemRandom random;
    own = sql::Store::open(facts.at("database").get<std::string>(), clock, random);
    return {{"at", line.substr(3)}};
  }
  sql::Store& store = *own;
  const auto account = [&](const char* name) { return *AccountId::parse(facts.at(name).get<std::string>()); };
  if (line.starts_with("revoke ")) {
    const auto key = parse_api_key(line.substr(7));
    return {{"revoked", key && store.revoke_api_key(account("renter"), key->id)}};
  }
  if (line == "balances") {
    json answer{{"wrong", store.reconcile()}};
    for (const char* name : {"renter", "stranger"}) {
      const sql::Balance balance = store.balance(account(name));
      answer[name] = {{"available", balance.available.to_string()}, {"reserved", balance.reserved.to_string()}};
    }
    return answer;
  }
  return {{"error", "unknown command"}};
}

void run(const fs::path& directory, const std::vector<std::string>& arguments) {
  SystemClock clock;
  SystemRandom random;
  const std::string database = test::Postgres::shared().fresh_database();
  auto store = sql::Store::open(database, clock, random);
  make_certificates(directory, clock);
  write_file(directory / "quote.key", std::string(32, 'q'));
  json facts = make_accounts(*store, random);
  server::Options options = options_for(directory, database);
  change(options, arguments);
  server::Application application(options, clock, random);
  facts.update({{"port", application.port()},
                {"gate_port", application.gate_port()},
                {"metrics_port", application.metrics_port()},
                {"database", database},
                {"directory", directory.string()}});
  std::cout << facts.dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) std::cout << obey(line, store, facts).dump() << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  quarry::start_logging("server-harness");
  std::signal(SIGPIPE, SIG_IGN);
  // On a disk: uploads need a gigabyte free, which a /tmp in memory may lack.
  std::string pattern = "/var/tmp/quarry-server-test.XXXXXX";
  const fs::path directory = mkdtemp(pattern.data());
  int status = 0;
  try {
    run(directory, {argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "harness: " << error.what() << std::endl;
    status = 1;
  }
  fs::remove_all(directory);
  return status;
}
