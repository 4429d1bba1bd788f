// The whole server in one object: what main starts and tests drive. Owns every part and the order in which they end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "common/address.h"
#include "common/clock.h"
#include "common/random.h"
#include "market/market.h"
#include "server/blobs/blob_store.h"
#include "server/limits.h"

namespace quarry::server {

struct Options {
  std::string database;
  Address listen{"127.0.0.1", 0}, gate_listen{"127.0.0.1", 0}, metrics_listen{"127.0.0.1", 0};
  std::string gate_advertise;  ///< the name or address that boxes are told; empty: the gate's listen address
  std::filesystem::path blobs;
  BlobStore::FreeBytes free_bytes = BlobStore::free_bytes_of_disk;  ///< of the disk under `blobs`
  std::string tls_certificate, tls_key, authority_certificate, authority_key, quote_key_file;
  market::Prices prices;
  size_t io_threads = 1;
  size_t work_threads = 2;
  size_t database_threads = 4;
  TimeLimits times;
  ConnectionLimits connections;
};

class Application {
 public:
  /// Serves when it returns. Throws std::runtime_error with one clear sentence when something is missing.
  Application(const Options& options, const Clock& clock, RandomSource& random);
  ~Application();  ///< stop()
  uint16_t port() const;
  uint16_t gate_port() const;
  uint16_t metrics_port() const;
  /// Graceful: no new connections, requests in flight finish within a bound, what is queued for the database is
  /// committed.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quarry::server
