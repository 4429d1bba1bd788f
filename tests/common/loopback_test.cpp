#include "common/loopback.h"

#include <catch2/catch.hpp>

using quarry::is_loopback_url;

TEST_CASE("localhost, all of 127.0.0.0/8 and ::1 are this machine, whatever the port and path") {
  for (const char* url : {"https://localhost", "https://127.0.0.1:8443", "https://127.255.255.254/v1/jobs",
                          "https://[::1]:8443/v1", "https://localhost:1?x=y", "https://user@127.0.0.2:1"})
    CHECK(is_loopback_url(url));
}

TEST_CASE("names and addresses that only look like this machine are not") {
  for (const char* url :
       {"", "https://", "http://127.0.0.1", "https://127.0.0.1.example", "https://localhost.example",
        "https://example/127.0.0.1", "https://128.0.0.1", "https://[::2]", "https://[::1", "https://127.0.0.1@example"})
    CHECK_FALSE(is_loopback_url(url));
}
