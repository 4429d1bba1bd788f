// Load generator of `ops/bench service`: no-op jobs over HTTPS, many connections, one or many jobs a request. Prints
// one JSON object.
#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

struct Target {
  std::string server, key, authority;
};

size_t collect(char* data, size_t size, size_t count, void* user) {
  static_cast<std::string*>(user)->append(data, size * count);
  return size * count;
}

/// One keep-alive connection.
class Connection {
 public:
  explicit Connection(const Target& target) : target_(target), curl_(curl_easy_init()) {
    headers_ = curl_slist_append(headers_, ("Authorization: Bearer " + target.key).c_str());
    headers_ = curl_slist_append(headers_, "Content-Type: application/json");
    headers_ = curl_slist_append(headers_, "Expect:");
    curl_easy_setopt(curl_, CURLOPT_CAINFO, target.authority.c_str());
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &body_);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_TCP_NODELAY, 1L);
  }
  ~Connection() {
    curl_easy_cleanup(curl_);
    curl_slist_free_all(headers_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The answer's JSON; sheds of load (429, 503) are tried again and counted.
  json call(const std::string& path, const std::string* post) {
    for (;;) {
      body_.clear();
      curl_easy_setopt(curl_, CURLOPT_URL, (target_.server + path).c_str());
      curl_slist* headers = nullptr;
      if (post) {
        for (const curl_slist* h = headers_; h; h = h->next) headers = curl_slist_append(headers, h->data);
        headers = curl_slist_append(headers, ("Idempotency-Key: " + next_key()).c_str());
        curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE, static_cast<long>(post->size()));
        curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, post->c_str());
      } else {
        curl_easy_setopt(curl_, CURLOPT_HTTPGET, 1L);
      }
      curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers ? headers : headers_);
      const CURLcode code = curl_easy_perform(curl_);
      curl_slist_free_all(headers);
      long status = 0;
      curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
      if (code != CURLE_OK) throw std::runtime_error(curl_easy_strerror(code));
      if (status == 429 || status == 503) {
        ++shed_;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        continue;
      }
      if (status >= 300) throw std::runtime_error(std::to_string(status) + " " + body_);
      return json::parse(body_);
    }
  }
  int shed() const { return shed_; }

 private:
  static std::string next_key() {
    static std::atomic<uint64_t> counter{0};
    static const auto epoch = std::chrono::system_clock::now().time_since_epoch().count();
    return "bench-" + std::to_string(epoch) + "-" + std::to_string(counter++);
  }
  const Target& target_;
  CURL* curl_;
  curl_slist* headers_ = nullptr;
  std::string body_;
  int shed_ = 0;
};

double percentile(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
}

/// Submit, wait for the end, one after the other: the latency a single renter sees.
json measure_latency(const Target& target, const std::string& job, int count) {
  Connection connection(target);
  std::vector<double> milliseconds;
  const std::string body = "{\"job\":" + job + "}";
  for (int i = 0; i < count; ++i) {
    const auto start = Clock::now();
    json answer = connection.call("/v1/jobs", &body);
    while (answer.at("state") != "succeeded") {
      if (answer.at("state") == "failed") throw std::runtime_error(answer.dump());
      answer = connection.call("/v1/jobs/" + answer.at("id").get<std::string>() + "?wait=10", nullptr);
    }
    milliseconds.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  return {{"p50_ms", percentile(milliseconds, 0.5)}, {"p99_ms", percentile(milliseconds, 0.99)}, {"jobs", count}};
}

/// Submits `total` jobs over `connections`, `batch` to a request, and waits until usage shows them all accepted and
/// charged.
json measure_throughput(const Target& target, const std::string& job, int total, int batch, int connections) {
  Connection control(target);
  const auto finished = [&] {
    const json totals = control.call("/v1/usage?limit=1", nullptr).at("totals").at("segments");
    return totals.is_string() ? std::stoll(totals.get<std::string>()) : totals.get<long long>();
  };
  const long long before = finished();
  std::string body = "{\"job\":" + job + "}";
  if (batch > 1) {
    std::string items;
    for (int i = 0; i < batch; ++i) items += (i ? "," : "") + body;
    body = "{\"jobs\":[" + items + "]}";
  }
  const auto start = Clock::now();
  std::atomic<int> left{total / batch};
  std::atomic<int> shed{0};
  std::mutex error_mutex;
  std::string error;
  std::vector<std::thread> threads;
  for (int i = 0; i < connections; ++i)
    threads.emplace_back([&] {
      try {
        Connection connection(target);
        while (left.fetch_sub(1) > 0) connection.call(batch > 1 ? "/v1/jobs:batch" : "/v1/jobs", &body);
        shed += connection.shed();
      } catch (const std::exception& failure) {
        const std::lock_guard lock(error_mutex);
        error = failure.what();
      }
    });
  for (auto& thread : threads) thread.join();
  if (!error.empty()) throw std::runtime_error(error);
  const double submitted = std::chrono::duration<double>(Clock::now() - start).count();
  const long long wanted = before + total / batch * batch;
  // Asked again after a tenth of the time that the rest should take: on the same
  // two cores the question must not slow the work.
  double seconds = 0;
  for (long long now = finished();; now = finished()) {
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (now >= wanted) break;
    const double rate = static_cast<double>(std::max(now - before, 1LL)) / seconds;
    const double rest_s = static_cast<double>(wanted - now) / rate;
    std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(rest_s / 10, 0.005, 0.25)));
  }
  return {{"jobs", total / batch * batch},
          {"seconds", seconds},
          {"submit_seconds", submitted},
          {"jobs_per_s", (total / batch * batch) / seconds},
          {"shed", shed.load()}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: load_bench CONFIG.json JOB.json latency COUNT | throughput TOTAL BATCH CONNECTIONS\n";
    return 2;
  }
  try {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const json config = json::parse(std::ifstream(argv[1]));
    const Target target{config.at("server"), config.at("api_key"), config.at("authority")};
    const std::string job = json::parse(std::ifstream(argv[2])).dump();
    const json result = std::string(argv[3]) == "latency" ? measure_latency(target, job, std::stoi(argv[4]))
                                                          : measure_throughput(target, job, std::stoi(argv[4]),
                                                                               std::stoi(argv[5]), std::stoi(argv[6]));
    std::cout << result.dump() << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "load_bench: " << error.what() << "\n";
    return 1;
  }
}
