#include "cli/context.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

namespace quarry::cli {
namespace {

ExitCode exit_code_of(const std::string& code) {
  if (code == "unreachable" || code == "unavailable" || code == "bad_answer") return ExitCode::Unreachable;
  if (code == "bad_config" || code == "not_configured" || code == "usage") return ExitCode::Usage;
  if (code == "not_found" || code == "job_not_found" || code.ends_with("_not_found")) return ExitCode::NotFound;
  if (code == "unauthorized" || code == "unauthenticated" || code == "forbidden" || code == "missing_scope" || code == "bad_key")
    return ExitCode::Unauthorised;
  if (code == "insufficient_balance") return ExitCode::NoFunds;
  if (code == "job_failed" || code == "job_cancelled" || code == "job_expired" || code == "device_error" || code == "cannot_read" ||
      code == "cannot_write" || code == "interrupted")
    return ExitCode::Failed;
  return ExitCode::BadInput;
}

}  // namespace

Result<Config> Context::config() const {
  QUARRY_ASSIGN(Config config, load_config(config_path.empty() ? default_config_path() : std::filesystem::path(config_path),
                                           !config_path.empty()));
  if (!server_flag.empty()) config.server = server_flag;
  if (!authority_flag.empty()) config.authority = authority_flag;
  if (!api_key_file_flag.empty()) {
    std::ifstream in(api_key_file_flag);
    if (!(in >> config.api_key)) return Problem{"bad_config", "cannot read a key from " + api_key_file_flag, "", "Check --api-key-file."};
  }
  while (config.server.ends_with('/')) config.server.pop_back();
  return config;
}

Result<ApiClient*> Context::client() {
  if (!client_) {
    QUARRY_ASSIGN(const Config configured, config());
    client_ = std::make_unique<ApiClient>(configured);
  }
  return client_.get();
}

void Context::fail(const Problem& problem) {
  exit_code = exit_code_of(problem.code);
  if (json) {
    print_json({{"error",
                 {{"code", problem.code}, {"detail", problem.detail}, {"pointer", problem.pointer}, {"action", problem.action}}}});
    return;
  }
  const bool colour = terminal.stderr_is_terminal();
  std::cerr << (colour ? "\x1b[31merror:\x1b[0m " : "error: ") << problem.detail;
  if (!problem.pointer.empty()) std::cerr << " (at " << problem.pointer << ")";
  std::cerr << " [" << problem.code << "]\n";
  if (!problem.action.empty()) std::cerr << "  " << problem.action << "\n";
}

void Context::run(const std::function<Status()>& body) {
  if (auto status = body(); !status.ok()) fail(status.problem());
}

void Context::print_json(const nlohmann::json& value) const { std::cout << value.dump(2) << std::endl; }

}  // namespace quarry::cli
