// The PKCS #10 request that a box enrols with, as PEM: refused, or its key is the one that a certificate is issued for.
#include "tests/fuzz/require.h"
#include "wire/certificates.h"

using namespace quarry;
using namespace quarry::wire;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr WallTime kNow{1'800'000'000'000'000};
  static const KeyAndCertificate authority = make_authority("fuzz", kNow);
  const std::string pem(reinterpret_cast<const char*>(data), size);
  const auto key = public_key_digest(pem);
  if (!key.ok()) {
    FUZZ_REQUIRE(!key.problem().detail.empty());
    return 0;
  }
  const auto certificate = issue_certificate(authority, pem, "box", {"box"}, 30, kNow);
  FUZZ_REQUIRE(certificate.ok() || !certificate.problem().detail.empty());
  return 0;
}
