// The HTTPS client of the command line: retries what is safe to retry, resumes uploads, follows live events. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "cli/config.h"
#include "common/result.h"
#include "common/sha256.h"

namespace quarry::cli {

/// done and total bytes of a transfer.
using TransferProgress = std::function<void(uint64_t, uint64_t)>;
struct ServerEvent {
  std::string id, kind, data;
};

class ApiClient {
 public:
  explicit ApiClient(const Config& config);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  /// The answer's JSON. A problem document becomes a Problem with the server's own code; "unreachable" when nothing
  /// answers, and "bad_answer" when what answers is not Quarry.
  Result<nlohmann::json> get(const std::string& path);
  Result<nlohmann::json> remove(const std::string& path);
  /// Every POST carries an Idempotency-Key, so that a retry after a lost answer never acts twice.
  Result<nlohmann::json> post(const std::string& path, const nlohmann::json& body);
  Result<nlohmann::json> post_bytes(const std::string& path, std::string_view body, const std::string& content_type);

  /// Stores a file under its hash; sends nothing when the server has it and continues an unfinished upload.
  Status upload(const std::filesystem::path& file, const Digest& sha256, const TransferProgress& progress);
  Status download(const std::string& path, const std::filesystem::path& file, const TransferProgress& progress);
  /// Follows a job's events until `on_event` returns false; reconnects with Last-Event-ID.
  Status events(const std::string& path, const std::function<bool(const ServerEvent&)>& on_event);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Text as one part of a URL's path.
std::string percent_encoded(const std::string& text);

/// SHA-256 of a file, read in chunks.
Result<Digest> hash_file(const std::filesystem::path& file, const TransferProgress& progress);

}  // namespace quarry::cli
