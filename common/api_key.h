// API keys: "qk_live_<id>_<secret><check>". Found by the id, compared by the secret's SHA-256, and recognised by secret
// scanners through the fixed prefix and the checksum. Only the hash is ever stored; the text is shown once.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/random.h"
#include "common/sha256.h"

namespace quarry {

struct ApiKeyText {
  std::string text;        ///< the whole key: a secret
  std::string id;          ///< 16 hex digits, public
  Digest secret_sha256{};  ///< of the 64 hex digits of the secret
};

ApiKeyText make_api_key(RandomSource& random);
/// nullopt when malformed or when the checksum (first 8 hex digits of SHA-256 of "<id>_<secret>") is wrong.
std::optional<ApiKeyText> parse_api_key(std::string_view text);

}  // namespace quarry
