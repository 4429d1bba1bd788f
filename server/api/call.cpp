#include "server/api/call.h"

#include <algorithm>

#include "common/text.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

struct CodeStatus {
  std::string_view code;
  int status;
};
// docs/api.md has the same table for people.
constexpr CodeStatus kStatuses[] = {
    {"malformed_json", 400},
    {"malformed_cbor", 400},
    {"bad_parameter", 400},
    {"bad_cursor", 400},
    {"bad_header", 400},
    {"content_range", 400},
    {"unauthorized", 401},
    {"insufficient_balance", 402},
    {"missing_scope", 403},
    {"not_found", 404},
    {"graph_not_found", 404},
    {"tensor_not_found", 404},
    {"job_not_found", 404},
    {"output_not_found", 404},
    {"claim_code", 404},
    {"storage_quota", 403},
    {"results_expired", 410},
    {"method_not_allowed", 405},
    {"idempotency_key_reused", 409},
    {"upload_busy", 409},
    {"upload_offset", 409},
    {"job_not_finished", 409},
    {"result_not_ready", 409},
    {"body_too_large", 413},
    {"tensor_too_large", 413},
    {"media_type", 415},
    {"range_not_satisfiable", 416},
    {"rate_limited", 429},
    {"too_many_uploads", 429},
    {"too_many_streams", 429},
    {"too_many_connections", 429},
    {"storage_error", 500},
    {"no_space", 507},
};

}  // namespace

int status_of(std::string_view code) {
  for (const CodeStatus& entry : kStatuses)
    if (entry.code == code) return entry.status;
  return 422;
}

http::Response refusal(const Problem& problem) {
  const int status = status_of(problem.code);
  const int retry_after_s = status == 507 ? kNoSpaceRetrySeconds : status == 429 || status >= 500 ? 1 : 0;
  return http::problem_response(status, problem, retry_after_s);
}

std::optional<int> failed_guess(Service& service, const Call& call) {
  return service.rates.take("failures:" + call.request.connection->seat->network, kRateOfFailedSignIns);
}

Result<sql::Page> page_of(const http::Request& request) {
  sql::Page page;
  page.limit = kDefaultPageSize;
  page.after = request.parameter("after").value_or("");
  if (const auto limit = request.parameter("limit")) {
    const auto value = parse_number<int64_t>(*limit);
    if (!value || *value < 1 || *value > kMaxPageSize)
      return Problem{"bad_parameter", "limit is not a number from 1 to " + std::to_string(kMaxPageSize), "",
                     "correct ?limit="};
    page.limit = static_cast<int32_t>(*value);
  }
  if (page.after.size() > 256)
    return Problem{"bad_cursor", "the cursor is not one of ours", "", "use the 'next' of the page before"};
  return page;
}

Result<std::chrono::seconds> wait_of(const http::Request& request) {
  const auto wait = request.parameter("wait");
  if (!wait) return std::chrono::seconds(0);
  const auto value = parse_number<int64_t>(*wait);
  if (!value || *value < 0) return Problem{"bad_parameter", "wait is not a number of seconds", "", "correct ?wait="};
  return std::min(std::chrono::seconds(*value), kMaxWait);
}

void write_next(JsonWriter& json, const std::string& next) {
  json.key("next");
  next.empty() ? json.null() : json.string(next);
}

}  // namespace quarry::server
