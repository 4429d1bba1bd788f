#include "common/id.h"

#include <catch2/catch.hpp>

#include "common/api_key.h"
#include "common/sha256.h"

using namespace quarry;

TEST_CASE("an id prints with its prefix and parses back, as text and as uuid") {
  SeededRandom random(7);
  for (int i = 0; i < 1000; ++i) {
    const JobId id = JobId::make(WallTime{1'700'000'000'000'000 + i * 1000}, random);
    const std::string text = id.to_string();
    CHECK(text.size() == 4 + 26);
    CHECK(JobId::parse(text) == id);
    CHECK(JobId::from_uuid(id.uuid()) == id);
    CHECK_FALSE(BoxId::parse(text));
  }
}

TEST_CASE("ids made later sort later") {
  SeededRandom random(7);
  const JobId first = JobId::make(WallTime{1'700'000'000'000'000}, random);
  const JobId second = JobId::make(WallTime{1'700'000'000'001'000}, random);
  CHECK(first < second);
  CHECK(first.to_string() < second.to_string());
}

TEST_CASE("malformed ids are refused") {
  for (const char* text : {"", "job_", "job_0", "job_zzzzzzzzzzzzzzzzzzzzzzzzzz", "job_0000000000000000000000000!",
                           "job_000000000000000000000000000", "JOB_00000000000000000000000000"})
    CHECK_FALSE(JobId::parse(text));
}

TEST_CASE("sha256 agrees with FIPS 180-4's example and resets after finish") {
  Sha256 hash;
  for (int i = 0; i < 2; ++i) {
    hash.update("abc");
    CHECK(to_hex(hash.finish()) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
  CHECK(parse_digest(to_hex(sha256("abc"))) == sha256("abc"));
  CHECK_FALSE(parse_digest("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
}

TEST_CASE("an API key parses back, and any changed character is refused by its checksum") {
  SeededRandom random(9);
  const ApiKeyText key = make_api_key(random);
  const auto parsed = parse_api_key(key.text);
  REQUIRE(parsed);
  CHECK(parsed->id == key.id);
  CHECK(parsed->secret_sha256 == key.secret_sha256);
  for (size_t i = 0; i < key.text.size(); ++i) {
    std::string changed = key.text;
    changed[i] = changed[i] == 'a' ? 'b' : 'a';
    CHECK_FALSE(parse_api_key(changed));
  }
  CHECK_FALSE(parse_api_key(key.text + "0"));
  CHECK_FALSE(parse_api_key(""));
}
