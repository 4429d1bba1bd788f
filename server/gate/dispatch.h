// What the HTTPS side tells the side of workers and scheduler. Hints all: what matters is durable before any of them is
// sent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/async.h"
#include "sql/store.h"
#include "wire/messages.h"

namespace quarry::server {

class Dispatch {
 public:
  virtual ~Dispatch() = default;
  /// Thread-safe, both.
  virtual void jobs_ready(std::vector<wire::ReadyJob> jobs) = 0;
  virtual void job_cancelled(JobId job, const sql::CancelOutcome& outcome) = 0;
  /// The leading scheduler's sentence on why the job waits; nullopt when it does not wait, or nobody answers in time.
  virtual Awaitable<std::optional<std::string>> why_waiting(JobId job) = 0;
};

}  // namespace quarry::server
