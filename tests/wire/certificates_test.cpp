#include "wire/certificates.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <catch2/catch.hpp>
#include <memory>

using namespace quarry;
using namespace quarry::wire;

namespace {

const WallTime kNow{1'790'000'000'000'000};

struct Free {
  void operator()(X509* p) const { X509_free(p); }
};
std::unique_ptr<X509, Free> parse(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  std::unique_ptr<X509, Free> certificate(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr));
  BIO_free(bio);
  REQUIRE(certificate);
  return certificate;
}

std::string issue(const KeyAndCertificate& authority, const std::string& name,
                  const std::vector<std::string>& names = {}) {
  const auto issued = issue_certificate(authority, make_request_pem(make_key_pem(), "anything"), name, names, 30, kNow);
  REQUIRE(issued.ok());
  return issued.value();
}

}  // namespace

TEST_CASE("a certificate carries the name that the authority chose, not the one that was asked for") {
  const auto certificate = parse(issue(make_authority("Quarry", kNow), "box_1"));
  char name[64] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name, sizeof name);
  CHECK(std::string(name) == "box_1");
}

TEST_CASE("addresses and host names go into the subject's alternative names") {
  const auto certificate = parse(issue(make_authority("Quarry", kNow), "server", {"localhost", "127.0.0.1", "::1"}));
  CHECK(X509_check_host(certificate.get(), "localhost", 0, 0, nullptr) == 1);
  CHECK(X509_check_ip_asc(certificate.get(), "127.0.0.1", 0) == 1);
  CHECK(X509_check_ip_asc(certificate.get(), "::1", 0) == 1);
  CHECK(X509_check_host(certificate.get(), "example.org", 0, 0, nullptr) == 0);
}

TEST_CASE("a certificate is asked which names and addresses it holds for") {
  const std::string pem = issue(make_authority("Quarry", kNow), "server", {"quarry.example", "192.0.2.7"});
  CHECK(certificate_names(pem, "quarry.example"));
  CHECK(certificate_names(pem, "192.0.2.7"));
  for (const char* other : {"", "server", "192.0.2.70", "example", "a.quarry.example", "0.0.0.0"})
    CHECK_FALSE(certificate_names(pem, other));
  CHECK_FALSE(certificate_names("no certificate", "quarry.example"));
}

TEST_CASE("a name cannot smuggle in another through a comma") {
  const auto certificate = parse(issue(make_authority("Quarry", kNow), "server", {"a,DNS:evil.example"}));
  CHECK(X509_check_host(certificate.get(), "evil.example", 0, 0, nullptr) != 1);
}

TEST_CASE("an issued certificate may identify both sides of a link, and sign nothing") {
  const auto certificate = parse(issue(make_authority("Quarry", kNow), "server"));
  CHECK(X509_check_purpose(certificate.get(), X509_PURPOSE_SSL_SERVER, 0) == 1);
  CHECK(X509_check_purpose(certificate.get(), X509_PURPOSE_SSL_CLIENT, 0) == 1);
  CHECK(X509_check_ca(certificate.get()) == 0);
}

TEST_CASE("the authority's root is a CA and signs what it issues") {
  const auto authority = make_authority("Quarry", kNow);
  const auto root = parse(authority.certificate_pem);
  const auto leaf = parse(issue(authority, "server"));
  CHECK(X509_check_ca(root.get()) == 1);
  CHECK(X509_verify(leaf.get(), X509_get0_pubkey(root.get())) == 1);
  CHECK(X509_verify(leaf.get(), X509_get0_pubkey(parse(make_authority("Quarry", kNow).certificate_pem).get())) == 0);
}

TEST_CASE("no two certificates share a serial") {
  const auto authority = make_authority("Quarry", kNow);
  const auto a = parse(issue(authority, "x")), b = parse(issue(authority, "x"));
  CHECK(ASN1_INTEGER_cmp(X509_get0_serialNumber(a.get()), X509_get0_serialNumber(b.get())) != 0);
}

TEST_CASE("a certificate starts a little early, ends when it should, and never after the root") {
  const auto authority = make_authority("Quarry", kNow);
  const time_t seconds = kNow.micros / 1'000'000;
  const auto month = parse(issue(authority, "x"));
  CHECK(X509_cmp_time(X509_get0_notBefore(month.get()), std::array{seconds}.data()) < 0);
  const auto century = issue_certificate(authority, make_request_pem(make_key_pem(), "x"), "x", {}, 36'500, kNow);
  REQUIRE(century.ok());
  CHECK(ASN1_TIME_compare(X509_get0_notAfter(parse(century.value()).get()),
                          X509_get0_notAfter(parse(authority.certificate_pem).get())) == 0);
}

TEST_CASE("a key's fingerprint is the same in its request and its certificate") {
  const auto authority = make_authority("Quarry", kNow);
  const std::string request = make_request_pem(make_key_pem(), "box");
  const auto issued = issue_certificate(authority, request, "box_1", {}, 30, kNow);
  REQUIRE(issued.ok());
  const auto in_request = public_key_digest(request), in_certificate = public_key_digest(issued.value());
  REQUIRE(in_request.ok());
  REQUIRE(in_certificate.ok());
  CHECK(in_request.value() == in_certificate.value());
}

TEST_CASE("what is not a request, is tampered with, or has another kind of key is refused") {
  const auto authority = make_authority("Quarry", kNow);
  std::string tampered = make_request_pem(make_key_pem(), "box");
  tampered[tampered.size() / 2] = tampered[tampered.size() / 2] == 'A' ? 'B' : 'A';
  CHECK_FALSE(issue_certificate(authority, "", "x", {}, 30, kNow).ok());
  CHECK_FALSE(issue_certificate(authority, "-----BEGIN NONSENSE-----", "x", {}, 30, kNow).ok());
  CHECK_FALSE(issue_certificate(authority, tampered, "x", {}, 30, kNow).ok());
  CHECK_FALSE(issue_certificate(authority, make_key_pem(), "x", {}, 30, kNow).ok());
  CHECK_FALSE(public_key_digest("nothing").ok());

  EVP_PKEY* other = EVP_EC_gen("P-384");
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, other, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  const auto refused = issue_certificate(authority, make_request_pem(std::string(data, static_cast<size_t>(size)), "x"),
                                         "x", {}, 30, kNow);
  BIO_free(bio);
  EVP_PKEY_free(other);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.problem().pointer == "/request_pem");
}
