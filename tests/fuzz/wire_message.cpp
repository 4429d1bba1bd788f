// A frame from a peer: refused with a problem that says where, or a message that is within all bounds and comes back
// the same.
#include "tests/fuzz/require.h"
#include "wire/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quarry::wire;
  const auto message = decode(std::as_bytes(std::span(data, size)));
  if (!message.ok()) {
    FUZZ_REQUIRE(!message.problem().detail.empty());
    return 0;
  }
  const auto bytes = encode(message.value());
  const auto again = decode(bytes);
  FUZZ_REQUIRE(again.ok() && encode(again.value()) == bytes);
  return 0;
}
