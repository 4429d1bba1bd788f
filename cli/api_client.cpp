#include "cli/api_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "common/loopback.h"
#include "common/random_hex.h"

namespace quarry::cli {
namespace {

using nlohmann::json;

constexpr int kAttempts = 6;  // waits of 0.2, 0.4, ... 3.2 s between them unless Retry-After says more
constexpr long kConnectTimeoutMs = 5'000;
constexpr long kStallSeconds = 60;  // gives up on a transfer below 1 byte/s for this long
constexpr size_t kMaxJsonBytes = 256u << 20;
constexpr long kEventsSilenceSeconds = 60;  // the server sends a comment at least every 15 s

struct Request {
  std::string method = "GET", path, content_type;
  std::string_view body;
  std::vector<std::string> headers;
};

struct Response {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

size_t collect_header(char* data, size_t size, size_t count, void* user) {
  auto& response = *static_cast<Response*>(user);
  const std::string_view line(data, size * count);
  const auto colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    response.headers.clear();
  } else if (colon != std::string_view::npos) {
    std::string name(line.substr(0, colon)), value(line.substr(colon + 1));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto first = value.find_first_not_of(" \t"), last = value.find_last_not_of(" \t\r\n");
    response.headers[name] = first == std::string::npos ? "" : value.substr(first, last - first + 1);
  }
  return size * count;
}

size_t collect_body(char* data, size_t size, size_t count, void* user) {
  auto& body = *static_cast<std::string*>(user);
  if (body.size() + size * count > kMaxJsonBytes) return 0;
  body.append(data, size * count);
  return size * count;
}

size_t read_file(char* data, size_t size, size_t count, void* user) {
  return std::fread(data, 1, size * count, static_cast<std::FILE*>(user));
}

Problem problem_of(const Response& response) {
  const json document = json::parse(response.body, nullptr, false);
  if (document.is_object() && document.contains("code"))
    return {document.value("code", ""), document.value("detail", ""), document.value("pointer", ""),
            document.value("action", "")};
  return {"bad_answer", "the server answered " + std::to_string(response.status) + " without a problem document", "",
          "Check that \"server\" in your config is a Quarry service."};
}

bool worth_retrying(const Response& response) {
  return response.status == 429 || response.status == 503;
}

std::chrono::milliseconds pause_before(int attempt, const Response* response) {
  auto pause = std::chrono::milliseconds(100) * (1 << attempt);
  if (response)
    if (auto after = response->headers.find("retry-after"); after != response->headers.end())
      pause = std::max(pause, std::chrono::milliseconds(1000) * std::clamp(std::atoi(after->second.c_str()), 0, 60));
  return pause;
}

}  // namespace

struct ApiClient::State {
  Config config;
  CURL* curl = curl_easy_init();
  SystemRandom random;

  ~State() { curl_easy_cleanup(curl); }

  /// Sets what every request has in common; the caller adds the body and sinks, then performs.
  std::unique_ptr<curl_slist, ListDeleter> prepare(const Request& request, Response& response) {
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, (config.server + request.path).c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    if (is_loopback_url(config.server)) curl_easy_setopt(curl, CURLOPT_PROXY, "");  // no proxy of the environment's
    if (!config.authority.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, config.authority.c_str());
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, collect_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response.body);
    curl_slist* list = curl_slist_append(nullptr, ("Authorization: Bearer " + config.api_key).c_str());
    list = curl_slist_append(list, "Expect:");
    if (!request.content_type.empty())
      list = curl_slist_append(list, ("Content-Type: " + request.content_type).c_str());
    for (const auto& header : request.headers) list = curl_slist_append(list, header.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (request.method == "POST") {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    }
    return std::unique_ptr<curl_slist, ListDeleter>(list);
  }

  Problem unreachable(CURLcode code) const {
    const bool distrusted = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
    return {"unreachable", "cannot reach " + config.server + ": " + curl_easy_strerror(code), "",
            distrusted ? "\"authority\" in the config, QUARRY_AUTHORITY or --authority must name the file of the "
                         "service's CA."
                       : "Is the service running? `quarry up` starts one here."};
  }

  CURLcode perform(Response& response) {
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    return code;
  }

  Result<Response> send(const Request& request) {
    if (config.server.empty())
      return Problem{"not_configured", "no server is configured", "",
                     "Run `quarry up`, or set \"server\" in the config, or QUARRY_SERVER."};
    CURLcode code = CURLE_OK;
    for (int attempt = 1; attempt <= kAttempts; ++attempt) {
      Response response;
      const auto headers = prepare(request, response);
      code = perform(response);
      const bool retry = code != CURLE_OK || worth_retrying(response);
      if (!retry || (code == CURLE_OK && attempt == kAttempts)) return response;
      if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_URL_MALFORMAT)
        break;
      if (attempt < kAttempts)
        std::this_thread::sleep_for(pause_before(attempt, code == CURLE_OK ? &response : nullptr));
    }
    return unreachable(code);
  }

  Result<json> send_for_json(const Request& request) {
    QUARRY_ASSIGN(const Response response, send(request));
    if (response.status >= 400 || response.status < 200) return problem_of(response);
    json answer = json::parse(response.body, nullptr, false);
    if (answer.is_discarded()) return problem_of(response);
    return answer;
  }

  std::string idempotency_header() { return "Idempotency-Key: " + random_hex(random, 16); }
};

ApiClient::ApiClient(const Config& config) : state_(std::make_unique<State>()) {
  state_->config = config;
}
ApiClient::~ApiClient() = default;

Result<json> ApiClient::get(const std::string& path) {
  return state_->send_for_json({.path = path});
}
Result<json> ApiClient::remove(const std::string& path) {
  return state_->send_for_json({.method = "DELETE", .path = path});
}

Result<json> ApiClient::post(const std::string& path, const json& body) {
  return post_bytes(path, body.dump(), "application/json");
}

Result<json> ApiClient::post_bytes(const std::string& path, std::string_view body, const std::string& content_type) {
  return state_->send_for_json({.method = "POST",
                                .path = path,
                                .content_type = content_type,
                                .body = body,
                                .headers = {state_->idempotency_header()}});
}

Status ApiClient::upload(const std::filesystem::path& path, const Digest& sha256, const TransferProgress& progress) {
  const std::string target = "/v1/tensors/" + to_hex(sha256);
  std::error_code error;
  const uint64_t total = std::filesystem::file_size(path, error);
  if (error)
    return Problem{"cannot_read", "cannot read " + path.string() + ": " + error.message(), "", "Check the path."};
  CURLcode code = CURLE_OK;
  Problem refusal;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    QUARRY_ASSIGN(const Response head, state_->send({.method = "HEAD", .path = target}));
    if (head.status == 200) return {};
    if (head.status != 404)
      return state_->send_for_json({.path = target}).problem();  // HEAD has no body to explain itself
    uint64_t offset = 0;
    if (auto at = head.headers.find("upload-offset"); at != head.headers.end())
      offset = std::strtoull(at->second.c_str(), nullptr, 10);
    if (offset >= total) offset = 0;

    const File file(std::fopen(path.c_str(), "rb"));
    if (!file || std::fseek(file.get(), static_cast<long>(offset), SEEK_SET) != 0)
      return Problem{"cannot_read", "cannot read " + path.string(), "", "Check the file's permissions."};
    Request request{.method = "PUT", .path = target, .content_type = "application/octet-stream"};
    if (offset > 0)
      request.headers.push_back("Content-Range: bytes " + std::to_string(offset) + "-" + std::to_string(total - 1) +
                                "/" + std::to_string(total));
    Response response;
    const auto headers = state_->prepare(request, response);
    CURL* curl = state_->curl;
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_file);
    curl_easy_setopt(curl, CURLOPT_READDATA, file.get());
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(total - offset));
    struct Watch {
      const TransferProgress* progress;
      uint64_t offset, total;
    } watch{&progress, offset, total};
    if (progress) {
      curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
      curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &watch);
      curl_easy_setopt(
          curl, CURLOPT_XFERINFOFUNCTION, +[](void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
            const auto& w = *static_cast<Watch*>(user);
            (*w.progress)(w.offset + static_cast<uint64_t>(sent), w.total);
            return 0;
          });
    }
    code = state_->perform(response);
    if (code == CURLE_OK && (response.status == 200 || response.status == 201)) return {};
    if (code == CURLE_OK) refusal = problem_of(response);
    if (code == CURLE_OK && !worth_retrying(response) && response.status != 202) return refusal;
    std::this_thread::sleep_for(pause_before(attempt, code == CURLE_OK ? &response : nullptr));
  }
  return code == CURLE_OK ? refusal : state_->unreachable(code);
}

Status ApiClient::download(const std::string& path, const std::filesystem::path& target,
                           const TransferProgress& progress) {
  const std::string temporary = target.string() + ".part";
  const File file(std::fopen(temporary.c_str(), "wb"));
  if (!file) return Problem{"cannot_write", "cannot write " + temporary, "", "Check the directory."};
  struct Sink {
    std::FILE* file;
    Response* response;
    CURL* curl;
    const TransferProgress* progress;
    uint64_t done = 0;
  };
  Response response;
  const auto headers = state_->prepare({.path = path}, response);
  Sink sink{file.get(), &response, state_->curl, &progress};
  curl_easy_setopt(state_->curl, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(
      state_->curl, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t count, void* user) -> size_t {
        auto& s = *static_cast<Sink*>(user);
        long status = 0;
        curl_easy_getinfo(s.curl, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 300) return collect_body(data, size, count, &s.response->body);
        s.done += size * count;
        if (*s.progress) {
          const auto length = s.response->headers.find("content-length");
          (*s.progress)(s.done,
                        length == s.response->headers.end() ? 0 : std::strtoull(length->second.c_str(), nullptr, 10));
        }
        return std::fwrite(data, 1, size * count, s.file);
      });
  const CURLcode code = state_->perform(response);
  const bool flushed = std::fflush(file.get()) == 0;
  if (code != CURLE_OK || response.status >= 300 || !flushed || std::rename(temporary.c_str(), target.c_str()) != 0) {
    std::remove(temporary.c_str());
    if (code != CURLE_OK && code != CURLE_WRITE_ERROR) return state_->unreachable(code);
    if (response.status >= 300) return problem_of(response);
    return Problem{"cannot_write", "cannot write " + target.string(), "", "Is the disk full?"};
  }
  return {};
}

Status ApiClient::events(const std::string& path, const std::function<bool(const ServerEvent&)>& on_event) {
  struct Stream {
    const std::function<bool(const ServerEvent&)>* on_event;
    CURL* curl;
    std::string buffer, body, last_id;
    ServerEvent event;
    bool stopped = false;
    size_t received = 0;

    void take_line(std::string_view line) {
      const auto field = [&](std::string_view name) {
        return line.starts_with(name) ? std::optional(std::string(line.substr(name.size()))) : std::nullopt;
      };
      if (line.empty()) {
        if (!event.kind.empty() || !event.data.empty()) {
          if (!event.id.empty()) last_id = event.id;
          if (!(*on_event)(event)) stopped = true;
        }
        event = {};
      } else if (auto id = field("id: ")) {
        event.id = *id;
      } else if (auto kind = field("event: ")) {
        event.kind = *kind;
      } else if (auto data = field("data: ")) {
        event.data += *data;
      }
    }
    size_t take(std::string_view data) {
      long status = 0;
      curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
      if (status >= 300) return collect_body(const_cast<char*>(data.data()), 1, data.size(), &body);
      received += data.size();
      buffer.append(data);
      size_t start = 0;
      for (size_t end; !stopped && (end = buffer.find('\n', start)) != std::string::npos; start = end + 1) {
        std::string_view line(buffer.data() + start, end - start);
        if (line.ends_with('\r')) line.remove_suffix(1);
        take_line(line);
      }
      buffer.erase(0, start);
      return stopped ? 0 : data.size();
    }
  } stream{&on_event, state_->curl, {}, {}, {}, {}, false, 0};

  CURLcode code = CURLE_OK;
  Problem refusal{"bad_answer", "the server ended the stream of events again and again", "", ""};
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    Request request{.path = path, .headers = {"Accept: text/event-stream"}};
    if (!stream.last_id.empty()) request.headers.push_back("Last-Event-ID: " + stream.last_id);
    Response response;
    const auto headers = state_->prepare(request, response);
    curl_easy_setopt(state_->curl, CURLOPT_LOW_SPEED_TIME, kEventsSilenceSeconds);
    curl_easy_setopt(state_->curl, CURLOPT_WRITEDATA, &stream);
    curl_easy_setopt(
        state_->curl, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t count, void* user) {
          return static_cast<Stream*>(user)->take({data, size * count});
        });
    stream.received = 0;
    stream.buffer.clear();
    code = state_->perform(response);
    if (stream.stopped) return {};
    if (response.status >= 300) {
      response.body = std::exchange(stream.body, {});
      refusal = problem_of(response);
      if (!worth_retrying(response)) return refusal;
    }
    if (stream.received > 0) attempt = 0;  // it worked for a while: a fresh set of attempts
    std::this_thread::sleep_for(pause_before(std::max(attempt, 1), code == CURLE_OK ? &response : nullptr));
  }
  return code == CURLE_OK ? refusal : state_->unreachable(code);
}

std::string percent_encoded(const std::string& text) {
  const std::unique_ptr<char, decltype(&curl_free)> encoded(
      curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())), curl_free);
  return encoded ? encoded.get() : std::string();
}

Result<Digest> hash_file(const std::filesystem::path& path, const TransferProgress& progress) {
  std::error_code error;
  const uint64_t total = std::filesystem::file_size(path, error);
  std::ifstream in(path, std::ios::binary);
  if (error || !in)
    return Problem{"cannot_read", "cannot read " + path.string(), "", "Check the path and its permissions."};
  Sha256 hash;
  std::vector<char> chunk(1 << 20);
  uint64_t done = 0;
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), in.gcount() > 0) {
    const auto got = static_cast<size_t>(in.gcount());
    hash.update(std::string_view(chunk.data(), got));
    done += got;
    if (progress) progress(done, total);
  }
  if (in.bad()) return Problem{"cannot_read", "reading " + path.string() + " failed", "", "Check the disk."};
  return hash.finish();
}

}  // namespace quarry::cli
