// Small results inside the answer that tells a job's end: ?results=inline saves a request for each.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/api/call.h"
#include "server/api/job_plan.h"

namespace quarry::server {

/// Whether ?results=inline was asked for. "bad_parameter" for another value.
Result<bool> wants_inline_results(const http::Request& request);

/// Base64 of the results of a job that has succeeded, by output: those that fit in kMaxInlineResultBytes together, in
/// order of name, each of at most wire::kMaxInlineOutputBytes. What is left out is fetched with a request of its own.
Awaitable<std::map<std::string, std::string>> inline_results(Service& service, const sql::JobRow& job,
                                                             const std::vector<OutputInfo>& outputs);

}  // namespace quarry::server
