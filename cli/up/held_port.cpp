#include "cli/up/held_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace quarry::cli {

Result<HeldPort> HeldPort::hold(int port, const std::string& host) {
  HeldPort held;
  held.host_ = host;
  held.socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(held.socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    return Problem{"usage", "\"" + host + "\" is not an IPv4 address", "",
                   "Write an address of this machine, or 0.0.0.0 for all of them."};
  address.sin_port = htons(static_cast<uint16_t>(port));
  socklen_t length = sizeof address;
  if (bind(held.socket_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      getsockname(held.socket_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    const std::string reason = std::strerror(errno);
    held.number_ = port;
    return Problem{"cannot_start", "cannot have " + held.address() + ": " + reason, "",
                   "Stop what listens there, or choose other ports with --port."};
  }
  held.number_ = ntohs(address.sin_port);
  return held;
}

HeldPort::HeldPort(HeldPort&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      host_(std::move(other.host_)),
      number_(std::exchange(other.number_, 0)) {}

HeldPort& HeldPort::operator=(HeldPort&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(host_, other.host_);
  std::swap(number_, other.number_);
  return *this;
}

HeldPort::~HeldPort() {
  if (socket_ >= 0) close(socket_);
}

}  // namespace quarry::cli
