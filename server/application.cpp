#include "server/application.h"

#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "common/log.h"
#include "server/api/api.h"
#include "server/gate/gate.h"
#include "server/housekeeping.h"
#include "server/http/server.h"

namespace quarry::server {

namespace {

constexpr size_t kLeastQuoteKeyBytes = 32;

std::string read_file(const std::string& path, const char* what) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw std::runtime_error(std::string("cannot read the ") + what + " " + path);
  return text.str();
}

Settings settings_of(const Options& options) {
  Settings settings;
  settings.prices = options.prices;
  settings.quote_key = read_file(options.quote_key_file, "quote key");
  if (settings.quote_key.size() < kLeastQuoteKeyBytes)
    throw std::runtime_error("the quote key " + options.quote_key_file +
                             " is under 32 bytes: fill it with random ones");
  settings.authority.key_pem = read_file(options.authority_key, "authority's key");
  settings.authority.certificate_pem = read_file(options.authority_certificate, "authority's certificate");
  settings.gate_host = options.gate_advertise.empty() ? options.gate_listen.host : options.gate_advertise;
  return settings;
}

std::string random_prefix(RandomSource& random, const char* kind) {
  std::array<uint8_t, 5> bytes{};
  random.fill(std::as_writable_bytes(std::span(bytes)));
  return kind + to_hex(bytes) + "_";
}

GateOptions gate_options(const Options& options, RandomSource& random) {
  return {options.gate_listen.host,
          options.gate_listen.port,
          {options.tls_certificate, options.tls_key, options.authority_certificate},
          random_prefix(random, "server_")};
}

http::ServerOptions http_options(const Options& options, RandomSource& random) {
  http::ServerOptions http;
  http.address = options.listen.host;
  http.port = options.listen.port;
  http.certificate_file = options.tls_certificate;
  http.key_file = options.tls_key;
  http.threads = options.io_threads;
  http.request_prefix = random_prefix(random, "req_");
  http.times = options.times;
  http.connections = options.connections;
  return http;
}

}  // namespace

struct Application::State {
  State(const Options& options, const Clock& clock, RandomSource& random)
      : settings(settings_of(options)),
        blobs(options.blobs, options.free_bytes),
        rates(clock),
        work(std::make_unique<WorkPool>(options.work_threads)),
        pool(std::make_unique<sql::DatabasePool>(options.database, options.database_threads, clock, random)),
        database(*pool),
        catalog(blobs, *work, database),
        keys(database, clock),
        room(database, blobs),
        gate(gate_options(options, random), database, *work, blobs, hub, metrics),
        service{settings, clock,   random, database,        *work,         blobs, catalog, hub,
                gate,     metrics, rates,  key_connections, event_streams, keys,  room},
        api(service) {
    // What requests read is complete before the threads start that read it.
    settings.gate_port = gate.port();
    http.emplace(http_options(options, random), [this](http::Request& request) { return api.handle(request); });
    metrics.connections = [this] { return http->connections().size(); };
    metrics.connections_that_gave_way = [this] { return http->connections().gave_way(); };
    metrics.connections_refused = [this] { return http->connections().refused(); };
    metrics.job_watchers = [this] { return hub.watchers(); };
    metrics_listener.emplace(options.metrics_listen.host, options.metrics_listen.port, metrics);
    housekeeping.emplace(blobs, *pool, options.times);
  }

  /// Sources of work first, then the threads that finish it; the objects themselves go last, because a late answer may
  /// still point at them.
  void stop() {
    housekeeping.reset();
    http->stop();
    gate.stop();
    pool.reset();
    work.reset();
  }

  Settings settings;
  Metrics metrics;
  Hub hub;
  BlobStore blobs;
  RateLimiter rates;
  HeldCounts key_connections{kMaxConnectionsPerKey}, event_streams{kMaxEventStreamsPerAccount};
  std::unique_ptr<WorkPool> work;
  std::unique_ptr<sql::DatabasePool> pool;
  Database database;
  Catalog catalog;
  Keys keys;
  ResultRoom room;
  Gate gate;
  Service service;
  Api api;
  std::optional<http::Server> http;
  std::optional<MetricsListener> metrics_listener;
  std::optional<Housekeeping> housekeeping;
};

Application::Application(const Options& options, const Clock& clock, RandomSource& random)
    : state_(std::make_unique<State>(options, clock, random)) {}
Application::~Application() {
  stop();
}
uint16_t Application::port() const {
  return state_->http->port();
}
uint16_t Application::gate_port() const {
  return state_->gate.port();
}
uint16_t Application::metrics_port() const {
  return state_->metrics_listener->port();
}
void Application::stop() {
  state_->stop();
}

}  // namespace quarry::server
