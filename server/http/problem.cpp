#include "server/http/problem.h"

#include "server/json_writer.h"

namespace quarry::http {

Response problem_response(int status, const Problem& problem, int retry_after_s) {
  server::JsonWriter json;
  json.begin_object()
      .field("type", "about:blank")
      .field("title", reason_phrase(status))
      .field("status", status)
      .field("code", problem.code)
      .field("detail", problem.detail);
  if (!problem.pointer.empty()) json.field("pointer", problem.pointer);
  if (!problem.action.empty()) json.field("action", problem.action);
  json.end_object();
  Response response;
  response.status = status;
  response.fields.emplace_back("Content-Type", "application/problem+json");
  if (retry_after_s > 0) response.fields.emplace_back("Retry-After", std::to_string(retry_after_s));
  if (status == 401) response.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"quarry\"");
  response.body = json.take();
  return response;
}

}  // namespace quarry::http
