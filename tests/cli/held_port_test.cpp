#include "cli/up/held_port.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

using namespace quarry::cli;

namespace {

/// A TCP socket; closed at the end of its scope.
class Socket {
 public:
  ~Socket() { close(fd_); }
  int reuse() const { return set(SOL_SOCKET, SO_REUSEADDR, 1); }
  /// From now on "any free port" means this one (Linux 6.3); not 0 where the kernel cannot.
  int choose_only(int port) const {
    constexpr int kLocalPortRange = 51;  // IP_LOCAL_PORT_RANGE, which Debian 12's headers do not have yet
    return set(IPPROTO_IP, kLocalPortRange, port << 16 | port);
  }
  int bind_to(int port) const { return with(bind, port); }
  int connect_to(int port) const { return with(connect, port); }
  int listen_on(int port) const { return bind_to(port) == 0 ? listen(fd_, 8) : -1; }
  int accept_one() const { return accept(fd_, nullptr, nullptr); }

 private:
  int set(int level, int name, int value) const { return setsockopt(fd_, level, name, &value, sizeof value); }
  int with(int (*call)(int, const sockaddr*, socklen_t), int port) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return call(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  int fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

}  // namespace

TEST_CASE("a child listens on the port held for it, and again after it has died with a connection open") {
  auto held = HeldPort::hold(0);
  REQUIRE(held.ok());
  for (int life = 0; life < 3; ++life) {
    const Socket child, client;
    child.reuse();
    REQUIRE(child.listen_on(held->number()) == 0);
    REQUIRE(client.connect_to(held->number()) == 0);
    close(child.accept_one());  // the side that closes first keeps the port in TIME_WAIT
  }
}

TEST_CASE("nobody who asks for any free port gets a held one, be it to listen or to connect") {
  const HeldPort held = HeldPort::hold(0).value();
  const int port = held.number();
  const Socket elsewhere;
  auto other = HeldPort::hold(0);
  REQUIRE(other.ok());
  elsewhere.reuse();
  REQUIRE(elsewhere.listen_on(other->number()) == 0);
  const auto take_any = [&](const Socket& taker, bool by_connecting) {
    return by_connecting ? taker.connect_to(other->number()) : taker.bind_to(0);
  };
  for (const bool by_connecting : {false, true}) {
    const Socket taker, reusing;
    if (taker.choose_only(port) != 0) {
      WARN("this kernel cannot narrow the choice of a port to one");
      return;
    }
    reusing.choose_only(port);
    reusing.reuse();
    CHECK(take_any(taker, by_connecting) != 0);
    CHECK(take_any(reusing, by_connecting) != 0);
  }
  bool free_again = false;
  for (int attempt = 0; attempt < 100 && !free_again; ++attempt) {  // anybody may be quicker
    const int released = HeldPort::hold(0).value().number();
    const Socket taker;
    taker.choose_only(released);
    free_again = take_any(taker, false) == 0;
  }
  CHECK(free_again);
}

TEST_CASE("a port that somebody listens on is a problem that names it") {
  auto held = HeldPort::hold(0);
  REQUIRE(held.ok());
  const Socket listener;
  listener.reuse();
  REQUIRE(listener.listen_on(held->number()) == 0);
  const auto refused = HeldPort::hold(held->number());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().code == "cannot_start");
  CHECK(refused.problem().detail == "cannot have " + held->address() + ": Address already in use");
}

TEST_CASE("a port is held at the address that was asked for, and what is no address is refused") {
  const auto everywhere = HeldPort::hold(0, "0.0.0.0");
  REQUIRE(everywhere.ok());
  CHECK(everywhere->address() == "0.0.0.0:" + std::to_string(everywhere->number()));
  for (const char* host : {"", "localhost", "::1", "127.0.0.1:80", "256.0.0.1"}) {
    const auto refused = HeldPort::hold(0, host);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.problem().code == "usage");
  }
}
