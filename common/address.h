// HOST:PORT, as flags and the database have it: "127.0.0.1:8443", "localhost:8443" or "[::1]:8443".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quarry {

struct Address {
  std::string host;  ///< without brackets
  uint16_t port = 0;
  bool operator==(const Address&) const = default;
};

/// nullopt when there is no port from 0 to 65,535, or an IPv6 address has no brackets.
std::optional<Address> parse_address(std::string_view text);
/// The same of a flag's value; throws std::runtime_error that names the flag.
Address parse_address(std::string_view text, std::string_view flag);
/// What parse_address() reads: an IPv6 host gets its brackets.
std::string to_string(const Address& address);

}  // namespace quarry
