// How a box comes to its identity: a P-256 key made here and never sent, a certificate from Quarry's authority for a
// claim code, and a new one for the same key before the old one ends. Everything lies in the data directory; a restart
// finds it there.
#pragma once

#include <functional>
#include <string>

#include "common/clock.h"
#include "common/result.h"
#include "wire/link.h"
#include "worker/gate.h"

namespace quarry::worker {

struct EnrolOptions {
  std::string api;                    ///< "https://host:port"
  std::string authority_certificate;  ///< CA file for the API's certificate; empty: the system's
  std::string data_directory;
  std::string claim_code_file;  ///< needed at the first start only
};

struct Enrolment {
  std::string box;  ///< "box_..."
  GateAddress gate;
  wire::TlsFiles files;  ///< in the data directory
};

/// Posts JSON and gives the answer's body. Problems: "unreachable" and "unavailable" (try again), "refused" (do not).
using PostJson = std::function<Result<std::string>(const std::string& url, const std::string& body)>;
PostJson make_https_post(const std::string& authority_certificate);

/// Claims. A claim repeated with the same key succeeds, so a crash at any point costs nothing and each start learns
/// where the gate is now; when the service cannot be asked, what an earlier start left is used.
Result<Enrolment> enrol(const EnrolOptions& options, const PostJson& post);
/// True when less than a third of the certificate's life is left.
Result<bool> renewal_is_due(const EnrolOptions& options, WallTime now);
/// Claims again with the same key and replaces the certificate.
Status renew(const EnrolOptions& options, const PostJson& post);

}  // namespace quarry::worker
