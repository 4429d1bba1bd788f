// A framed, mutually authenticated TLS connection: what workers, servers and schedulers speak wire messages over.
// A link is let go of before its io_context ends.
// All callbacks run on the link's io_context. send() may be called from any thread; messages leave in the order of the
// calls. A link that buffers more than kMaxQueuedBytes is closed: the peer is too slow.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "wire/messages.h"

namespace quarry::wire {

inline constexpr size_t kMaxQueuedBytes = 64 << 20;
inline constexpr size_t kMaxWaitingFrames = 10'000;

/// PEM files: this side's certificate and key, and the CA that must have signed the peer's.
struct TlsFiles {
  std::string certificate, key, authority;
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  struct Handlers {
    std::function<void(Message)> on_message;
    std::function<void(const std::string& reason)> on_close;  ///< once, also after close()
  };
  virtual ~Link() = default;
  /// Starts reading; the handlers may be called from then on.
  virtual void start(Handlers handlers) = 0;
  virtual void send(const Message& message) = 0;
  /// The same for what may be much at once: it waits here, in order, until the peer has read what came before. Of what
  /// is sent this way, kMaxWaitingFrames may wait.
  virtual void send_in_turn(const Message& message) = 0;
  /// The version that both sides have agreed on: from now on messages are sent and read in its form. Until then only
  /// the messages that agree on it are meant to be sent; they have one form (wire/messages.h).
  virtual void agree(uint32_t version) = 0;
  virtual uint32_t version() const = 0;
  virtual void close() = 0;
  virtual size_t queued_bytes() const = 0;
  /// From the peer's certificate, e.g. "box_..." or "server" (subject common name).
  virtual const std::string& peer_name() const = 0;
  virtual const Digest& peer_key_sha256() const = 0;  ///< of the peer certificate's public key (SPKI, DER)
};

/// Accepts links until stopped; `on_link` is called after the handshake. Port 0 picks a free one, see port().
class Listener {
 public:
  virtual ~Listener() = default;
  virtual uint16_t port() const = 0;
  virtual void stop() = 0;
};
std::unique_ptr<Listener> listen(boost::asio::io_context& io, const std::string& address, uint16_t port,
                                 const TlsFiles& files, std::function<void(std::shared_ptr<Link>)> on_link);

/// Connects within `timeout_ms`; `expected_peer` must be the peer certificate's common name ("" accepts any of the
/// CA's).
void connect(boost::asio::io_context& io, const std::string& host, uint16_t port, const TlsFiles& files,
             const std::string& expected_peer, uint32_t timeout_ms,
             std::function<void(Result<std::shared_ptr<Link>>)> done);

}  // namespace quarry::wire
