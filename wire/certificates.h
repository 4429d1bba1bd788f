// Quarry's own CA (P-256): makes its root, issues short-lived certificates to servers, schedulers and boxes,
// fingerprints keys.
#pragma once

#include <string>
#include <vector>

#include "common/clock.h"
#include "common/result.h"
#include "common/sha256.h"

namespace quarry::wire {

struct KeyAndCertificate {
  std::string key_pem, certificate_pem;
};

/// A self-signed root, valid for ten years.
KeyAndCertificate make_authority(const std::string& common_name, WallTime now);
/// A new P-256 key, and a certificate signing request for it.
std::string make_key_pem();
std::string make_request_pem(const std::string& key_pem, const std::string& common_name);
/// Verifies the request's own signature, then issues. `dns_names` and loopback/other IP texts go into the SAN.
Result<std::string> issue_certificate(const KeyAndCertificate& authority, const std::string& request_pem,
                                      const std::string& common_name, const std::vector<std::string>& dns_names,
                                      int valid_days, WallTime now);
/// Whether a certificate holds for a host's name or IP address, by its SAN.
bool certificate_names(const std::string& certificate_pem, const std::string& host);
/// SHA-256 of the public key (SubjectPublicKeyInfo, DER) in a certificate or a request.
Result<Digest> public_key_digest(const std::string& pem);

}  // namespace quarry::wire
