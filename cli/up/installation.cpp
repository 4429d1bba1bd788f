#include "cli/up/installation.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "common/api_key.h"
#include "common/private_files.h"
#include "common/random_hex.h"
#include "sql/store.h"
#include "wire/certificates.h"

namespace quarry::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAccount = "development";
constexpr int kCertificateDays = 825;
constexpr auto kRenewAfter = std::chrono::hours(24 * (kCertificateDays - 30));

Status write_file(const fs::path& path, const std::string& text, mode_t mode) {
  const fs::path temporary = path.string() + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  const bool written =
      fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  if (fd >= 0) close(fd);
  if (!written || rename(temporary.c_str(), path.c_str()) != 0)
    return Problem{"cannot_write", "cannot write " + path.string(), "",
                   "Check the directory's permissions and the disk."};
  return {};
}

Result<std::string> read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Problem{"cannot_read", "cannot read " + path.string(), "", "Is it owned by another user?"};
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

bool is_recent(const fs::path& path) {
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  return !error && fs::file_time_type::clock::now() - written < kRenewAfter;
}

Status make_certificate(const Installation& at, const wire::KeyAndCertificate& authority, const std::string& name,
                        const std::vector<std::string>& hosts, const Clock& clock) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  for (const std::string& host : hosts)
    if (std::find(names.begin(), names.end(), host) == names.end()) names.push_back(host);
  if (fs::exists(at.key(name)) && is_recent(at.certificate(name))) {
    QUARRY_ASSIGN(const std::string certificate, read_text(at.certificate(name)));
    const auto holds = [&](const std::string& host) { return wire::certificate_names(certificate, host); };
    if (std::all_of(names.begin(), names.end(), holds)) return {};
  }
  const std::string key = wire::make_key_pem();
  auto issued = wire::issue_certificate(authority, wire::make_request_pem(key, name), name, names, kCertificateDays,
                                        clock.wall());
  if (!issued.ok()) return std::move(issued).problem();
  QUARRY_TRY(write_file(at.key(name), key, 0600));
  return write_file(at.certificate(name), issued.value(), 0644);
}

bool key_works(sql::Store& store, const Config& config, AccountId account) {
  const auto key = parse_api_key(config.api_key);
  if (!key) return false;
  const auto known = store.find_api_key(key->id);
  return known && !known->revoked && known->account == account &&
         constant_time_equal(known->secret_sha256, key->secret_sha256);
}

}  // namespace

fs::path Installation::worker(const std::string& device) const {
  std::string name = device;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
  return data / "worker" / name;
}

fs::path default_data_directory() {
  if (geteuid() == 0) return "/var/lib/quarry";
  if (const char* base = std::getenv("XDG_DATA_HOME"); base && *base) return fs::path(base) / "quarry";
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : "/") / ".local" / "share" / "quarry";
}

Status lock_directory(const fs::path& data) {
  std::error_code error;
  const bool is_new = fs::create_directories(data, error);
  // PostgreSQL's user, when root starts it, passes through to its own directory; nobody else's mode is changed here.
  if (is_new) fs::permissions(data, geteuid() == 0 ? fs::perms(0711) : fs::perms::owner_all, error);
  ::umask(kPrivateUmask);
  const int fd = open((data / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC,
                      0600);  // kept open, and so locked, until the process ends
  if (fd < 0)
    return Problem{"cannot_write", "cannot write in " + data.string(), "", "Name another place with --data-dir."};
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return Problem{"already_running", "another `quarry up` runs on " + data.string(), "",
                   "Stop it, or use another --data-dir."};
  }
  return {};
}

Status make_installation(const Installation& at, const std::vector<std::string>& hosts, const Clock& clock,
                         RandomSource& random) {
  std::error_code error;
  for (const char* directory : {"ca", "blobs", "logs", "run", "worker"}) {
    fs::create_directories(at.data / directory, error);
    if (!error) fs::permissions(at.data / directory, fs::perms::owner_all, error);  // of an older release too
  }
  if (error)
    return Problem{"cannot_write", "cannot make directories in " + at.data.string(), "",
                   "Name another place with --data-dir."};
  if (!fs::exists(at.authority_certificate())) {
    const auto authority = wire::make_authority("Quarry CA " + random_hex(random, 4), clock.wall());
    QUARRY_TRY(write_file(at.authority_key(), authority.key_pem, 0600));
    QUARRY_TRY(write_file(at.authority_certificate(), authority.certificate_pem, 0644));
  }
  wire::KeyAndCertificate authority;
  QUARRY_ASSIGN(authority.key_pem, read_text(at.authority_key()));
  QUARRY_ASSIGN(authority.certificate_pem, read_text(at.authority_certificate()));
  for (const char* name : {"server", "scheduler"}) QUARRY_TRY(make_certificate(at, authority, name, hosts, clock));
  if (!fs::exists(at.quote_key())) QUARRY_TRY(write_file(at.quote_key(), random_hex(random, 32), 0600));
  return {};
}

Result<Money> make_development_account(sql::Store& store, std::optional<Money> credit, const std::string& server,
                                       const Installation& at, const fs::path& config_path, RandomSource& random) {
  const auto found = store.find_account(kAccount);
  const AccountId account = found ? found->id : create_account(store, kAccount, SystemClock().wall(), random);
  const Money added = credit.value_or(found ? Money() : kFirstCredit);
  if (added > Money())  // a reference of its own each time: a deposit with a known one is a repeat and adds nothing
    store.deposit(account, added, "development credit " + random_hex(random, 8));
  QUARRY_ASSIGN(Config config, load_config(config_path, false));  // one that cannot be read is not overwritten
  if (!key_works(store, config, account)) {
    const ApiKeyText key = make_api_key(random);
    store.create_api_key({key.id,
                          account,
                          key.secret_sha256,
                          {"jobs:read", "jobs:write", "tensors:read", "tensors:write", "account:read", "boxes:write"},
                          false});
    config.api_key = key.text;
  }
  config.server = server;
  config.authority = at.authority_certificate().string();
  QUARRY_TRY(save_config(config_path, config));
  return added;
}

Status make_claim_code(sql::Store& store, const Installation& at, const std::string& device, RandomSource& random) {
  std::error_code error;
  fs::create_directories(at.worker(device), error);
  if (fs::exists(at.claim_code(device)))
    return {};  // an enrolled worker claims again with the same key, which changes nothing
  const std::string owner = "owner";
  const auto found = store.find_account(owner);
  const AccountId account = found ? found->id : create_account(store, owner, SystemClock().wall(), random);
  const std::string code = random_hex(random, 16);
  store.create_box(account, "this machine, " + device,
                   sha256(code));  // first: a crash here leaves a box that nobody claims, no more
  return write_file(at.claim_code(device), code, 0600);
}

}  // namespace quarry::cli
