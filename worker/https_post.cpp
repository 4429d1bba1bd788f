// The one HTTPS call of a worker, through libcurl: verified certificate, bounded time, bounded answer, no redirects.
#include <curl/curl.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "common/loopback.h"
#include "worker/enrol.h"

namespace quarry::worker {
namespace {

constexpr size_t kMaxAnswerBytes = 1 << 20;
constexpr long kConnectLimitMs = 5'000, kLimitMs = 20'000;

size_t append_bounded(char* data, size_t size, size_t count, void* out) {
  auto& answer = *static_cast<std::string*>(out);
  const size_t bytes = size * count;
  if (answer.size() + bytes > kMaxAnswerBytes) return 0;  // makes curl fail
  answer.append(data, bytes);
  return bytes;
}

/// The detail of a problem document, else the bare status.
Problem refusal(long status, const std::string& answer) {
  const nlohmann::json document = nlohmann::json::parse(answer, nullptr, false);
  std::string detail = "the server answered " + std::to_string(status);
  if (document.is_object() && document.value("detail", nlohmann::json()).is_string())
    detail += ": " + document["detail"].get<std::string>();
  const bool try_again = status >= 500 || status == 429;
  return {try_again ? "unavailable" : "refused", detail, "", ""};
}

Result<std::string> post_json(const std::string& authority_certificate, const std::string& url,
                              const std::string& body) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, "Content-Type: application/json"), &curl_slist_free_all);
  std::string answer;
  char why[CURL_ERROR_SIZE] = "";
  CURL* c = curl.get();
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(c, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (is_loopback_url(url)) curl_easy_setopt(c, CURLOPT_PROXY, "");
  if (!authority_certificate.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, authority_certificate.c_str());
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, &append_bounded);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, kConnectLimitMs);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, kLimitMs);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  const CURLcode code = curl_easy_perform(c);
  if (code != CURLE_OK)
    return Problem{"unreachable", "cannot reach " + url + ": " + (why[0] ? why : curl_easy_strerror(code)), "", ""};
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status > 299) return refusal(status, answer);
  return answer;
}

}  // namespace

PostJson make_https_post(const std::string& authority_certificate) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  return [authority_certificate](const std::string& url, const std::string& body) {
    return post_json(authority_certificate, url, body);
  };
}

}  // namespace quarry::worker
