// What `quarry up` keeps in its data directory: the CA and certificates, the quote key, the development account, the
// boxes' claim codes. Everything is made once and found again; nothing here runs a process.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/config.h"
#include "common/clock.h"
#include "common/money.h"
#include "common/random.h"
#include "common/result.h"

namespace quarry::sql {
class Store;
}

namespace quarry::cli {

struct Installation {
  std::filesystem::path data;

  std::filesystem::path authority_certificate() const { return data / "ca" / "authority.crt"; }
  std::filesystem::path authority_key() const { return data / "ca" / "authority.key"; }
  std::filesystem::path certificate(const std::string& name) const { return data / "ca" / (name + ".crt"); }
  std::filesystem::path key(const std::string& name) const { return data / "ca" / (name + ".key"); }
  std::filesystem::path quote_key() const { return data / "ca" / "quote.key"; }
  std::filesystem::path blobs() const { return data / "blobs"; }
  std::filesystem::path logs() const { return data / "logs"; }
  std::filesystem::path worker(const std::string& device) const;  ///< the device selector with ':' made file-safe
  std::filesystem::path claim_code(const std::string& device) const { return worker(device) / "claim-code"; }
};

/// /var/lib/quarry for root, else $XDG_DATA_HOME/quarry, else ~/.local/share/quarry.
std::filesystem::path default_data_directory();

/// Holds the directory's lock for the life of the process; a Problem when another `quarry up` has it. What the process
/// makes from here on, and its children, only its user can read.
Status lock_directory(const std::filesystem::path& data);

/// Makes what is missing of directories, CA, certificates (renewed when they end within 30 days, or do not hold for one
/// of `hosts`, names or addresses of this machine) and the quote key.
Status make_installation(const Installation& installation, const std::vector<std::string>& hosts, const Clock& clock,
                         RandomSource& random);

inline constexpr Money kFirstCredit =
    Money::from_pico(Int128{100} * 1'000'000'000'000);  ///< of a new account that asked for none: 100 dollars

/// The account "development", and an API key that works: the config's own when it still does, else a new one that is
/// written to the config. `credit` is added each time; without it a new account gets kFirstCredit. Returns what was
/// added.
Result<Money> make_development_account(sql::Store& store, std::optional<Money> credit, const std::string& server,
                                       const Installation& installation, const std::filesystem::path& config,
                                       RandomSource& random);

/// A claim code for the device's box unless the worker has been enrolled already.
Status make_claim_code(sql::Store& store, const Installation& installation, const std::string& device,
                       RandomSource& random);

}  // namespace quarry::cli
