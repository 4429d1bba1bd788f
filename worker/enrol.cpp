#include "worker/enrol.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "wire/certificates.h"
#include "worker/file_descriptor.h"

namespace quarry::worker {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = 64 << 10;

std::string key_file(const EnrolOptions& o) {
  return o.data_directory + "/key.pem";
}
std::string certificate_file(const EnrolOptions& o) {
  return o.data_directory + "/certificate.pem";
}
std::string authority_file(const EnrolOptions& o) {
  return o.data_directory + "/authority.pem";
}
/// Written last: with it the enrolment is complete. Holds the spent claim code, which renews the certificate for this
/// key only.
std::string enrolment_file(const EnrolOptions& o) {
  return o.data_directory + "/enrolment.json";
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

Result<std::string> load_or_make_key(const EnrolOptions& options) {
  if (::access(key_file(options).c_str(), F_OK) == 0) return read_file(key_file(options), kMaxFileBytes);
  std::string key = wire::make_key_pem();
  QUARRY_TRY(replace_file(key_file(options), key, 0600));
  return key;
}

Problem malformed(const std::string& what) {
  return {"refused", what + " is not what an enrolment holds", "", "check --api: it must be a Quarry server"};
}

Result<json> parse_enrolment(const std::string& text, const std::string& what) {
  json value = json::parse(text, nullptr, false);
  const bool whole = value.is_object() && value.contains("box") && value["box"].is_string() && value.contains("gate") &&
                     value["gate"].is_object() && value["gate"].contains("host") && value["gate"]["host"].is_string() &&
                     value["gate"].contains("port") && value["gate"]["port"].is_number_unsigned() &&
                     value["gate"]["port"] <= 65'535;
  if (!whole) return malformed(what);
  return value;
}

Enrolment make_enrolment(const EnrolOptions& options, const json& value) {
  return {value["box"],
          {value["gate"]["host"], value["gate"]["port"].get<uint16_t>()},
          {certificate_file(options), key_file(options), authority_file(options)}};
}

Result<json> claim(const EnrolOptions& options, const std::string& claim_code, const PostJson& post) {
  QUARRY_ASSIGN(const std::string key, load_or_make_key(options));
  const json request{{"claim_code", claim_code}, {"request_pem", wire::make_request_pem(key, "box")}};
  QUARRY_ASSIGN(const std::string answer, post(options.api + "/v1/boxes:claim", request.dump()));
  QUARRY_ASSIGN(json value, parse_enrolment(answer, "the answer of " + options.api));
  if (!value.value("certificate_pem", json()).is_string() || !value.value("authority_pem", json()).is_string())
    return malformed("the answer of " + options.api);
  QUARRY_TRY(replace_file(authority_file(options), value["authority_pem"], 0644));
  QUARRY_TRY(replace_file(certificate_file(options), value["certificate_pem"], 0644));
  const json kept{{"box", value["box"]}, {"gate", value["gate"]}, {"claim_code", claim_code}};
  QUARRY_TRY(replace_file(enrolment_file(options), kept.dump(2) + "\n", 0600));
  return value;
}

int64_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? static_cast<int64_t>(::timegm(&parts)) : 0;
}

}  // namespace

Result<Enrolment> enrol(const EnrolOptions& options, const PostJson& post) {
  if (const auto kept = read_file(enrolment_file(options), kMaxFileBytes); kept.ok()) {
    QUARRY_ASSIGN(const json value, parse_enrolment(*kept, enrolment_file(options)));
    const auto fresh = claim(options, value.value("claim_code", std::string()), post);
    if (!fresh.ok()) spdlog::warn("the enrolment is used as it stands: {}", fresh.problem().detail);
    return make_enrolment(options, fresh.ok() ? *fresh : value);
  }
  if (options.claim_code_file.empty())
    return Problem{"refused", "this box is not enrolled yet", "",
                   "give --claim-code-file, with a code from POST /v1/boxes"};
  QUARRY_ASSIGN(const std::string code, read_file(options.claim_code_file, kMaxFileBytes));
  QUARRY_ASSIGN(const json value, claim(options, trimmed(code), post));
  return make_enrolment(options, value);
}

Result<bool> renewal_is_due(const EnrolOptions& options, WallTime now) {
  QUARRY_ASSIGN(const std::string pem, read_file(certificate_file(options), kMaxFileBytes));
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                         &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr), &X509_free);
  if (!certificate)
    return Problem{"refused", certificate_file(options) + " is not a certificate", "", "remove it to enrol again"};
  const int64_t from = seconds_of(X509_get0_notBefore(certificate.get())),
                until = seconds_of(X509_get0_notAfter(certificate.get()));
  constexpr int64_t kMicrosPerSecond = 1'000'000;
  return 3 * (until - now.micros / kMicrosPerSecond) < until - from;
}

Status renew(const EnrolOptions& options, const PostJson& post) {
  QUARRY_ASSIGN(const std::string text, read_file(enrolment_file(options), kMaxFileBytes));
  QUARRY_ASSIGN(const json kept, parse_enrolment(text, enrolment_file(options)));
  const auto result = claim(options, kept.value("claim_code", std::string()), post);
  return result.ok() ? Status() : Status(result.problem());
}

}  // namespace quarry::worker
