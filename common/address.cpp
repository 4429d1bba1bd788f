#include "common/address.h"

#include <stdexcept>

#include "common/text.h"

namespace quarry {

std::optional<Address> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_number<uint16_t>(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!port || (!bracketed && host.find_first_of(":[]") != std::string_view::npos)) return std::nullopt;
  return Address{std::string(host), *port};
}

Address parse_address(std::string_view text, std::string_view flag) {
  if (auto address = parse_address(text)) return *std::move(address);
  throw std::runtime_error(std::string(flag) + ": " + quote(text) + " is not HOST:PORT, e.g. 127.0.0.1:8443");
}

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace quarry
