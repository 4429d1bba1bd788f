// A query string: each parameter is found under its name, decoded once.
#include "server/http/syntax.h"
#include "tests/fuzz/require.h"

using namespace quarry::http;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view query(reinterpret_cast<const char*>(data), size);
  if (const auto decoded = percent_decode(query)) {
    FUZZ_REQUIRE(decoded->size() <= query.size());
    std::string encoded;
    for (const char c : *decoded) {
      constexpr std::string_view kDigits = "0123456789aBcDeF";
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    FUZZ_REQUIRE(percent_decode(encoded) == decoded);
    FUZZ_REQUIRE(query_parameter("a=1&b=" + encoded + "&b=2", "b") == decoded);
  }
  const std::string_view first = query.substr(0, query.find('&'));
  const size_t equals = first.find('=');
  if (equals != std::string_view::npos)
    FUZZ_REQUIRE(query_parameter(query, first.substr(0, equals)) == percent_decode(first.substr(equals + 1)));
  for (const auto name : {"limit", "after", "wait", "form"}) query_parameter(query, name);
  return 0;
}
