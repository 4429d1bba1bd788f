// The workers' listener. A box proves itself with its certificate, opens or resumes a session, and from then on gets
// the leases that the scheduler decides, fetches and delivers blobs, and reports completions, which become durable
// before they are answered. All state lives on one thread with its own io_context; only Dispatch may be called from
// others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/async.h"
#include "server/blobs/blob_store.h"
#include "server/gate/dispatch.h"
#include "server/live/hub.h"
#include "server/metrics.h"
#include "wire/link.h"

namespace quarry::server {

struct GateOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;
  wire::TlsFiles files;
  std::string server_name;  ///< in ServerHello and logs
};

class Gate final : public Dispatch {
 public:
  Gate(const GateOptions& options, Database& database, WorkPool& work, BlobStore& blobs, Hub& hub, Metrics& metrics);
  ~Gate() override;
  uint16_t port() const;
  /// Stops listening and closes every link; workers go to another server and resume there. Idempotent.
  void stop();

  void jobs_ready(std::vector<wire::ReadyJob> jobs) override;
  void job_cancelled(JobId job, const sql::CancelOutcome& outcome) override;
  Awaitable<std::optional<std::string>> why_waiting(JobId job) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quarry::server
