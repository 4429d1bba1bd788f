#include "common/address.h"

#include <catch2/catch.hpp>
#include <stdexcept>

using namespace quarry;

TEST_CASE("an address is a host and a port; an IPv6 host stands in brackets") {
  CHECK(parse_address("127.0.0.1:8443") == Address{"127.0.0.1", 8443});
  CHECK(parse_address("localhost:0") == Address{"localhost", 0});
  CHECK(parse_address("[::1]:65535") == Address{"::1", 65535});
  CHECK(parse_address("[fe80::1%eth0]:1") == Address{"fe80::1%eth0", 1});
}

TEST_CASE("an address is written as it is read") {
  for (const char* text : {"127.0.0.1:8443", "localhost:0", "[::1]:65535"})
    CHECK(to_string(*parse_address(text)) == text);
}

TEST_CASE("what is no address is refused by the flag's name") {
  for (const char* text : {"", ":", "127.0.0.1", "127.0.0.1:", "a:65536", "a:-1", "a:+1", "a: 1", "a:1 ", "a:0x1",
                           "::1:80", "[::1]", "[]:1", "[::1:80", "a:99999999999999999999"}) {
    INFO(text);
    CHECK_FALSE(parse_address(text));
    CHECK_THROWS_WITH(parse_address(text, "--listen"), Catch::StartsWith("--listen: "));
  }
}
