// A TCP port of an IPv4 address of this machine that `quarry up` keeps for one of its children, from before the child
// starts until after its last restart.
#pragma once

#include <string>

#include "common/result.h"

namespace quarry::cli {

/// Holds a port by a socket that is bound and never listens. Linux gives such a port to nobody who asks for any free
/// one, be it bind or connect, and still lets a socket with SO_REUSEADDR, as every child's is, listen on it.
class HeldPort {
 public:
  /// Port 0: a free one. A Problem `cannot_start` when somebody listens on the port or it may not be bound, `usage`
  /// when the host is not an IPv4 address.
  static Result<HeldPort> hold(int port, const std::string& host = "127.0.0.1");

  HeldPort() = default;
  HeldPort(HeldPort&& other) noexcept;
  HeldPort& operator=(HeldPort&& other) noexcept;
  ~HeldPort();

  int number() const { return number_; }
  std::string address() const { return host_ + ":" + std::to_string(number_); }

 private:
  int socket_ = -1;
  std::string host_;
  int number_ = 0;
};

}  // namespace quarry::cli
