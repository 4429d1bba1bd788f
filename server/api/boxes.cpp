#include "common/random_hex.h"
#include "common/text.h"
#include "server/api/handlers.h"
#include "server/json_reader.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

constexpr size_t kMaxBoxNameBytes = 100;
constexpr size_t kMaxRequestPemBytes = 16 << 10;
constexpr int kCertificateDays = 30;
constexpr std::string_view kClaimPrefix = "qc_";

Result<std::string> text_member(const std::map<std::string, std::string_view>& body, const std::string& name,
                                size_t most) {
  const auto found = body.find(name);
  if (found == body.end()) return Problem{"missing_field", "the field '" + name + "' is missing", "/" + name, "add it"};
  QUARRY_ASSIGN(std::string text, read_string(found->second, "/" + name));
  if (text.empty() || text.size() > most)
    return Problem{"bad_value", "'" + name + "' is not 1 to " + std::to_string(most) + " bytes", "/" + name,
                   "correct it"};
  return text;
}

/// 128 random bits: shown once, stored as their hash, spent by the first key that claims with them.
std::string make_claim_code(RandomSource& random) {
  return std::string(kClaimPrefix) + random_hex(random, 16);
}

}  // namespace

Awaitable<http::Response> post_box(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const auto body, read_object(call.body, {"name"}));
  QUARRY_ANSWER_ASSIGN(const std::string name, text_member(body, "name", kMaxBoxNameBytes));
  if (!is_plain_text(name))
    co_return refusal({"bad_value", "the name has characters that cannot be shown", "/name", "correct it"});
  const std::string code = make_claim_code(service.random);
  const auto create = [account = call.account, name, hash = sha256(code)](sql::FleetStore& store) {
    return store.create_box(account, name, hash);
  };
  const BoxId box = co_await service.database.run(create);
  JsonWriter json;
  json.begin_object().field("id", box.to_string()).field("claim_code", code).end_object();
  co_return http::Response::json(201, json.take());
}

Awaitable<http::Response> list_boxes(Service& service, Call& call) {
  const auto rows =
      co_await service.database.run([account = call.account](sql::FleetStore& store) { return store.boxes(account); });
  JsonWriter json;
  json.begin_object().key("boxes").begin_array();
  for (const sql::BoxRow& box : rows)
    json.begin_object()
        .field("id", box.id.to_string())
        .field("name", box.name)
        .field("claimed", box.key_sha256.has_value())
        .field("revoked", box.revoked)
        .end_object();
  json.end_array().end_object();
  co_return http::Response::json(200, json.take());
}

/// Enrolment, and renewal: the same code with the same key gives a fresh certificate.
Awaitable<http::Response> claim_box(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const auto body, read_object(call.body, {"claim_code", "request_pem"}));
  QUARRY_ANSWER_ASSIGN(const std::string code, text_member(body, "claim_code", 100));
  QUARRY_ANSWER_ASSIGN(const std::string request_pem, text_member(body, "request_pem", kMaxRequestPemBytes));
  auto key = wire::public_key_digest(request_pem);
  if (!key)
    co_return refusal(
        {"bad_certificate_request", key.problem().detail, "/request_pem", "send a PKCS #10 request with a P-256 key"});
  const auto issue = [&service, request_pem](const std::string& name) {
    const auto sign = [&service, request_pem, name] {
      return wire::issue_certificate(service.settings.authority, request_pem, name, {name}, kCertificateDays,
                                     service.clock.wall());
    };
    return service.work.run(sign);
  };
  // Issued once for no one first: a request with a bad signature must not spend the code.
  if (auto trial = co_await issue("box"); !trial)
    co_return refusal(
        {"bad_certificate_request", trial.problem().detail, "/request_pem", "send a request signed with its own key"});
  const auto box = co_await service.database.run(
      [hash = sha256(code), digest = *key](sql::FleetStore& store) { return store.claim_box(hash, digest); });
  if (!box || box->revoked) {
    if (failed_guess(service, call))
      co_return refusal(
          {"rate_limited", "too many wrong claim codes from this address", "", "wait as Retry-After says"});
    co_return refusal(
        {"claim_code", "the claim code is unknown, or spent with another key", "/claim_code", "have a new box made"});
  }
  const auto certificate = co_await issue(box->id.to_string());
  if (!certificate) co_return refusal(certificate.problem());
  JsonWriter json;
  json.begin_object()
      .field("box", box->id.to_string())
      .field("certificate_pem", *certificate)
      .field("authority_pem", service.settings.authority.certificate_pem)
      .key("gate")
      .begin_object()
      .field("host", service.settings.gate_host)
      .field("port", service.settings.gate_port)
      .end_object()
      .end_object();
  co_return http::Response::json(201, json.take());
}

}  // namespace quarry::server
