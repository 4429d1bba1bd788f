// Range and Content-Range: whatever is accepted lies inside of the file.
#include "server/http/syntax.h"
#include "tests/fuzz/require.h"

using namespace quarry::http;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view field(reinterpret_cast<const char*>(data), size);
  for (const uint64_t total : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, uint64_t{1} << 38}) {
    ByteRange range;
    switch (read_range(field, total, range)) {
      case RangeKind::Whole:
        FUZZ_REQUIRE(range == (ByteRange{0, total}));
        break;
      case RangeKind::Part:
        FUZZ_REQUIRE(range.begin < range.end && range.end <= total);
        break;
      case RangeKind::Unsatisfiable:
        break;
    }
  }
  if (const auto content = read_content_range(field)) {
    FUZZ_REQUIRE(content->bytes.begin < content->bytes.end && content->bytes.end <= content->total);
    const std::string text = "bytes " + std::to_string(content->bytes.begin) + "-" +
                             std::to_string(content->bytes.end - 1) + "/" + std::to_string(content->total);
    const auto again = read_content_range(text);
    FUZZ_REQUIRE(again && again->bytes == content->bytes && again->total == content->total);
  }
  return 0;
}
