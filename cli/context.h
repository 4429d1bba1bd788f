// What every command of the command line shares: the terminal, the configuration, the exit code, and how problems are
// told.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/api_client.h"
#include "cli/config.h"
#include "cli/terminal.h"

namespace quarry::cli {

/// Exit codes that scripts can rely on; `quarry --help` lists them.
enum class ExitCode : int {
  Ok = 0,
  Failed = 1,    ///< the job failed, was cancelled or expired; or anything not named below
  Usage = 2,     ///< flags or configuration
  BadInput = 3,  ///< a graph, tensor or job was refused
  NotFound = 4,
  Unauthorised = 5,
  NoFunds = 6,
  Unreachable = 7,  ///< the service did not answer
};

class Context {
 public:
  Terminal terminal;
  bool json = false;
  std::string config_path, server_flag, api_key_file_flag, authority_flag;
  ExitCode exit_code = ExitCode::Ok;

  /// The client, configured by file, environment and flags, in that order.
  Result<ApiClient*> client();
  Result<Config> config() const;

  /// Tells a problem on stderr (as JSON on stdout with --json) and sets the exit code.
  void fail(const Problem& problem);
  /// Runs a command body and tells its problem.
  void run(const std::function<Status()>& body);
  /// Data for programs: one JSON value on stdout.
  void print_json(const nlohmann::json& value) const;

 private:
  std::unique_ptr<ApiClient> client_;
};

}  // namespace quarry::cli
