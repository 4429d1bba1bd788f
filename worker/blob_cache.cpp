#include "worker/blob_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

namespace quarry::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBlobs = "blobs";
constexpr const char* kGraphs = "graphs";
constexpr const char* kIncoming = "incoming";
constexpr const char* kBootId = "boot_id";
constexpr size_t kMaxBootIdBytes = 100;

/// Takes the disk's room ahead of the bytes; false when there is none. A file system that cannot say finds out later.
bool allocate(int file, uint64_t bytes) {
  if (bytes == 0) return true;
  int result = 0;
  do {
    result = ::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  return result == 0 || (errno != ENOSPC && errno != EDQUOT);
}

}  // namespace

// --- BlobPin ---

BlobPin::~BlobPin() {
  if (cache_ != nullptr) cache_->unpin(key_);
}

uint64_t BlobPin::bytes() const {
  return cache_->entries_.at(key_).bytes;
}

Result<FileDescriptor> BlobPin::open() const {
  FileDescriptor file(::open(cache_->path_of(key_).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return system_problem("cannot open a cached blob");
  return file;
}

// --- BlobWriter ---

BlobWriter::BlobWriter(BlobCache& cache, const BlobKey& key, uint64_t total_bytes, std::string path,
                       FileDescriptor file)
    : cache_(cache), key_(key), total_bytes_(total_bytes), path_(std::move(path)), file_(std::move(file)) {}

BlobWriter::~BlobWriter() {
  if (!file_.valid()) return;  // committed
  ::unlink(path_.c_str());
  cache_.used_bytes_ -= total_bytes_;
}

Status BlobWriter::append(std::span<const std::byte> bytes) {
  if (bytes.size() > total_bytes_ - written_)
    return Problem{"hash_mismatch", "a blob is longer than it was said to be", "", ""};
  QUARRY_TRY(write_exactly(file_.get(), bytes));
  if (!key_.graph) hash_.update(bytes);
  written_ += bytes.size();
  return {};
}

Result<BlobPin> BlobWriter::commit() {
  if (written_ != total_bytes_) return Problem{"hash_mismatch", "a blob is shorter than it was said to be", "", ""};
  if (!key_.graph && hash_.finish() != key_.digest)
    return Problem{"hash_mismatch", "the bytes of blob " + to_hex(key_.digest) + " do not have that hash", "", ""};
  const std::string path = cache_.path_of(key_);
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (::rename(path_.c_str(), path.c_str()) != 0) return system_problem("cannot keep a fetched blob");
  file_.reset();
  return cache_.insert(key_, total_bytes_);
}

// --- BlobCache ---

Result<std::unique_ptr<BlobCache>> BlobCache::open(const std::string& directory, uint64_t limit_bytes,
                                                   const std::string& boot_id, size_t max_entries) {
  std::unique_ptr<BlobCache> cache(new BlobCache(directory, limit_bytes, max_entries));
  QUARRY_TRY(cache->prepare_directories(boot_id));
  cache->load_entries(false);
  cache->load_entries(true);
  cache->make_room(0);  // the limit may be smaller than it was
  return cache;
}

std::string BlobCache::path_of(const BlobKey& key) const {
  const std::string name = to_hex(key.digest);
  return directory_ + "/" + (key.graph ? kGraphs : kBlobs) + "/" + name.substr(0, 2) + "/" + name;
}

Status BlobCache::prepare_directories(const std::string& boot_id) {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) return Problem{"system_error", "cannot create " + directory_ + ": " + error.message(), "", ""};
  fs::permissions(directory_, fs::perms::owner_all, error);
  const auto last = read_file(directory_ + "/" + kBootId, kMaxBootIdBytes);
  if (!last.ok() || *last != boot_id) {
    fs::remove_all(directory_ + "/" + kBlobs, error);
    fs::remove_all(directory_ + "/" + kGraphs, error);
  }
  fs::remove_all(directory_ + "/" + kIncoming, error);
  for (const char* name : {kBlobs, kGraphs, kIncoming}) {
    fs::create_directories(directory_ + "/" + name, error);
    if (error)
      return Problem{"system_error", "cannot create " + directory_ + "/" + name + ": " + error.message(), "", ""};
  }
  return replace_file(directory_ + "/" + kBootId, boot_id, 0600);
}

void BlobCache::load_entries(bool graphs) {
  struct Found {
    fs::file_time_type time;
    BlobKey key;
    uint64_t bytes;
  };
  std::vector<Found> found;
  std::error_code error;
  for (const auto& item : fs::recursive_directory_iterator(directory_ + "/" + (graphs ? kGraphs : kBlobs), error)) {
    const auto digest = parse_digest(item.path().filename().string());
    if (item.is_regular_file(error) && digest)
      found.push_back({item.last_write_time(error), {*digest, graphs}, item.file_size(error)});
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.time < b.time; });
  for (const Found& item : found) {
    used_bytes_ += item.bytes;
    insert(item.key, item.bytes);
  }
}

BlobPin BlobCache::insert(const BlobKey& key, uint64_t bytes) {
  auto [at, is_new] = entries_.try_emplace(key);
  Entry& entry = at->second;
  if (is_new) {
    entry.age = ages_.insert(ages_.end(), key);
  } else {
    used_bytes_ -= entry.bytes;  // fetched twice at once, or again after discard(): the file was replaced by its equal
  }
  entry.bytes = bytes;
  entry.discarded = false;
  ++entry.pins;
  return BlobPin(this, key);
}

std::optional<BlobPin> BlobCache::find(const BlobKey& key) {
  const auto at = entries_.find(key);
  if (at == entries_.end() || at->second.discarded) return std::nullopt;
  if (!is_whole(key, at->second.bytes)) {
    discard(key);
    return std::nullopt;
  }
  ages_.splice(ages_.end(), ages_, at->second.age);
  ++at->second.pins;
  return BlobPin(this, key);
}

bool BlobCache::is_whole(const BlobKey& key, uint64_t bytes) const {
  struct stat status {};
  return ::stat(path_of(key).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<uint64_t>(status.st_size) == bytes;
}

Result<std::unique_ptr<BlobWriter>> BlobCache::begin(const BlobKey& key, uint64_t total_bytes) {
  const Problem full{
      "cache_full",
      "the box's blob cache has no room for " + std::to_string(total_bytes) + " bytes beside what running jobs use", "",
      "raise the worker's --cache-bytes, or free its disk"};
  if (!make_room(total_bytes)) return full;
  const std::string path = directory_ + "/" + kIncoming + "/" + std::to_string(next_incoming_++);
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) return system_problem("cannot create a file in the blob cache");
  while (!allocate(file.get(), total_bytes)) {
    if (remove_oldest()) continue;
    ::unlink(path.c_str());
    return full;
  }
  used_bytes_ += total_bytes;
  return std::unique_ptr<BlobWriter>(new BlobWriter(*this, key, total_bytes, path, std::move(file)));
}

bool BlobCache::make_room(uint64_t bytes) {
  if (bytes > limit_bytes_) return false;
  const auto short_of_room = [&] { return used_bytes_ > limit_bytes_ - bytes || entries_.size() >= max_entries_; };
  for (auto age = ages_.begin(); age != ages_.end() && short_of_room();) {
    const BlobKey key = *age++;
    if (entries_.at(key).pins == 0) remove(key);
  }
  return used_bytes_ <= limit_bytes_ - bytes;
}

bool BlobCache::remove_oldest() {
  const auto oldest =
      std::find_if(ages_.begin(), ages_.end(), [&](const BlobKey& key) { return entries_.at(key).pins == 0; });
  if (oldest == ages_.end()) return false;
  remove(BlobKey(*oldest));
  return true;
}

void BlobCache::remove(const BlobKey& key) {
  const auto at = entries_.find(key);
  ::unlink(path_of(key).c_str());
  used_bytes_ -= at->second.bytes;
  ages_.erase(at->second.age);
  entries_.erase(at);
}

void BlobCache::discard(const BlobKey& key) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return;
  at->second.discarded = true;
  if (at->second.pins == 0) remove(key);
}

void BlobCache::unpin(const BlobKey& key) {
  Entry& entry = entries_.at(key);
  if (--entry.pins == 0 && entry.discarded) remove(key);
}

}  // namespace quarry::worker
