#include "wire/certificates.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace quarry::wire {
namespace {

constexpr int kAuthorityDays = 3'650;
constexpr int kSerialBits = 127;  // random and positive: nothing can be learnt or predicted from it
constexpr int64_t kSecondsPerDay = 86'400;
constexpr int64_t kBackdateSeconds = 3'600;  // a box's clock may be behind ours
constexpr size_t kMaxPemBytes = 64 << 10;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Request = std::unique_ptr<X509_REQ, Freed<X509_REQ_free>>;
using Name = std::unique_ptr<X509_NAME, Freed<X509_NAME_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

// For calls that fail only when memory or OpenSSL itself does.
void must(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("OpenSSL failed: ") + what);
}

Bio reader(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min(pem.size(), kMaxPemBytes))));
}

std::string text_of(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

template <auto Write, class T>
std::string to_pem(T* object) {
  Bio out(BIO_new(BIO_s_mem()));
  must(out && Write(out.get(), object) == 1, "writing PEM");
  return text_of(out);
}

std::string key_to_pem(EVP_PKEY* key) {
  Bio out(BIO_new(BIO_s_mem()));
  must(out && PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
       "writing a key");
  return text_of(out);
}

// Never asks for a passphrase: an encrypted key is an error, not a prompt on a server's terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Key parse_key(const std::string& pem) {
  return Key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_passphrase, nullptr));
}
Certificate parse_certificate(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, no_passphrase, nullptr));
}
Request parse_request(const std::string& pem) {
  return Request(PEM_read_bio_X509_REQ(reader(pem).get(), nullptr, no_passphrase, nullptr));
}

Key make_key() {
  Key key(EVP_EC_gen("P-256"));
  must(key != nullptr, "making a P-256 key");
  return key;
}

Name make_name(const std::string& common_name) {
  Name name(X509_NAME_new());
  must(name && X509_NAME_add_entry_by_NID(name.get(), NID_commonName, MBSTRING_UTF8,
                                          reinterpret_cast<const unsigned char*>(common_name.data()),
                                          static_cast<int>(common_name.size()), -1, 0) == 1,
       "a common name has 1 to 64 characters");
  return name;
}

bool is_p256(EVP_PKEY* key) {
  char group[32] = {};
  size_t length = 0;
  return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         std::string_view(group, length) == SN_X9_62_prime256v1;
}

void set_random_serial(X509* certificate) {
  BigNumber serial(BN_new());
  must(serial && BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1, "a random serial");
  must(BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr, "a serial");
}

void set_validity(X509* certificate, WallTime now, int64_t days) {
  const time_t seconds = static_cast<time_t>(now.micros / 1'000'000);
  must(ASN1_TIME_set(X509_getm_notBefore(certificate), seconds - kBackdateSeconds) != nullptr, "a start time");
  must(ASN1_TIME_set(X509_getm_notAfter(certificate), seconds + days * kSecondsPerDay) != nullptr, "an end time");
}

void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  must(extension && X509_add_ext(certificate, extension.get(), -1) == 1, value);
}

// The names are put in as values, never through OpenSSL's configuration syntax: a comma in one cannot add another.
void add_subject_names(X509* certificate, const std::vector<std::string>& texts) {
  Names names(GENERAL_NAMES_new());
  must(names != nullptr, "subject names");
  for (const std::string& text : texts) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(text.c_str());
    ASN1_IA5STRING* dns = address ? nullptr : ASN1_IA5STRING_new();
    if (dns) must(ASN1_STRING_set(dns, text.data(), static_cast<int>(text.size())) == 1, "a subject name");
    GENERAL_NAME* name = GENERAL_NAME_new();
    must(name != nullptr, "a subject name");
    GENERAL_NAME_set0_value(name, address ? GEN_IPADD : GEN_DNS,
                            address ? static_cast<void*>(address) : static_cast<void*>(dns));
    must(sk_GENERAL_NAME_push(names.get(), name) > 0, "a subject name");
  }
  must(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1, "subject names");
}

Certificate new_certificate(EVP_PKEY* public_key, const std::string& common_name, WallTime now, int64_t days) {
  Certificate certificate(X509_new());
  must(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1, "a certificate");
  set_random_serial(certificate.get());
  set_validity(certificate.get(), now, days);
  const Name name = make_name(common_name);
  must(X509_set_subject_name(certificate.get(), name.get()) == 1 && X509_set_pubkey(certificate.get(), public_key) == 1,
       "a certificate");
  return certificate;
}

Problem bad_pem(const char* what, const char* pointer) {
  ERR_clear_error();
  return Problem{"invalid_certificate", std::string(what) + ".", pointer, "Make the key and the request again."};
}

}  // namespace

KeyAndCertificate make_authority(const std::string& common_name, WallTime now) {
  const Key key = make_key();
  const Certificate root = new_certificate(key.get(), common_name, now, kAuthorityDays);
  must(X509_set_issuer_name(root.get(), X509_get_subject_name(root.get())) == 1, "an issuer");
  add_extension(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(root.get(), root.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(root.get(), root.get(), NID_subject_key_identifier, "hash");
  must(X509_sign(root.get(), key.get(), EVP_sha256()) > 0, "signing");
  return {key_to_pem(key.get()), to_pem<PEM_write_bio_X509>(root.get())};
}

std::string make_key_pem() {
  return key_to_pem(make_key().get());
}

std::string make_request_pem(const std::string& key_pem, const std::string& common_name) {
  const Key key = parse_key(key_pem);
  must(key != nullptr, "the key is not an unencrypted PEM key");
  const Request request(X509_REQ_new());
  const Name name = make_name(common_name);
  must(request && X509_REQ_set_subject_name(request.get(), name.get()) == 1 &&
           X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
           X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0,
       "making a request");
  return to_pem<PEM_write_bio_X509_REQ>(request.get());
}

Result<std::string> issue_certificate(const KeyAndCertificate& authority, const std::string& request_pem,
                                      const std::string& common_name, const std::vector<std::string>& dns_names,
                                      int valid_days, WallTime now) {
  const Key authority_key = parse_key(authority.key_pem);
  const Certificate root = parse_certificate(authority.certificate_pem);
  if (!authority_key || !root || X509_check_private_key(root.get(), authority_key.get()) != 1)
    return bad_pem("The authority's key and certificate cannot be read, or do not belong together", "");
  const Request request = parse_request(request_pem);
  if (!request) return bad_pem("The certificate request is not PEM of a PKCS #10 request", "/request_pem");
  EVP_PKEY* public_key = X509_REQ_get0_pubkey(request.get());
  if (!is_p256(public_key)) return bad_pem("The certificate request's key is not on the curve P-256", "/request_pem");
  if (X509_REQ_verify(request.get(), public_key) != 1)
    return bad_pem("The certificate request is not signed by its own key", "/request_pem");

  const Certificate certificate = new_certificate(public_key, common_name, now, valid_days);
  // Never outlive the root, or every peer would refuse the chain.
  if (ASN1_TIME_compare(X509_get0_notAfter(certificate.get()), X509_get0_notAfter(root.get())) > 0)
    must(X509_set1_notAfter(certificate.get(), X509_get0_notAfter(root.get())) == 1, "an end time");
  must(X509_set_issuer_name(certificate.get(), X509_get_subject_name(root.get())) == 1, "an issuer");
  add_extension(certificate.get(), root.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), root.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(certificate.get(), root.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(certificate.get(), root.get(), NID_subject_key_identifier, "hash");
  add_extension(certificate.get(), root.get(), NID_authority_key_identifier, "keyid:always");
  std::vector<std::string> names = dns_names;
  if (names.empty()) names.push_back(common_name);
  add_subject_names(certificate.get(), names);
  must(X509_sign(certificate.get(), authority_key.get(), EVP_sha256()) > 0, "signing");
  return to_pem<PEM_write_bio_X509>(certificate.get());
}

Result<Digest> public_key_digest(const std::string& pem) {
  EVP_PKEY* key = nullptr;
  const Certificate certificate = parse_certificate(pem);
  const Request request = certificate ? nullptr : parse_request(pem);
  if (certificate) key = X509_get0_pubkey(certificate.get());
  if (request) key = X509_REQ_get0_pubkey(request.get());
  unsigned char* der = nullptr;
  const int size = key ? i2d_PUBKEY(key, &der) : 0;
  if (size <= 0) return bad_pem("The text is PEM neither of a certificate nor of a certificate request", "");
  const std::unique_ptr<unsigned char, Freed<[](unsigned char* p) { OPENSSL_free(p); }>> owned(der);
  return sha256(std::as_bytes(std::span(der, static_cast<size_t>(size))));
}

bool certificate_names(const std::string& certificate_pem, const std::string& host) {
  const Certificate certificate = parse_certificate(certificate_pem);
  return certificate && (X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1 ||
                         X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1);
}

}  // namespace quarry::wire
