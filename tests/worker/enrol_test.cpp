#include "worker/enrol.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/worker/support.h"
#include "wire/certificates.h"
#include "worker/rate_card.h"

namespace quarry::worker::test {
namespace {

using nlohmann::json;

/// The server's part of a claim, with a real authority: spends the code for the first key that brings it.
class FakeApi {
 public:
  explicit FakeApi(int valid_days = 90)
      : valid_days_(valid_days), authority_(wire::make_authority("test", SystemClock().wall())) {}

  PostJson post() {
    return [this](const std::string& url, const std::string& body) { return answer(url, body); };
  }
  int claims = 0;
  std::string last_url, gate_host = "gate.example";
  std::optional<Problem> down;

 private:
  Result<std::string> answer(const std::string& url, const std::string& body) {
    if (down) return *down;
    last_url = url;
    const json request = json::parse(body);
    const Digest key = wire::public_key_digest(request["request_pem"]).value();
    if (request["claim_code"] != "right-code" || (key_ && *key_ != key))
      return Problem{"refused", "the server answered 404", "", ""};
    key_ = key;
    ++claims;
    auto certificate =
        wire::issue_certificate(authority_, request["request_pem"], "box_1", {}, valid_days_, SystemClock().wall());
    REQUIRE(certificate.ok());
    return json{{"box", "box_1"},
                {"certificate_pem", *certificate},
                {"authority_pem", authority_.certificate_pem},
                {"gate", {{"host", gate_host}, {"port", 8444}}}}
        .dump();
  }
  int valid_days_;
  wire::KeyAndCertificate authority_;
  std::optional<Digest> key_;
};

EnrolOptions options_in(const TemporaryDirectory& directory, const std::string& code = "right-code\n") {
  std::ofstream(directory.path() + "/code") << code;
  return {"https://quarry.example", "", directory.path(), directory.path() + "/code"};
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}

TEST_CASE("a claim code becomes a key of the box's own, a certificate and the gate's address") {
  const TemporaryDirectory directory;
  FakeApi api;
  const auto enrolment = enrol(options_in(directory), api.post());
  REQUIRE(enrolment.ok());
  CHECK(api.last_url == "https://quarry.example/v1/boxes:claim");
  CHECK(enrolment->box == "box_1");
  CHECK(enrolment->gate.host == "gate.example");
  CHECK(enrolment->gate.port == 8444);
  CHECK(mode_of(enrolment->files.key) == 0600);
  CHECK(mode_of(directory.path() + "/enrolment.json") == 0600);
  const auto key = read_file(enrolment->files.key, 10'000),
             certificate = read_file(enrolment->files.certificate, 10'000);
  CHECK(wire::public_key_digest(*certificate).value() ==
        wire::public_key_digest(wire::make_request_pem(*key, "box")).value());
}

TEST_CASE("a restart needs no claim code, learns where the gate is now, and does without the service") {
  const TemporaryDirectory directory;
  FakeApi api;
  EnrolOptions options = options_in(directory);
  REQUIRE(enrol(options, api.post()).ok());
  options.claim_code_file.clear();
  api.gate_host = "moved.example";
  const auto again = enrol(options, api.post());
  REQUIRE(again.ok());
  CHECK(again->gate.host == "moved.example");
  api.down = Problem{"unreachable", "no route", "", ""};
  const auto alone = enrol(options, api.post());
  REQUIRE(alone.ok());
  CHECK(alone->gate.host == "moved.example");
  CHECK(alone->box == "box_1");
}

TEST_CASE("a crash between the server's answer and the last file costs nothing: the same key claims again") {
  const TemporaryDirectory directory;
  FakeApi api;
  REQUIRE(enrol(options_in(directory), api.post()).ok());
  std::remove((directory.path() + "/enrolment.json").c_str());
  CHECK(enrol(options_in(directory), api.post()).ok());
  CHECK(api.claims == 2);
}

TEST_CASE("a wrong code, a missing code and an unreachable server are told apart") {
  const TemporaryDirectory directory;
  FakeApi api;
  CHECK(enrol(options_in(directory, "wrong"), api.post()).problem().code == "refused");
  EnrolOptions none = options_in(directory);
  none.claim_code_file.clear();
  const auto missing = enrol(none, api.post());
  CHECK(missing.problem().detail == "this box is not enrolled yet");
  api.down = Problem{"unreachable", "no route", "", ""};
  CHECK(enrol(options_in(directory), api.post()).problem().code == "unreachable");
}

TEST_CASE("an answer that is not an enrolment is refused and leaves no enrolment behind") {
  const TemporaryDirectory directory;
  for (const char* answer : {"", "[]", "{}", R"({"box": 1})", R"({"box": "b", "gate": {"host": "h", "port": 99999}})",
                             R"({"box": "b", "gate": {"host": "h", "port": 1}})"}) {
    const auto enrolment =
        enrol(options_in(directory), [&](auto&, auto&) { return Result<std::string>(std::string(answer)); });
    REQUIRE_FALSE(enrolment.ok());
    CHECK(enrolment.problem().code == "refused");
  }
  CHECK_FALSE(read_file(directory.path() + "/enrolment.json", 10'000).ok());
}

TEST_CASE("a certificate is renewed when less than a third of its life is left, for the same key") {
  const TemporaryDirectory directory;
  FakeApi api(90);
  const EnrolOptions options = options_in(directory);
  REQUIRE(enrol(options, api.post()).ok());
  const auto after_days = [](int64_t days) {
    return WallTime{SystemClock().wall().micros + days * 86'400 * 1'000'000};
  };
  CHECK_FALSE(*renewal_is_due(options, after_days(0)));
  CHECK_FALSE(*renewal_is_due(options, after_days(59)));
  CHECK(*renewal_is_due(options, after_days(61)));
  CHECK(*renewal_is_due(options, after_days(120)));
  const auto before = read_file(directory.path() + "/certificate.pem", 10'000);
  REQUIRE(renew(options, api.post()).ok());
  const auto after = read_file(directory.path() + "/certificate.pem", 10'000);
  CHECK(*before != *after);
  CHECK(wire::public_key_digest(*before).value() == wire::public_key_digest(*after).value());
}

TEST_CASE("a rate card is kept for the device and driver it was measured on") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/rate_card.json";
  const Ready device{.device_name = "a device", .driver = "driver 1", .compute_units = 8};
  Ready updated = device;
  updated.driver = "driver 2";
  CHECK_FALSE(load_rate_card(path, rate_card_subject("opencl:0", device)));
  REQUIRE(save_rate_card(path, rate_card_subject("opencl:0", device), {{"bytes_per_s", 1e9}}).ok());
  CHECK(load_rate_card(path, rate_card_subject("opencl:0", device))->at("bytes_per_s") == 1e9);
  CHECK_FALSE(load_rate_card(path, rate_card_subject("opencl:0", updated)));
  std::ofstream(path) << "{\"subject\": 3, \"rates\": [";
  CHECK_FALSE(load_rate_card(path, rate_card_subject("opencl:0", device)));
}

}  // namespace
}  // namespace quarry::worker::test
