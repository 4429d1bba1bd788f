#include "common/text.h"

#include <array>
#include <catch2/catch.hpp>
#include <vector>

using namespace quarry;

TEST_CASE("UTF-8 is taken in its one proper form only") {
  for (const char* good : {"", "abc", "é", "щ", "入力", "😀", "\xf4\x8f\xbf\xbf"}) CHECK(is_utf8(good));
  for (const char* bad : {"\x80", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "a\xe2\x82"})
    CHECK_FALSE(is_utf8(bad));
}

TEST_CASE("plain text has no control characters") {
  CHECK(is_plain_text("größe / \"x\""));
  for (const std::string& bad : {std::string("a\nb"), std::string("\x7f"), std::string(1, '\0'), std::string("\xff")})
    CHECK_FALSE(is_plain_text(bad));
}

TEST_CASE("a stranger's text is quoted cut and printable") {
  CHECK(quote("abc") == "\"abc\"");
  CHECK(quote("a\nb\xff") == "\"a?b?\"");
  CHECK(quote(std::string(1000, 'a')) == "\"" + std::string(64, 'a') + "...\"");
  const std::string wide = quote(std::string(63, 'a') + "é" + "b");
  CHECK(is_plain_text(wide));
}

TEST_CASE("pointers escape by RFC 6901") {
  CHECK(json_pointer("", "a") == "/a");
  CHECK(json_pointer("/a", "b/c~d") == "/a/b~1c~0d");
  CHECK(json_pointer("/a", "") == "/a/");
  CHECK(is_plain_text(json_pointer("/a", "\xff\n")));
}

TEST_CASE("the nearest known word is suggested, or all of them listed") {
  constexpr std::array<std::string_view, 4> known = {"shape", "axes", "strides", "op"};
  CHECK(suggestion("shpae", known) == "did you mean \"shape\"?");
  CHECK(suggestion("axis", known) == "did you mean \"axes\"?");
  CHECK(suggestion("Stride", known) == "did you mean \"strides\"?");
  CHECK(suggestion("colour", known) == "known are shape, axes, strides, op");
  CHECK(suggestion(std::string(100'000, 'a'), known) == "known are shape, axes, strides, op");
  CHECK(suggestion("x", std::vector<std::string_view>(1000, "longer")).ends_with(", ..."));
}
