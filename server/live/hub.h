// Wakes whoever watches a job: GET ?wait= and event streams. What is durable is read from the outbox after a wake; only
// progress within a running segment exists here alone. Wakes are hints: a job that changes on another server is found
// by the watcher's slow re-read.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "common/id.h"
#include "server/async.h"
#include "wire/messages.h"

namespace quarry::server {

struct LiveProgress {
  int64_t steps_done = 0, steps_total = 0;
  wire::Phase phase = wire::Phase::Running;
  int64_t phase_done = 0, phase_total = 0;  ///< of Compiling: kernels
  auto operator<=>(const LiveProgress&) const = default;
};

class Hub {
 public:
  /// One watcher of one job, used by one coroutine. The hub knows it until it is destroyed, which must be before the
  /// hub is.
  class Subscription {
   public:
    virtual ~Subscription() = default;
    /// Until something happens or the time is over.
    virtual Awaitable<void> wait(std::chrono::milliseconds limit) = 0;
    virtual bool take_changed() = 0;                          ///< something durable, since it was last asked
    virtual bool take_ended() = 0;                            ///< an attempt of it ended, since it was last asked
    virtual std::optional<LiveProgress> take_progress() = 0;  ///< the newest not yet taken
  };

  std::unique_ptr<Subscription> subscribe(JobId job);
  /// Something durable happened to the job.
  void changed(JobId job);
  void progress(JobId job, LiveProgress progress);
  /// No attempt of it runs here any more.
  void ended(JobId job);
  std::optional<LiveProgress> current(JobId job) const;
  size_t watchers() const;  ///< subscriptions that exist now

 private:
  class Watcher;
  void notify(JobId job, const std::optional<LiveProgress>& progress, bool ended);

  mutable std::mutex mutex_;
  std::unordered_multimap<JobId, Watcher*> watchers_;
  std::unordered_map<JobId, LiveProgress>
      progress_;  ///< of attempts running through this server: bounded by its leases
};

}  // namespace quarry::server
