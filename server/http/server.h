// The HTTPS front door: accepts connections, spreads them over I/O threads, stops gracefully. Each thread runs an
// io_context of its own, and a connection stays on one, so handlers see no concurrency within a connection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http/connection.h"
#include "server/limits.h"

namespace quarry::http {

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;  ///< 0: any free one
  std::string certificate_file, key_file;
  size_t threads = 1;
  std::string request_prefix = "req_";
  server::TimeLimits times;
  server::ConnectionLimits connections;
};

class Server {
 public:
  /// Listens at once; throws std::runtime_error with a clear sentence when it cannot.
  Server(const ServerOptions& options, Handler handler);
  ~Server();
  uint16_t port() const;
  const ConnectionTable& connections() const;
  /// Stops accepting, lets requests in flight finish within times.drain, closes what is left. Idempotent.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quarry::http
