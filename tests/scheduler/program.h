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
  bool run_until(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::seconds(15));
  bool wait_leases(size_t count, std::chrono::milliseconds limit = std::chrono::seconds(15)) {
    return run_until([&] { return leases.size() >= count; }, limit);
  }

  int64_t leader_epoch = 0;
  std::vector<wire::SessionKey> beating;
  std::vector<wire::Lease> leases;
  std::vector<wire::Fence> cancels;
  std::vector<wire::SessionKey> expired;

 private:
  const wire::TlsFiles tls_;
  boost::asio::io_context io_;
  std::shared_ptr<wire::Link> link_;
};

}  // namespace quarry::scheduler::test
