#include "server/blobs/blob_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <stdexcept>

#include "server/limits.h"

namespace quarry::server {

namespace fs = std::filesystem;

namespace {

constexpr size_t kRememberedHashes = 64;

std::string_view folder(BlobKind kind) {
  switch (kind) {
    case BlobKind::Tensor:
      return "tensors";
    case BlobKind::Graph:
      return "graphs";
    case BlobKind::Result:
      return "results";
  }
  return "";
}

Problem no_space() {
  return {"no_space", "the service has no room for these bytes now", "", "try again later"};
}

Problem storage_problem(const char* what) {
  if (errno == ENOSPC || errno == EDQUOT) return no_space();
  return {"storage_error", std::string("the bytes could not be stored: ") + what, "", "try again later"};
}

bool write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

bool read_exactly(int file, uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t got = ::pread(file, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    offset += static_cast<uint64_t>(got);
    into = into.subspan(static_cast<size_t>(got));
  }
  return true;
}

bool sync_folder(const fs::path& path) {
  FileHandle handle(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return handle.open() && ::fsync(handle.get()) == 0;
}

uint64_t file_bytes(int file) {
  struct stat info {};
  return ::fstat(file, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

bool still_named(int file, const fs::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(file, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino;
}

}  // namespace

FileHandle::~FileHandle() {
  if (descriptor_ >= 0) ::close(descriptor_);
}
FileHandle::FileHandle(FileHandle&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

bool OpenBlob::read(uint64_t offset, std::span<std::byte> into) const {
  return read_exactly(file.get(), offset, into);
}

/// Hash states of unfinished uploads, so that an upload in many parts is not hashed from its start for each.
class HashMemory {
 public:
  void keep(const std::string& name, uint64_t offset, Sha256 hash) {
    std::lock_guard lock(mutex_);
    entries_.remove_if([&](const Entry& entry) { return entry.name == name; });
    entries_.push_front({name, offset, std::move(hash)});
    if (entries_.size() > kRememberedHashes) entries_.pop_back();
  }
  std::optional<Sha256> take(const std::string& name, uint64_t offset) {
    std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->name != name) continue;
      std::optional<Sha256> hash;
      if (entry->offset == offset) hash.emplace(std::move(entry->hash));
      entries_.erase(entry);
      return hash;
    }
    return std::nullopt;
  }

 private:
  struct Entry {
    std::string name;
    uint64_t offset;
    Sha256 hash;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;
};

namespace {

/// Removes an upload that no writer goes on with.
bool drop_unlocked(const fs::path& path) {
  const FileHandle file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.open() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || !still_named(file.get(), path)) return false;
  return ::unlink(path.c_str()) == 0;
}

}  // namespace

struct BlobStore::State {
  fs::path root;
  FreeBytes free_bytes;
  std::atomic<uint64_t> kept_for_results{0};
  HashMemory hashes;

  fs::path path(BlobKind kind, const Digest& digest) const {
    const std::string hex = to_hex(digest);
    return root / folder(kind) / hex.substr(0, 2) / hex;
  }
  fs::path upload_path(BlobKind kind, const std::string& owner, const Digest& digest) const {
    return root / "uploads" / (owner + "." + std::string(folder(kind)) + "." + to_hex(digest));
  }

  /// Results may take what is kept for them, and half of what is kept free beside.
  bool has_space(BlobKind kind, uint64_t bytes) const {
    const auto free_now = free_bytes(root);
    const bool result = kind == BlobKind::Result;
    const uint64_t kept = result ? kKeepFreeBytes / 2 : kKeepFreeBytes + kept_for_results;
    return free_now && *free_now > kept && *free_now - kept >= bytes;
  }

  /// Publishing shares this lock and removing holds it alone: nothing is published between a look at a file's age and
  /// its removal. It holds among all processes on the directory.
  FileHandle locked(int how) const {
    FileHandle file(::open((root / "publish.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file.open() || ::flock(file.get(), how) != 0) throw std::runtime_error("cannot lock the blob folder");
    return file;
  }

  /// Gives a synced temporary file its final name, durably.
  Status publish(const fs::path& from, BlobKind kind, const Digest& digest) const {
    const FileHandle lock = locked(LOCK_SH);
    const fs::path to = path(kind, digest);
    std::error_code error;
    if (fs::create_directory(to.parent_path(), error) && !sync_folder(to.parent_path().parent_path()))
      return storage_problem("folder");
    if (::rename(from.c_str(), to.c_str()) != 0 || !sync_folder(to.parent_path())) return storage_problem("rename");
    return {};
  }

  /// Whether `owner` may begin one more upload. At the limit the one left alone for longest that nobody writes to is
  /// dropped, so that uploads which were only begun keep no other out.
  bool room_for_upload(const std::string& owner) const {
    std::vector<std::pair<fs::file_time_type, fs::path>> uploads;
    std::error_code error;
    for (fs::directory_iterator at(root / "uploads", error), end; !error && at != end; at.increment(error)) {
      if (!at->path().filename().string().starts_with(owner + ".")) continue;
      std::error_code gone;
      const auto written = at->last_write_time(gone);
      if (!gone) uploads.emplace_back(written, at->path());
    }
    if (uploads.size() < kMaxUploadsPerAccount) return true;
    std::sort(uploads.begin(), uploads.end());
    return std::any_of(uploads.begin(), uploads.end(), [](const auto& upload) { return drop_unlocked(upload.second); });
  }
};

namespace {

/// The hash of the first `bytes` of a file.
std::optional<Sha256> hash_prefix(int file, uint64_t bytes) {
  Sha256 hash;
  std::vector<std::byte> chunk(kFileChunkBytes);
  for (uint64_t at = 0; at < bytes; at += chunk.size()) {
    const auto part = std::span(chunk).first(std::min<uint64_t>(chunk.size(), bytes - at));
    if (!read_exactly(file, at, part)) return std::nullopt;
    hash.update(part);
  }
  return hash;
}

class FileUpload final : public Upload {
 public:
  FileUpload(BlobStore::State& store, BlobKind kind, const Digest& digest, fs::path path, FileHandle file,
             uint64_t offset, Sha256 hash, bool remembered)
      : store_(store),
        kind_(kind),
        digest_(digest),
        path_(std::move(path)),
        file_(std::move(file)),
        offset_(offset),
        hash_(std::move(hash)),
        remembered_(remembered) {}
  ~FileUpload() override {
    if (!over_ && offset_ == 0) discard();  // nothing came: there is nothing to go on with
    if (!over_) store_.hashes.keep(path_.filename(), offset_, std::move(hash_));
  }

  uint64_t offset() const override { return offset_; }
  Status append(std::span<const std::byte> bytes) override {
    // Asked for each part: an upload may not say its length, and many may have begun while there was room for each.
    if (!store_.has_space(kind_, bytes.size())) return no_space();
    if (!write_all(file_.get(), bytes)) {
      Problem problem = storage_problem("write");
      // A part that was half written is cut off, so that offset and hash stay in step.
      if (::ftruncate(file_.get(), static_cast<off_t>(offset_)) != 0) discard();
      return problem;
    }
    hash_.update(bytes);
    offset_ += bytes.size();
    return {};
  }
  Status sync() override { return ::fdatasync(file_.get()) == 0 ? Status() : storage_problem("sync"); }
  bool read(uint64_t offset, std::span<std::byte> into) const override {
    return read_exactly(file_.get(), offset, into);
  }
  Status commit(const std::function<Status(const Upload&)>& check) override {
    // A remembered hash is of what this process wrote: another one may have begun the upload anew since.
    if (remembered_) {
      auto hash = hash_prefix(file_.get(), offset_);
      if (!hash) return storage_problem("read");
      hash_ = *std::move(hash);
    }
    if (hash_.finish() != digest_) {
      discard();
      return Problem{"hash_mismatch", "the bytes do not have the SHA-256 " + to_hex(digest_), "",
                     "send the file whose hash is in the path"};
    }
    if (Status content = check ? check(*this) : Status(); !content.ok()) {
      discard();
      return content;
    }
    over_ = true;
    if (::fsync(file_.get()) != 0) {
      Problem problem = storage_problem("sync");
      discard();
      return problem;
    }
    return store_.publish(path_, kind_, digest_);
  }
  void discard() override {
    over_ = true;
    ::unlink(path_.c_str());
  }

 private:
  BlobStore::State& store_;
  BlobKind kind_;
  Digest digest_;
  fs::path path_;
  FileHandle file_;
  uint64_t offset_;
  Sha256 hash_;
  const bool remembered_;  ///< the hash of what came before this request was not made from the file
  bool over_ = false;
};

}  // namespace

BlobStore::BlobStore(fs::path root, FreeBytes free_bytes) : state_(std::make_unique<State>()) {
  state_->root = std::move(root);
  state_->free_bytes = std::move(free_bytes);
  std::error_code error;
  for (const char* name : {"tensors", "graphs", "results", "uploads"}) {
    fs::create_directories(state_->root / name, error);
    if (error)
      throw std::runtime_error("cannot make the blob folder " + (state_->root / name).string() + ": " +
                               error.message());
  }
}
BlobStore::~BlobStore() = default;

std::optional<OpenBlob> BlobStore::open(BlobKind kind, const Digest& digest) const {
  FileHandle file(::open(state_->path(kind, digest).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) return std::nullopt;
  const uint64_t bytes = file_bytes(file.get());
  return OpenBlob{std::move(file), bytes};
}

bool BlobStore::exists(BlobKind kind, const Digest& digest) const {
  return ::access(state_->path(kind, digest).c_str(), F_OK) == 0;
}

std::optional<std::vector<std::byte>> BlobStore::read_all(BlobKind kind, const Digest& digest, size_t limit) const {
  const auto blob = open(kind, digest);
  if (!blob || blob->bytes > limit) return std::nullopt;
  std::vector<std::byte> bytes(blob->bytes);
  if (!blob->read(0, bytes)) return std::nullopt;
  return bytes;
}

Status BlobStore::put(BlobKind kind, const Digest& digest, std::span<const std::byte> bytes) {
  if (exists(kind, digest)) return {};
  if (!state_->has_space(kind, bytes.size())) return no_space();
  std::string temporary = (state_->root / "uploads" / "put.XXXXXX").string();
  FileHandle file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.open()) return storage_problem("create");
  if (!write_all(file.get(), bytes) || ::fsync(file.get()) != 0) {
    Problem problem = storage_problem("write");
    ::unlink(temporary.c_str());
    return problem;
  }
  return state_->publish(temporary, kind, digest);
}

Result<std::unique_ptr<Upload>> BlobStore::begin(BlobKind kind, const std::string& owner, const Digest& digest,
                                                 uint64_t offset, uint64_t total) {
  const fs::path path = state_->upload_path(kind, owner, digest);
  if (!state_->has_space(kind, total - std::min(total, offset))) return no_space();
  const auto wrong_offset = [](uint64_t there) {
    return Problem{"upload_offset", "the upload goes on at byte " + std::to_string(there), "",
                   "send Content-Range from the byte in Upload-Offset"};
  };
  std::error_code error;
  if (!fs::exists(path, error)) {
    if (offset > 0) return wrong_offset(0);
    if (!state_->room_for_upload(owner))
      return Problem{"too_many_uploads", "there are " + std::to_string(kMaxUploadsPerAccount) + " uploads under way",
                     "", "wait until some have ended"};
  }
  FileHandle file(::open(path.c_str(), O_RDWR | (offset == 0 ? O_CREAT : 0) | O_CLOEXEC, 0640));
  if (!file.open() && errno == ENOENT && offset > 0) return wrong_offset(0);  // dropped just now
  if (!file.open()) return storage_problem("create");
  // Opened before another writer published or dropped it, this file may be a finished blob by now: never touch that.
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || !still_named(file.get(), path))
    return Problem{"upload_busy", "another request is uploading these bytes", "", "wait for it, or try again"};
  if (offset == 0 && ::ftruncate(file.get(), 0) != 0) return storage_problem("truncate");
  const uint64_t there = file_bytes(file.get());
  if (offset != there) return wrong_offset(there);
  auto hash = state_->hashes.take(path.filename(), offset);
  if (offset == 0) hash.emplace();
  const bool remembered = hash.has_value() && offset > 0;
  if (!hash) hash = hash_prefix(file.get(), offset);
  if (!hash || ::lseek(file.get(), static_cast<off_t>(offset), SEEK_SET) < 0) return storage_problem("read");
  return std::unique_ptr<Upload>(
      new FileUpload(*state_, kind, digest, path, std::move(file), offset, *std::move(hash), remembered));
}

std::optional<uint64_t> BlobStore::upload_offset(BlobKind kind, const std::string& owner, const Digest& digest) const {
  std::error_code error;
  const uint64_t bytes = fs::file_size(state_->upload_path(kind, owner, digest), error);
  return error ? std::nullopt : std::optional(bytes);
}

bool BlobStore::remove(BlobKind kind, const Digest& digest, std::chrono::milliseconds grace) const {
  const FileHandle lock = state_->locked(LOCK_EX);
  const fs::path path = state_->path(kind, digest);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno == ENOENT;
  // The time of the last rename, which no upload can set.
  const std::chrono::system_clock::time_point published =
      std::chrono::system_clock::from_time_t(info.st_ctim.tv_sec) +
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(info.st_ctim.tv_nsec));
  if (published > std::chrono::system_clock::now() - grace) return false;
  return ::unlink(path.c_str()) == 0 && sync_folder(path.parent_path());
}

void BlobStore::drop_old_uploads() const {
  const auto oldest = fs::file_time_type::clock::now() - kUploadLifetime;
  std::error_code error;
  for (fs::directory_iterator at(state_->root / "uploads", error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    const auto written = at->last_write_time(gone);
    if (gone || written >= oldest) continue;
    drop_unlocked(at->path());  // locked by a writer who goes on with it after all, it stays
  }
}

bool BlobStore::has_space(uint64_t bytes) const {
  return state_->has_space(BlobKind::Tensor, bytes);
}

void BlobStore::keep_for_results(uint64_t bytes) {
  state_->kept_for_results = bytes;
}

std::optional<uint64_t> BlobStore::free_bytes_of_disk(const fs::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return std::nullopt;
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace quarry::server
