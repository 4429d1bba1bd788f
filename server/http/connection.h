// One HTTPS connection: reads requests one after the other, hands each to the handler, sends its answer. Runs wholly on
// one io_context with one thread, so nothing in it is locked.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>

#include "server/http/message.h"
#include "server/http/tls_socket.h"
#include "server/limits.h"

namespace quarry::http {

using Handler = std::function<Awaitable<Response>(Request&)>;

/// What all connections share; outlives them.
struct ConnectionContext {
  TlsContext tls;
  Handler handler;
  server::TimeLimits times;
  std::atomic<bool> stopping{false};
  std::atomic<uint64_t> requests{0};  ///< numbers request ids
  std::string request_prefix;         ///< random per process, so that ids of two servers differ
};

class Connection {
 public:
  virtual ~Connection() = default;
  /// The server stops: an idle connection closes now, a busy one after its answer.
  virtual void finish_soon() = 0;
  virtual void close_now() = 0;
  /// Serves until either side ends it. The connection must be kept alive until this returns.
  virtual Awaitable<void> serve() = 0;
};

std::shared_ptr<Connection> make_connection(boost::asio::ip::tcp::socket socket, std::shared_ptr<Seat> seat,
                                            ConnectionContext& context);

}  // namespace quarry::http
