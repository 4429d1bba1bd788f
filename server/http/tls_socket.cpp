#include "server/http/tls_socket.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <stdexcept>

namespace quarry::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 64 << 10;
constexpr int kReadsInARow = 16;  ///< then a peer that always has more to read leaves the thread to others

/// Strongest first. TLS 1.2 has these alone: no CBC, no RSA key exchange.
constexpr const char* kSuites12 =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
constexpr const char* kSuites13 = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";

/// Where reads of this thread's connections land before they are copied: a connection that waits holds no buffer.
std::array<std::byte, kReadBytes>& scratch() {
  thread_local std::array<std::byte, kReadBytes> bytes;
  return bytes;
}

}  // namespace

TlsContext::TlsContext(const std::string& certificate_file, const std::string& key_file)
    : context_(SSL_CTX_new(TLS_server_method())) {
  SSL_CTX* const context = context_.get();
  if (context == nullptr) throw std::runtime_error("OpenSSL gives no TLS context");
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Nothing is resumed: the key of a ticket, kept for as long as the process runs, would open every recorded session.
  // Clients keep their connections; a handshake costs 0.7 ms.
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);  // one read a record, not one for its head and one for the rest
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1 || SSL_CTX_set_cipher_list(context, kSuites12) != 1 ||
      SSL_CTX_set_ciphersuites(context, kSuites13) != 1)
    throw std::runtime_error("OpenSSL does not know the TLS suites of the service");
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
    throw std::runtime_error("cannot read the TLS certificate " + certificate_file);
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    throw std::runtime_error("cannot read the TLS key " + key_file);
}

TlsSocket::TlsSocket(tcp::socket socket, const TlsContext& context) : socket_(std::move(socket)), context_(context) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.native_non_blocking(true, ignored);
}

void TlsSocket::cancel() {
  cancelled_ = true;
  error_code ignored;
  socket_.cancel(ignored);
}

void TlsSocket::close() {
  // Before the descriptor is free for another file: the SSL object still has its number.
  closed_ = true;
  error_code ignored;
  socket_.close(ignored);
}

Awaitable<bool> TlsSocket::ready(tcp::socket::wait_type what) {
  if (std::exchange(cancelled_, false) || closed_) co_return false;
  reads_in_a_row_ = 0;
  auto [error] = co_await socket_.async_wait(what, kAwait);
  const bool cancelled = std::exchange(cancelled_, false);
  co_return !error && !cancelled && !closed_;
}

template <class Operation>
Awaitable<size_t> TlsSocket::drive(Operation operation) {
  for (;;) {
    if (std::exchange(cancelled_, false) || closed_) co_return 0;
    ERR_clear_error();
    const int done = operation(ssl_.get());
    if (done > 0) co_return static_cast<size_t>(done);
    tcp::socket::wait_type wanted = tcp::socket::wait_read;
    switch (SSL_get_error(ssl_.get(), done)) {
      case SSL_ERROR_WANT_READ:
        break;
      case SSL_ERROR_WANT_WRITE:
        wanted = tcp::socket::wait_write;
        break;
      default:
        co_return 0;
    }
    if (!co_await ready(wanted)) co_return 0;
  }
}

Awaitable<bool> TlsSocket::handshake() {
  if (!co_await ready(tcp::socket::wait_read)) co_return false;
  ssl_.reset(SSL_new(context_.get()));
  if (!ssl_ || SSL_set_fd(ssl_.get(), socket_.native_handle()) != 1) co_return false;
  const auto accept = [](SSL* ssl) { return SSL_accept(ssl); };
  const size_t done = co_await drive(accept);
  co_return done > 0;
}

Awaitable<std::span<const std::byte>> TlsSocket::read_some() {
  if (++reads_in_a_row_ > kReadsInARow) {
    co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    reads_in_a_row_ = 0;
  }
  const auto read_what_is_there = [](SSL* ssl) {
    int got = 0;
    while (got < static_cast<int>(kReadBytes)) {
      const int more = SSL_read(ssl, scratch().data() + got, static_cast<int>(kReadBytes) - got);
      if (more <= 0) return got > 0 ? got : more;
      got += more;
    }
    return got;
  };
  const size_t got = co_await drive(read_what_is_there);
  co_return std::span<const std::byte>(scratch()).first(got);
}

Awaitable<std::span<const std::byte>> TlsSocket::read_raw() {
  if (!co_await ready(tcp::socket::wait_read)) co_return std::span<const std::byte>();
  error_code error;
  const size_t got = socket_.read_some(asio::buffer(scratch()), error);
  co_return std::span<const std::byte>(scratch()).first(error ? 0 : got);
}

Awaitable<bool> TlsSocket::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto write_some = [bytes](SSL* ssl) {
      return SSL_write(ssl, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX)));
    };
    const size_t sent = co_await drive(write_some);
    if (sent == 0) co_return false;
    bytes = bytes.subspan(sent);
  }
  co_return true;
}

void TlsSocket::finish() {
  if (closed_ || !ssl_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());  // whether the peer gets it changes nothing
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

}  // namespace quarry::http
