// What the HTTPS side tells the side of workers and scheduler. Hints all: what matters is durable before any of them is
// sent.
#pragma once

#include <vector>

#include "sql/store.h"
#include "wire/messages.h"

namespace quarry::server {

class Dispatch {
 public:
  virtual ~Dispatch() = default;
  /// Thread-safe, both.
  virtual void jobs_ready(std::vector<wire::ReadyJob> jobs) = 0;
  virtual void job_cancelled(JobId job, const sql::CancelOutcome& outcome) = 0;
};

}  // namespace quarry::server
