// The CBOR of frames: an item is read as one kind at most, a refused read moves nothing, and no view leaves the frame.
#include <cmath>

#include "tests/fuzz/require.h"
#include "wire/cbor.h"

using namespace quarry::wire;

namespace {

void check_inside(std::span<const std::byte> frame, std::span<const std::byte> view) {
  FUZZ_REQUIRE(view.empty() ||
               (view.data() >= frame.data() && view.data() + view.size() <= frame.data() + frame.size()));
}

/// Reads one item of whatever kind it has.
bool step(CborReader& reader, std::span<const std::byte> frame) {
  if (reader.number() || reader.flag() || reader.real() || reader.array(3) || reader.map()) return true;
  if (const auto text = reader.text()) {
    check_inside(frame, std::as_bytes(std::span(*text)));
    const std::string clipped = clip_text(*text, 100);
    FUZZ_REQUIRE(clipped.size() <= 100 && is_plain_text(clipped));
    if (is_plain_text(*text) && text->size() <= 100) FUZZ_REQUIRE(clipped == *text);
    return true;
  }
  if (const auto bytes = reader.bytes()) {
    check_inside(frame, *bytes);
    return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto frame = std::as_bytes(std::span(data, size));
  CborReader reader(frame);
  size_t items = 0;
  while (step(reader, frame)) FUZZ_REQUIRE(++items <= size);
  CborReader rest = reader;
  FUZZ_REQUIRE(!step(rest, frame) && rest.at_end() == reader.at_end());
  return 0;
}
