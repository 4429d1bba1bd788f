// The real quarry-scheduler as a child process, and a server's end of its link.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "wire/link.h"

namespace quarry::scheduler::test {

/// How long to wait for what must come: no measure of speed, the machine may be slow and busy.
inline constexpr std::chrono::seconds kPatience{60};

class Program {
 public:
  /// Starts it and waits for its "ready" line.
  Program(const std::string& database, const wire::TlsFiles& tls, const std::string& listen = "127.0.0.1:0");
  ~Program();
  void kill(int signal);
  int wait();  ///< its exit status; 128 + n for signal n
  const std::string& ready_line() const { return ready_line_; }
  std::string address() const { return ready_line_.substr(ready_line_.find('=') + 1); }

 private:
  pid_t pid_ = -1;
  std::string ready_line_;
};

/// Polls the link from the test's own thread. Finds the leader as servers do.
class ServerEnd {
 public:
  explicit ServerEnd(const wire::TlsFiles& tls) : tls_(tls) {}
  ~ServerEnd();
  /// Connects and exchanges hellos; false when the address does not answer as a leader.
  bool connect(const std::string& address);
  void send(const wire::Message& message) { link_->send(message); }
  void disconnect();
  /// Runs the link until `done` or the time is up; beats for `beating` meanwhile.
  bool run_until(const std::function<bool()>& done, std::chrono::milliseconds limit = kPatience);
  bool wait_leases(size_t count, std::chrono::milliseconds limit = kPatience) {
    return run_until([&] { return leases.size() >= count; }, limit);
  }
  /// The scheduler has let go of the link, as one does that lost its lead.
  bool left() const { return left_; }

  int64_t leader_epoch = 0;
  std::vector<wire::SessionKey> beating;
  std::vector<wire::Lease> leases;  ///< each once, also when sent again
  std::vector<wire::Waiting> waiting;
  std::vector<wire::Fence> cancels;
  std::vector<wire::SessionKey> expired;

 private:
  void add(const std::vector<wire::Lease>& granted);

  const wire::TlsFiles tls_;
  boost::asio::io_context io_;
  std::shared_ptr<wire::Link> link_;
  bool left_ = false;
};

}  // namespace quarry::scheduler::test
