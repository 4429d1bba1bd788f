// A CA of a test's own, and certificates from it as files.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/clock.h"
#include "wire/certificates.h"
#include "wire/link.h"

namespace quarry::test {

/// A directory with an authority and the certificates it issued.
class Authority {
 public:
  Authority() : authority_(wire::make_authority("Test", SystemClock().wall())) {
    char name[] = "/tmp/quarry-link-XXXXXX";
    directory_ = mkdtemp(name);
    write("authority.crt", authority_.certificate_pem);
  }
  ~Authority() { std::filesystem::remove_all(directory_); }

  wire::TlsFiles files(const std::string& common_name) {
    const std::string key = wire::make_key_pem();
    auto issued = wire::issue_certificate(authority_, wire::make_request_pem(key, common_name), common_name, {}, 1,
                                          SystemClock().wall());
    digest = wire::public_key_digest(issued.value()).value();
    return {write(common_name + ".crt", issued.value()), write(common_name + ".key", key),
            directory_ / "authority.crt"};
  }
  Digest digest{};  // of the key that was made last

 private:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }
  wire::KeyAndCertificate authority_;
  std::filesystem::path directory_;
};

}  // namespace quarry::test
