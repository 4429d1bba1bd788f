// Follows a job to its end: live progress from the event stream, the final job object at the end.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/context.h"

namespace quarry::cli {

/// Uploads every file of a job and its graph. What the server has already is not sent.
struct LocalJob;
Status send_parts(Context& context, ApiClient& client, const LocalJob& job);

/// Shows progress on stderr until the job has ended; returns the job object. Ctrl-C leaves the job running.
Result<nlohmann::json> watch_job(Context& context, ApiClient& client, const std::string& job_id);

/// "last" is the newest job of the account; anything else is returned as it is.
Result<std::string> resolve_job(ApiClient& client, const std::string& selector);

}  // namespace quarry::cli
