// The box's one connection: dials the server's gate, says Hello, keeps the session alive, and dials again when the link
// breaks. A link is not a session: a new link resumes the session while its lease lives. Threading: the io_context's
// thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/random.h"
#include "wire/link.h"

namespace quarry::worker {

struct GateAddress {
  std::string host;
  uint16_t port = 0;
};

class Gate {
 public:
  struct Handlers {
    std::function<wire::Hello()> make_hello;  ///< all but `resume`
    std::function<void(const wire::Welcome&, bool resumed)> on_session;
    std::function<void(wire::Message)> on_message;
    std::function<int32_t()> running;  ///< for heartbeats
  };
  /// The files are read again for each link, so a renewed certificate is used from the next one on.
  Gate(boost::asio::io_context& io, GateAddress address, wire::TlsFiles files, RandomSource& random, Handlers handlers);
  ~Gate();

  void start();
  /// False, and nothing is sent, while there is no session on a link: the caller sends again from on_session.
  bool send(const wire::Message& message);
  bool send_in_turn(const wire::Message& message);  ///< likewise; see wire::Link
  bool up() const { return up_; }
  void stop();

 private:
  void dial();
  void dialled(std::shared_ptr<wire::Link> link);
  void dial_later(const std::string& why);
  void received(wire::Message message);
  void welcomed(const wire::Welcome& welcome);
  void beat();

  boost::asio::io_context& io_;
  const GateAddress address_;
  const wire::TlsFiles files_;
  RandomSource& random_;
  Handlers handlers_;
  std::shared_ptr<wire::Link> link_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< callbacks of links may come after the gate is gone
  std::optional<wire::SessionKey> session_;
  bool up_ = false, stopped_ = false;
  int failures_ = 0;  ///< in a row
  std::chrono::milliseconds heartbeat_{2'000};
  boost::asio::steady_timer retry_, welcome_limit_, heartbeat_timer_;
};

}  // namespace quarry::worker
