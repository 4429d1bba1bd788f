#include "worker/compiler_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

#include "common/sha256.h"
#include "common/text.h"
#include "worker/file_descriptor.h"

namespace quarry::worker {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSealBytes = size_t{64} << 20;
constexpr size_t kReadBytes = size_t{1} << 20;

/// "boot_id\n", then "hash path\n" for each file, the path being relative to the cache.
struct Seal {
  std::string boot_id;
  std::map<std::string, Digest> files;
};

Seal read_seal(const std::string& path) {
  Seal seal;
  const auto text = read_file(path, kMaxSealBytes);
  if (!text.ok()) return seal;
  std::istringstream lines(*text);
  std::getline(lines, seal.boot_id);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    const auto digest = parse_digest(std::string_view(line).substr(0, space));
    if (space != std::string::npos && digest) seal.files[line.substr(space + 1)] = *digest;
  }
  return seal;
}

Status write_seal(const std::string& path, const Seal& seal) {
  std::string text = seal.boot_id + "\n";
  for (const auto& [file, digest] : seal.files) text += to_hex(digest) + " " + file + "\n";
  return replace_file(path, text, 0600);
}

/// nullopt: it cannot be read.
std::optional<Digest> hash_of(const FileDescriptor& file) {
  Sha256 hash;
  std::vector<std::byte> buffer(kReadBytes);
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) return hash.finish();
    hash.update(std::span(buffer).first(static_cast<size_t>(got)));
  }
}

void give_to(const fs::path& path, uint32_t owner) {
  struct stat status {};
  if (::geteuid() == 0 && ::lstat(path.c_str(), &status) == 0 && status.st_uid != owner)
    (void)::lchown(path.c_str(), owner, owner);  // one that stays another's is compiled anew
}

/// The hash under which the file may stay.
std::optional<Digest> accepted(const fs::directory_entry& file, const std::string& name, const Seal& sealed,
                               bool keep_new) {
  if (file.symlink_status().type() != fs::file_type::regular || !is_plain_text(name)) return std::nullopt;
  const auto known = sealed.files.find(name);
  if (known == sealed.files.end() && !keep_new) return std::nullopt;
  const FileDescriptor opened(::open(file.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const std::optional<Digest> digest = opened.valid() ? hash_of(opened) : std::nullopt;
  return digest && (known == sealed.files.end() || *digest == known->second) ? digest : std::nullopt;
}

}  // namespace

Status seal_compiler_cache(const std::string& directory, const std::string& seal_file, NewFiles new_files,
                           const std::string& boot_id, uint32_t owner) {
  const Seal sealed = read_seal(seal_file);
  const bool keep_new = new_files == NewFiles::Keep && sealed.boot_id == boot_id;
  Seal now{boot_id, {}};
  std::vector<fs::path> refused;
  std::error_code error;
  give_to(directory, owner);
  for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    give_to(at->path(), owner);
    if (at->symlink_status().type() == fs::file_type::directory) continue;
    const std::string name = at->path().lexically_relative(directory).string();
    if (const auto digest = accepted(*at, name, sealed, keep_new)) {
      now.files[name] = *digest;
    } else {
      refused.push_back(at->path());
    }
  }
  if (error) return Problem{"system_error", "cannot read " + directory + ": " + error.message(), "", ""};
  for (const fs::path& path : refused)
    if (!fs::remove(path, error))
      return Problem{"system_error", "cannot remove " + path.string() + ": " + error.message(), "", ""};
  return write_seal(seal_file, now);
}

}  // namespace quarry::worker
