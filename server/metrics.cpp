#include "server/metrics.h"

#include <cstdio>

namespace quarry::server {

namespace {

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

void describe(std::string& out, const char* name, const char* type, const char* help) {
  out += "# HELP " + std::string(name) + ' ' + help + "\n# TYPE " + name + ' ' + type + '\n';
}

void single(std::string& out, const char* name, const char* type, const char* help, int64_t value) {
  describe(out, name, type, help);
  out += std::string(name) + ' ' + std::to_string(value) + '\n';
}

}  // namespace

void Metrics::request(const std::string& method, const std::string& route, int status, std::chrono::nanoseconds took) {
  const double seconds = static_cast<double>(took.count()) / 1e9;
  std::lock_guard lock(mutex_);
  ++requests_[{method, route, status}];
  Histogram& histogram = durations_[route];
  for (size_t i = 0; i < kBuckets.size(); ++i) histogram.counts[i] += seconds <= kBuckets[i];
  ++histogram.total;
  histogram.sum_seconds += seconds;
}

std::string Metrics::text() const {
  std::string out;
  const auto counter = [&](const char* name, const char* help, const std::atomic<uint64_t>& value) {
    single(out, name, "counter", help, static_cast<int64_t>(value.load()));
  };
  const auto gauge = [&](const char* name, const char* help, int64_t value) {
    single(out, name, "gauge", help, value);
  };
  counter("quarry_jobs_submitted_total", "Jobs accepted by this server.", jobs_submitted);
  counter("quarry_segments_accepted_total", "Completions accepted through this server.", segments_accepted);
  counter("quarry_attempts_failed_total", "Attempts that workers reported as failed.", attempts_failed);
  counter("quarry_attempts_rejected_total", "Completions that did not bring what their lease asked for.",
          attempts_rejected);
  counter("quarry_stale_completions_total", "Completions refused for a stale fence.", stale_completions);
  counter("quarry_uploaded_bytes_total", "Tensor bytes received from renters.", bytes_uploaded);
  counter("quarry_downloaded_bytes_total", "Tensor and result bytes sent to renters.", bytes_downloaded);
  counter("quarry_worker_sent_bytes_total", "Blob bytes sent to workers.", blob_bytes_to_workers);
  counter("quarry_worker_received_bytes_total", "Blob bytes received from workers.", blob_bytes_from_workers);
  gauge("quarry_http_requests_in_flight", "Requests being answered.", requests_in_flight);
  gauge("quarry_http_connections", "Open HTTPS connections.", connections ? static_cast<int64_t>(connections()) : 0);
  const auto read_counter = [&](const char* name, const char* help, const std::function<uint64_t()>& read) {
    single(out, name, "counter", help, read ? static_cast<int64_t>(read()) : 0);
  };
  read_counter("quarry_http_connections_gave_way_total", "Connections closed to make room for others.",
               connections_that_gave_way);
  read_counter("quarry_http_connections_refused_total", "Connections that found no room.", connections_refused);
  gauge("quarry_job_watchers", "Requests that wait for a job, and its event streams.",
        job_watchers ? static_cast<int64_t>(job_watchers()) : 0);
  gauge("quarry_event_streams", "Open server-sent event streams.", event_streams);
  gauge("quarry_worker_sessions", "Box sessions whose link is here.", worker_sessions);
  gauge("quarry_scheduler_connected", "1 while the stream to the leading scheduler is up.", scheduler_connected);

  std::lock_guard lock(mutex_);
  describe(out, "quarry_http_requests_total", "counter", "Answered requests by route and status.");
  for (const auto& [key, count] : requests_)
    out += "quarry_http_requests_total{method=\"" + key.method + "\",route=\"" + key.route + "\",status=\"" +
           std::to_string(key.status) + "\"} " + std::to_string(count) + '\n';
  describe(out, "quarry_http_request_duration_seconds", "histogram",
           "Time from a request's head to its answer's head.");
  for (const auto& [route, histogram] : durations_) {
    const std::string label = "{route=\"" + route + "\"";
    const std::string name = "quarry_http_request_duration_seconds";
    for (size_t i = 0; i < kBuckets.size(); ++i)
      out += name + "_bucket" + label + ",le=\"" + decimal(kBuckets[i]) + "\"} " + std::to_string(histogram.counts[i]) +
             '\n';
    out += name + "_bucket" + label + ",le=\"+Inf\"} " + std::to_string(histogram.total) + '\n';
    out += name + "_sum" + label + "} " + decimal(histogram.sum_seconds) + '\n';
    out += name + "_count" + label + "} " + std::to_string(histogram.total) + '\n';
  }
  return out;
}

}  // namespace quarry::server
