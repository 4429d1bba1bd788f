// A packet between agent and executor, in both directions: refused, or a message that is written to the same bytes.
#include <algorithm>

#include "tests/fuzz/require.h"
#include "worker/local_protocol.h"

using namespace quarry::worker;

namespace {

template <class Decoded>
void check(const Decoded& message, std::span<const std::byte> bytes) {
  if (!message.ok()) {
    FUZZ_REQUIRE(message.problem().code == "local_protocol" && !message.problem().detail.empty());
    return;
  }
  const auto written = encode(*message);
  FUZZ_REQUIRE(std::equal(written.begin(), written.end(), bytes.begin(), bytes.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  check(decode_to_executor(bytes), bytes);
  check(decode_from_executor(bytes), bytes);
  return 0;
}
