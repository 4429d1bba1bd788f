// TLS over a socket, for coroutines on the socket's own thread. It is written on OpenSSL's socket BIO because
// asio::ssl::stream holds 68 KB of buffers for each connection, also for one that is idle or never spoke: here such a
// connection holds none, and bytes are copied twice less on their way.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <span>
#include <string>

#include "server/http/message.h"

namespace quarry::http {

/// Certificate, key and what is spoken: TLS 1.3, or 1.2 with forward secrecy and AEAD suites, in the server's order.
class TlsContext {
 public:
  /// Throws std::runtime_error with a clear sentence when a file cannot be used.
  TlsContext(const std::string& certificate_file, const std::string& key_file);
  SSL_CTX* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

class TlsSocket {
 public:
  /// `context` must outlive the socket.
  TlsSocket(boost::asio::ip::tcp::socket socket, const TlsContext& context);

  /// False when the peer leaves, speaks no TLS, or cancel() came first.
  Awaitable<bool> handshake();
  /// At least one byte; none at the end of the stream, or when it fails. What is returned lies in memory of this
  /// thread: copy it before the next co_await.
  Awaitable<std::span<const std::byte>> read_some();
  /// The same of what comes undeciphered: after finish().
  Awaitable<std::span<const std::byte>> read_raw();
  /// All of it, or false.
  Awaitable<bool> write(std::span<const std::byte> bytes);
  /// Says that nothing more will be sent. Only when no call has failed.
  void finish();

  /// Makes the call under way fail, or the next one when none is. On the socket's thread, as close().
  void cancel();
  /// Every call fails from now on.
  void close();

  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  /// Calls `operation`, which acts on the SSL object, until it has done something; 0 when it fails.
  template <class Operation>
  Awaitable<size_t> drive(Operation operation);
  Awaitable<bool> ready(boost::asio::ip::tcp::socket::wait_type what);

  boost::asio::ip::tcp::socket socket_;
  const TlsContext& context_;
  std::unique_ptr<SSL, Free> ssl_;  ///< made with the peer's first byte
  bool cancelled_ = false, closed_ = false;
  int reads_in_a_row_ = 0;  ///< without a wait between them
};

}  // namespace quarry::http
