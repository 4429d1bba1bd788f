#include "cli/context.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

namespace quarry::cli {
namespace {

/// Codes that are not about the input; every other one is a refusal of it (docs/api.md lists the service's).
const std::map<std::string_view, ExitCode> kExitCodes{
    {"unreachable", ExitCode::Unreachable},
    {"bad_answer", ExitCode::Unreachable},
    {"overloaded", ExitCode::Unreachable},
    {"database_unavailable", ExitCode::Unreachable},
    {"rate_limited", ExitCode::Unreachable},
    {"too_many_connections", ExitCode::Unreachable},
    {"usage", ExitCode::Usage},
    {"bad_config", ExitCode::Usage},
    {"not_configured", ExitCode::Usage},
    {"not_found", ExitCode::NotFound},
    {"graph_not_found", ExitCode::NotFound},
    {"tensor_not_found", ExitCode::NotFound},
    {"job_not_found", ExitCode::NotFound},
    {"output_not_found", ExitCode::NotFound},
    {"unauthorized", ExitCode::Unauthorised},
    {"missing_scope", ExitCode::Unauthorised},
    {"insufficient_balance", ExitCode::NoFunds},
    {"job_failed", ExitCode::Failed},
    {"job_cancelled", ExitCode::Failed},
    {"job_expired", ExitCode::Failed},
    {"file_exists", ExitCode::Failed},
    {"cannot_write", ExitCode::Failed},
    {"cannot_start", ExitCode::Failed},
    {"already_running", ExitCode::Failed},
    {"device_error", ExitCode::Failed},
    {"out_of_memory", ExitCode::Failed},
    {"compile_failed", ExitCode::Failed},
    {"internal", ExitCode::Failed},
    {"storage_error", ExitCode::Failed},
    {"no_space", ExitCode::Failed},
};

ExitCode exit_code_of(const std::string& code) {
  const auto known = kExitCodes.find(code);
  return known == kExitCodes.end() ? ExitCode::BadInput : known->second;
}

/// JSON that is not what this client reads.
Problem unknown_answer() {
  return {"bad_answer", "the server's answer is not one of a Quarry service", "", "Check \"server\" in your config."};
}

}  // namespace

Result<Config> Context::config() const {
  QUARRY_ASSIGN(Config config,
                load_config(config_path.empty() ? default_config_path() : std::filesystem::path(config_path),
                            !config_path.empty()));
  if (!server_flag.empty()) config.server = server_flag;
  if (!authority_flag.empty()) config.authority = authority_flag;
  if (!api_key_file_flag.empty()) {
    std::ifstream in(api_key_file_flag);
    if (!(in >> config.api_key))
      return Problem{"bad_config", "cannot read a key from " + api_key_file_flag, "", "Check --api-key-file."};
  }
  while (config.server.ends_with('/')) config.server.pop_back();
  if (!config.server.empty() && !config.server.starts_with("https://"))
    return Problem{"bad_config", "the server " + config.server + " is not an https:// address", "",
                   "Write https://host:port."};
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
                 {{"code", problem.code},
                  {"detail", problem.detail},
                  {"pointer", problem.pointer},
                  {"action", problem.action}}}});
    return;
  }
  std::cerr << terminal.red_talk("error:") << ' ' << problem.detail;
  if (!problem.pointer.empty()) std::cerr << " (at " << problem.pointer << ")";
  std::cerr << " [" << problem.code << "]\n";
  if (!problem.action.empty()) std::cerr << "  " << problem.action << "\n";
}

void Context::run(const std::function<Status()>& body) {
  try {
    if (auto status = body(); !status.ok()) fail(status.problem());
  } catch (const nlohmann::json::type_error& error) {
    constexpr int kInvalidUtf8 = 316;
    fail(error.id == kInvalidUtf8 ? Problem{"usage", "a name in the flags is not UTF-8", "", ""} : unknown_answer());
  } catch (const nlohmann::json::exception&) {
    fail(unknown_answer());
  } catch (const std::exception& error) {
    fail({"internal", error.what(), "", ""});
  }
}

void Context::print_json(const nlohmann::json& value) const {
  // A file's name may be any bytes, and JSON is UTF-8.
  std::cout << value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

}  // namespace quarry::cli
