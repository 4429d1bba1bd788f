// A frame from a peer: refused with a problem that says where, or a message that is within all bounds and comes back
// the same.
#include "tests/fuzz/require.h"
#include "wire/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quarry::wire;
  for (uint32_t version = kOldestVersion; version <= kVersion; ++version) {
    const auto message = decode(std::as_bytes(std::span(data, size)), version);
    if (!message.ok()) {
      FUZZ_REQUIRE(!message.problem().detail.empty());
      continue;
    }
    const auto bytes = encode(message.value(), version);
    const auto again = decode(bytes, version);
    FUZZ_REQUIRE(again.ok() && encode(again.value(), version) == bytes);
  }
  return 0;
}
