#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <stdexcept>

#include "wire/cbor.h"
#include "wire/tls_link.h"

namespace quarry::wire {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kHandshakeTimeout = std::chrono::seconds(10);
constexpr int kMaxHandshakes = 256;  // under way at once; further connections wait in the kernel's queue
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);  // after e.g. running out of file descriptors
constexpr int kUnacknowledgedMs = 10'000;  // a peer whose machine is gone is noticed within a lease's time

Problem tls_problem(const std::string& what, const error_code& error) {
  return Problem{"tls_files", what + ": " + error.message() + ".", "",
                 "Check that the file exists, is PEM and can be read."};
}

Result<std::shared_ptr<ssl::context>> make_context(const TlsFiles& files) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls);
  SSL_CTX* raw = context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);  // links last long: nothing resumes them
  error_code error;
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  if (!error) context->load_verify_file(files.authority, error);
  if (error) return tls_problem("Cannot use the authority's certificate " + files.authority, error);
  context->use_certificate_chain_file(files.certificate, error);
  if (error) return tls_problem("Cannot use the certificate " + files.certificate, error);
  context->use_private_key_file(files.key, ssl::context::pem, error);
  if (error) return tls_problem("Cannot use the key " + files.key, error);
  return context;
}

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// The chain is verified by now. nullopt: the subject has not exactly one plain common name.
std::optional<PeerIdentity> identify(TlsStream& stream) {
  const std::unique_ptr<X509, FreeX509> certificate(SSL_get1_peer_certificate(stream.native_handle()));
  if (!certificate) return std::nullopt;
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return std::nullopt;
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return std::nullopt;
  PeerIdentity peer{std::string(reinterpret_cast<char*>(text), static_cast<size_t>(size)), {}};
  OPENSSL_free(text);
  unsigned char* der = nullptr;
  const int der_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
  if (der_size <= 0) return std::nullopt;
  peer.key_sha256 = sha256(std::as_bytes(std::span(der, static_cast<size_t>(der_size))));
  OPENSSL_free(der);
  return is_plain_text(peer.name) ? std::optional(std::move(peer)) : std::nullopt;
}

void tune(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs, sizeof kUnacknowledgedMs);
}

/// One connection on its way to becoming a link: connected, then shaken hands with, within a time. `done` is called
/// once.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  using Done = std::function<void(Result<std::shared_ptr<Link>>)>;
  Attempt(std::shared_ptr<ssl::context> context, tcp::socket socket, std::chrono::milliseconds timeout,
          std::string expected_peer, Done done)
      : context_(std::move(context)),
        stream_(std::make_unique<TlsStream>(std::move(socket), *context_)),
        timer_(stream_->get_executor()),
        resolver_(stream_->get_executor()),
        timeout_(timeout),
        expected_peer_(std::move(expected_peer)),
        done_(std::move(done)) {}

  void connect(const std::string& host, uint16_t port) {
    where_ = host + ":" + std::to_string(port);
    arm();
    resolver_.async_resolve(
        host, std::to_string(port), [self = shared_from_this()](error_code error, tcp::resolver::results_type found) {
          if (error || !self->done_) return self->fail("cannot be resolved", error);
          asio::async_connect(self->stream_->next_layer(), found, [self](error_code failed, const tcp::endpoint&) {
            if (failed || !self->done_) return self->fail("cannot be reached", failed);
            self->handshake(ssl::stream_base::client);
          });
        });
  }
  void accept() {
    where_ = "a connection";
    arm();
    handshake(ssl::stream_base::server);
  }

 private:
  void arm() {
    timer_.expires_after(timeout_);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error) self->fail("took too long", asio::error::timed_out);
    });
  }
  void handshake(ssl::stream_base::handshake_type side) {
    tune(stream_->next_layer());
    stream_->async_handshake(side, [self = shared_from_this()](error_code error) {
      if (error || !self->done_) return self->fail("could not agree on TLS", error);
      auto peer = identify(*self->stream_);
      if (!peer) return self->fail("has a certificate without one plain common name", {});
      if (!self->expected_peer_.empty() && peer->name != self->expected_peer_)
        return self->fail("is '" + peer->name + "', not '" + self->expected_peer_ + "'", {});
      self->timer_.cancel();
      std::exchange(self->done_, nullptr)(make_link(std::move(self->stream_), std::move(*peer)));
    });
  }
  void fail(const std::string& what, const error_code& error) {
    if (!done_) return;
    timer_.cancel();
    resolver_.cancel();
    error_code ignored;
    stream_->lowest_layer().close(ignored);
    const std::string reason = error ? ": " + error.message() : std::string();
    std::exchange(done_, nullptr)(Problem{"link_failed", where_ + " " + what + reason + ".", "",
                                          "Check the address, the network and both certificates."});
  }

  std::shared_ptr<ssl::context> context_;
  std::unique_ptr<TlsStream> stream_;
  asio::steady_timer timer_;
  tcp::resolver resolver_;
  const std::chrono::milliseconds timeout_;
  const std::string expected_peer_;
  std::string where_;
  Done done_;  // empty once called
};

class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(asio::io_context& io, std::shared_ptr<ssl::context> context,
           std::function<void(std::shared_ptr<Link>)> on_link)
      : io_(io),
        strand_(asio::make_strand(io)),
        acceptor_(strand_),
        retry_(strand_),
        context_(std::move(context)),
        on_link_(std::move(on_link)) {}

  uint16_t open(const std::string& address, uint16_t port) {
    const tcp::endpoint endpoint(asio::ip::make_address(address), port);
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen();
    return acceptor_.local_endpoint().port();
  }
  void accept() {
    if (stopped_) return;
    acceptor_.async_accept(asio::any_io_executor(asio::make_strand(io_)),
                           [self = shared_from_this()](error_code error, tcp::socket socket) {
                             self->accepted(error, std::move(socket));
                           });
  }
  void stop() {
    if (stopped_.exchange(true)) return;
    asio::post(strand_, [self = shared_from_this()] {
      error_code ignored;
      self->acceptor_.close(ignored);
      self->retry_.cancel();
    });
  }

 private:
  void accepted(error_code error, tcp::socket socket) {
    if (stopped_) return;
    if (error) {
      retry_.expires_after(kAcceptRetry);
      retry_.async_wait([self = shared_from_this()](error_code) { self->accept(); });
      return;
    }
    ++handshakes_;
    const auto done = [self = shared_from_this()](Result<std::shared_ptr<Link>> link) {
      asio::post(self->strand_, [self] { self->handshake_done(); });
      if (self->stopped_ && link)
        (*link)->close();
      else if (link)
        self->on_link_(std::move(*link));
    };
    const auto strand = socket.get_executor();
    const auto attempt = std::make_shared<Attempt>(context_, std::move(socket), kHandshakeTimeout, "", done);
    asio::post(strand, [attempt] { attempt->accept(); });
    if (handshakes_ < kMaxHandshakes) accept();
  }
  void handshake_done() {
    if (handshakes_-- == kMaxHandshakes) accept();
  }

  asio::io_context& io_;
  asio::strand<asio::io_context::executor_type> strand_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::shared_ptr<ssl::context> context_;
  std::function<void(std::shared_ptr<Link>)> on_link_;
  std::atomic<bool> stopped_ = false;
  int handshakes_ = 0;  // on the strand
};

class TlsListener final : public Listener {
 public:
  TlsListener(std::shared_ptr<Acceptor> acceptor, uint16_t port) : acceptor_(std::move(acceptor)), port_(port) {}
  ~TlsListener() override { acceptor_->stop(); }
  uint16_t port() const override { return port_; }
  void stop() override { acceptor_->stop(); }

 private:
  std::shared_ptr<Acceptor> acceptor_;
  uint16_t port_;
};

}  // namespace

std::unique_ptr<Listener> listen(asio::io_context& io, const std::string& address, uint16_t port, const TlsFiles& files,
                                 std::function<void(std::shared_ptr<Link>)> on_link) {
  auto context = make_context(files);
  if (!context) throw std::runtime_error(context.problem().detail);
  auto acceptor = std::make_shared<Acceptor>(io, std::move(*context), std::move(on_link));
  try {
    port = acceptor->open(address, port);
  } catch (const boost::system::system_error& error) {
    throw std::runtime_error("cannot listen on " + address + ":" + std::to_string(port) + ": " +
                             error.code().message());
  }
  acceptor->accept();
  return std::make_unique<TlsListener>(std::move(acceptor), port);
}

void connect(asio::io_context& io, const std::string& host, uint16_t port, const TlsFiles& files,
             const std::string& expected_peer, uint32_t timeout_ms,
             std::function<void(Result<std::shared_ptr<Link>>)> done) {
  auto context = make_context(files);
  if (!context) {
    asio::post(io, [done = std::move(done), problem = context.problem()] { done(problem); });
    return;
  }
  const asio::any_io_executor strand = asio::make_strand(io);
  const auto attempt = std::make_shared<Attempt>(std::move(*context), tcp::socket(strand),
                                                 std::chrono::milliseconds(timeout_ms), expected_peer, std::move(done));
  asio::post(strand, [attempt, host, port] { attempt->connect(host, port); });
}

}  // namespace quarry::wire
