// What this process counts about itself, as Prometheus text: base units, and labels only from small fixed sets.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace quarry::server {

class Metrics {
 public:
  /// One answered request. `route` is the route's pattern, never the path.
  void request(const std::string& method, const std::string& route, int status, std::chrono::nanoseconds took);

  std::atomic<uint64_t> jobs_submitted{0}, segments_accepted{0}, attempts_failed{0}, attempts_rejected{0},
      stale_completions{0};
  std::atomic<uint64_t> bytes_uploaded{0}, bytes_downloaded{0}, blob_bytes_to_workers{0}, blob_bytes_from_workers{0};
  std::atomic<int64_t> requests_in_flight{0}, event_streams{0}, worker_sessions{0}, scheduler_connected{0};
  /// Read when the text is made.
  std::function<size_t()> connections, job_watchers;
  std::function<uint64_t()> connections_that_gave_way, connections_refused;

  std::string text() const;

 private:
  static constexpr std::array<double, 10> kBuckets{0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 10, 60};
  struct Histogram {
    std::array<uint64_t, kBuckets.size()> counts{};
    uint64_t total = 0;
    double sum_seconds = 0;
  };
  struct Key {
    std::string method, route;
    int status;
    auto operator<=>(const Key&) const = default;
  };
  mutable std::mutex mutex_;
  std::map<Key, uint64_t> requests_;
  std::map<std::string, Histogram> durations_;  ///< by route
};

/// Serves /metrics in plain HTTP on a local port of its own, from one thread.
class MetricsListener {
 public:
  MetricsListener(const std::string& address, uint16_t port, const Metrics& metrics);
  ~MetricsListener();
  uint16_t port() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quarry::server
