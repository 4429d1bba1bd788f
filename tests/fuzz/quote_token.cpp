// A quote's token. No input that we did not sign is taken; one that carries our signature over arbitrary text is read
// without harm, and what is taken signs to itself.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "server/api/quote_token.h"
#include "tests/fuzz/require.h"

using namespace quarry;
using namespace quarry::server;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::string_view kKey = "a key that only this target knows";
  const std::string text(reinterpret_cast<const char*>(data), size);
  FUZZ_REQUIRE(!read_quote(text, kKey, {0}).ok());
  Digest signature{};
  unsigned length = 0;
  HMAC(EVP_sha256(), kKey.data(), static_cast<int>(kKey.size()), data, size, signature.data(), &length);
  const auto terms = read_quote(text + "." + to_hex(signature), kKey, {0});
  if (!terms.ok()) {
    FUZZ_REQUIRE(!terms.problem().code.empty());
    return 0;
  }
  const std::string token = sign_quote(*terms, kKey);
  const auto again = read_quote(token, kKey, {0});
  FUZZ_REQUIRE(again.ok() && sign_quote(*again, kKey) == token);
  return 0;
}
