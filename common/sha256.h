// SHA-256 (FIPS 180-4) through OpenSSL: graph ids, tensor names, key hashes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quarry {

using Digest = std::array<uint8_t, 32>;

/// Incremental and reusable: finish() resets it. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(std::span<const std::byte> bytes);
Digest sha256(std::string_view text);

std::string to_hex(std::span<const uint8_t> bytes);
/// Exactly 64 lower-case hex digits; nullopt otherwise.
std::optional<Digest> parse_digest(std::string_view hex);
/// Compares in a time that does not depend on where they differ.
bool constant_time_equal(const Digest& a, const Digest& b);

}  // namespace quarry
