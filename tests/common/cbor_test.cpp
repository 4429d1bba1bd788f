#include "common/cbor.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>

using namespace quarry;

namespace {

template <class Write>
std::string hex_of(Write write) {
  CborWriter writer;
  write(writer);
  std::string text;
  for (std::byte byte : writer.data()) {
    text += "0123456789abcdef"[static_cast<unsigned>(byte) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

std::string floating(double value) {
  return hex_of([&](CborWriter& w) { w.floating(value); });
}
std::string integer(int64_t value) {
  return hex_of([&](CborWriter& w) { w.integer(value); });
}

std::string error_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (int value : values) bytes.push_back(static_cast<std::byte>(value));
  CborReader reader(bytes);
  while (!reader.at_end())
    if (!reader.next()) return reader.error();
  return "";
}

}  // namespace

TEST_CASE("integers take their shortest form: the examples of RFC 8949, appendix A") {
  CHECK(integer(0) == "00");
  CHECK(integer(23) == "17");
  CHECK(integer(24) == "1818");
  CHECK(integer(1000) == "1903e8");
  CHECK(integer(1000000) == "1a000f4240");
  CHECK(integer(1000000000000) == "1b000000e8d4a51000");
  CHECK(integer(-1) == "20");
  CHECK(integer(-100) == "3863");
  CHECK(integer(std::numeric_limits<int64_t>::min()) == "3b7fffffffffffffff");
  CHECK(hex_of([](CborWriter& w) { w.unsigned_integer(UINT64_MAX); }) == "1bffffffffffffffff");
}

TEST_CASE("floats take the shortest form that keeps their value: the examples of RFC 8949, appendix A") {
  CHECK(floating(0.0) == "f90000");
  CHECK(floating(-0.0) == "f98000");
  CHECK(floating(1.5) == "f93e00");
  CHECK(floating(65504.0) == "f97bff");
  CHECK(floating(100000.0) == "fa47c35000");
  CHECK(floating(3.4028234663852886e+38) == "fa7f7fffff");
  CHECK(floating(1.1) == "fb3ff199999999999a");
  CHECK(floating(1.0e+300) == "fb7e37e43c8800759c");
  CHECK(floating(5.960464477539063e-8) == "f90001");
  CHECK(floating(0.00006103515625) == "f90400");
  CHECK(floating(std::ldexp(1, -149)) == "fa00000001");
  CHECK(floating(-4.1) == "fbc010666666666666");
  CHECK(floating(std::numeric_limits<double>::infinity()) == "f97c00");
  CHECK(floating(-std::numeric_limits<double>::infinity()) == "f9fc00");
  CHECK(floating(std::nan("")) == "f97e00");
}

TEST_CASE("every binary16 is read to the value that is written as the same binary16") {
  for (int bits = 0; bits < 65536; ++bits) {
    const std::byte bytes[] = {std::byte{0xf9}, static_cast<std::byte>(bits >> 8), static_cast<std::byte>(bits & 0xff)};
    CborReader reader(bytes);
    const auto item = reader.next();
    REQUIRE(item);
    if (std::isnan(item->floating)) continue;
    CborWriter writer;
    writer.floating(item->floating);
    REQUIRE(std::ranges::equal(writer.data(), bytes));
  }
}

TEST_CASE("what was written is read back") {
  CborWriter w;
  w.map(2);
  w.text("a"), w.array(2), w.integer(-7), w.boolean(true);
  w.text("bb"), w.bytes(std::vector<uint8_t>{1, 2});
  using Kind = CborItem::Kind;
  CborReader reader(w.data());
  CHECK(reader.next()->number == 2);
  CHECK(reader.next()->bytes == "a");
  CHECK(reader.next()->kind == Kind::Array);
  CHECK(reader.next()->negative == -7);
  CHECK(reader.next()->kind == Kind::Boolean);
  CHECK(reader.next()->bytes == "bb");
  CHECK(reader.next()->kind == Kind::Bytes);
  CHECK(reader.at_end());
  CHECK_FALSE(reader.next());
}

TEST_CASE("keys sort by length, then by bytes") {
  CHECK(cbor_key_less("z", "aa"));
  CHECK(cbor_key_less("ab", "b\xc3\xa9"));
  CHECK(cbor_key_less("a", "b"));
  CHECK_FALSE(cbor_key_less("a", "a"));
}

TEST_CASE("broken and unwanted items are refused with their place") {
  CHECK(error_of({0x00, 0x19, 0x01}) == "byte 1: the text ends too early");
  CHECK(error_of({0x5f, 0xff}) == "byte 0: indefinite lengths are not taken");
  CHECK(error_of({0x1c}) == "byte 0: a reserved length");
  CHECK(error_of({0x62, 'a'}) == "byte 0: a string that is longer than the text");
  CHECK(error_of({0x61, 0xff}) == "byte 0: a string that is not UTF-8");
  CHECK(error_of({0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0}) == "byte 0: an integer below -2^63");
  CHECK(error_of({0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) ==
        "byte 0: an array or map with more items than the text has bytes");
  CHECK(error_of({0xa1, 0x00}) == "byte 0: an array or map with more items than the text has bytes");
  CHECK(error_of({0xc0}) == "byte 0: tags are not taken");
  CHECK(error_of({0xf8, 0x14}) == "byte 0: a simple value other than true, false and null");
}
