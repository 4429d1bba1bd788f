// The short texts that name things and amounts: API keys, ids, UUIDs, digests, money, integers of 128 bits. Each that
// is taken has one spelling.
#include "common/api_key.h"
#include "common/id.h"
#include "common/money.h"
#include "common/sha256.h"
#include "tests/fuzz/require.h"

using namespace quarry;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto key = parse_api_key(text))
    FUZZ_REQUIRE(key->text == text && text.find(key->id) != std::string_view::npos);
  if (const auto job = JobId::parse(text)) FUZZ_REQUIRE(job->to_string() == text);
  if (const auto box = BoxId::parse(text)) FUZZ_REQUIRE(box->to_string() == text);
  if (const auto uuid = parse_uuid(text)) FUZZ_REQUIRE(parse_uuid(uuid_text(*uuid)) == uuid);
  if (const auto digest = parse_digest(text)) FUZZ_REQUIRE(to_hex(*digest) == text);
  if (const auto money = Money::parse(text)) {
    FUZZ_REQUIRE(Money::parse(money->to_string()) == money);
    FUZZ_REQUIRE(*money - *money == Money());
  }
  if (const auto number = parse_uint128(text)) FUZZ_REQUIRE(parse_uint128(to_decimal(*number)) == number);
  if (const auto number = parse_int128(text)) FUZZ_REQUIRE(parse_int128(to_decimal(*number)) == number);
  return 0;
}
