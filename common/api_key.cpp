#include "common/api_key.h"

#include <algorithm>

#include "common/random_hex.h"

namespace quarry {
namespace {

constexpr std::string_view kPrefix = "qk_live_";
constexpr size_t kIdDigits = 16, kSecretDigits = 64, kCheckDigits = 8;

ApiKeyText assemble(const std::string& id, const std::string& secret) {
  const std::string body = id + "_" + secret;
  return {std::string(kPrefix) + body + to_hex(sha256(body)).substr(0, kCheckDigits), id, sha256(secret)};
}

}  // namespace

ApiKeyText make_api_key(RandomSource& random) {
  const std::string id = random_hex(random, kIdDigits / 2);
  return assemble(id, random_hex(random, kSecretDigits / 2));
}

std::optional<ApiKeyText> parse_api_key(std::string_view text) {
  if (text.size() != kPrefix.size() + kIdDigits + 1 + kSecretDigits + kCheckDigits || !text.starts_with(kPrefix))
    return std::nullopt;
  const std::string_view body = text.substr(kPrefix.size());
  if (body[kIdDigits] != '_') return std::nullopt;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '_'; };
  if (!std::all_of(body.begin(), body.end(), is_hex)) return std::nullopt;
  ApiKeyText key =
      assemble(std::string(body.substr(0, kIdDigits)), std::string(body.substr(kIdDigits + 1, kSecretDigits)));
  return key.text == text ? std::optional(key) : std::nullopt;
}

}  // namespace quarry
