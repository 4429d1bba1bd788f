#include "sql/stored_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace quarry;

TEST_CASE("an event's payload is JSON whatever its strings are") {
  CHECK(sql::payload({}) == "{}");
  CHECK(sql::payload({{"segment", "3"}, {"reason", "drained", true}}) == R"({"segment":3,"reason":"drained"})");
  for (const std::string text : {"a\"b", "back\\slash", "line\nbreak", "\x01", "\xc3\x28", "é"}) {
    const auto read = nlohmann::json::parse(sql::payload({{"text", text, true}}));
    CHECK(read.at("text").get<std::string>() == (text == "\xc3\x28" ? "\xef\xbf\xbd(" : text));
  }
}
