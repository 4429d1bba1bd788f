// One request on its way through a handler, and the few things that handlers share: refusals by code, pages, time-outs.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "common/id.h"
#include "common/result.h"
#include "server/api/service.h"
#include "server/http/message.h"
#include "server/http/problem.h"
#include "server/json_writer.h"
#include "server/try.h"
#include "sql/store.h"

namespace quarry::server {

struct Call {
  http::Request& request;
  std::vector<std::string> arguments;  ///< the {..} parts of the route, decoded
  AccountId account{};                 ///< whose key it is; every query takes it
  std::string key_id{};
  std::string body{};                    ///< empty for routes that stream it
  sql::Idempotency idempotency{};        ///< key empty when none was given
  std::function<void()> release_body{};  ///< gives the body's memory back: before a long wait
};

/// The HTTP status of a problem's code: one code has one status. 422 for the codes of the engine's rooms.
int status_of(std::string_view code);
http::Response refusal(const Problem& problem);

/// For handlers: leave with the problem document of a failed Result or Status.
#define QUARRY_ANSWER_TRY(expression)                                                                          \
  do {                                                                                                         \
    if (auto quarry_status_ = (expression); !quarry_status_.ok()) co_return refusal(quarry_status_.problem()); \
  } while (0)
#define QUARRY_ANSWER_ASSIGN(declaration, expression) \
  QUARRY_ANSWER_ASSIGN_(declaration, expression, QUARRY_CONCAT(quarry_result_, __LINE__))
#define QUARRY_ANSWER_ASSIGN_(declaration, expression, result) \
  auto result = (expression);                                  \
  if (!result.ok()) co_return refusal(result.problem());       \
  declaration = std::move(result).value()

/// Counts a wrong key or claim code against the network that it came from; the seconds to wait when there are too many.
std::optional<int> failed_guess(Service& service, const Call& call);

/// ?limit= and ?after=.
Result<sql::Page> page_of(const http::Request& request);
/// ?wait= in seconds, at most kMaxWait; 0 when absent.
Result<std::chrono::seconds> wait_of(const http::Request& request);
/// Writes {..., "next": cursor or null}.
void write_next(JsonWriter& json, const std::string& next);

}  // namespace quarry::server
