// The box's disk cache of blobs and graphs by hash. A blob enters only when its bytes have the hash it is named by; it
// is written beside and renamed, so a crash leaves whole entries and leftovers that the next open() removes. Least
// recently used entries make room; one that is pinned is never removed.
//
// Files are not synced: what a crash of the process leaves is whole, and after a crash of the machine (the boot id
// changed) the cache starts empty, because fetching again costs seconds and a wrong blob would cost a rejected result.
//
// Threading: one thread. Pins and writers must not outlive the cache.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/result.h"
#include "common/sha256.h"
#include "worker/file_descriptor.h"

namespace quarry::worker {

struct BlobKey {
  Digest digest{};
  bool graph = false;  ///< a graph id, which is not the hash of the file: the executor verifies it when it parses
  auto operator<=>(const BlobKey&) const = default;
};

class BlobCache;

/// Keeps one entry from being removed.
class BlobPin {
 public:
  BlobPin(BlobPin&& other) noexcept : cache_(std::exchange(other.cache_, nullptr)), key_(other.key_) {}
  BlobPin& operator=(BlobPin&&) = delete;
  ~BlobPin();
  const BlobKey& key() const { return key_; }
  uint64_t bytes() const;
  /// Opens it for reading.
  Result<FileDescriptor> open() const;

 private:
  friend class BlobCache;
  BlobPin(BlobCache* cache, const BlobKey& key) : cache_(cache), key_(key) {}
  BlobCache* cache_;
  BlobKey key_;
};

/// One blob on its way in. Dropped before commit() it leaves nothing behind.
class BlobWriter {
 public:
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;
  Status append(std::span<const std::byte> bytes);
  uint64_t written() const { return written_; }
  /// Verifies length and hash ("hash_mismatch"), then makes it an entry.
  Result<BlobPin> commit();

 private:
  friend class BlobCache;
  BlobWriter(BlobCache& cache, const BlobKey& key, uint64_t total_bytes, std::string path, FileDescriptor file);
  BlobCache& cache_;
  BlobKey key_;
  uint64_t total_bytes_, written_ = 0;
  std::string path_;
  FileDescriptor file_;
  Sha256 hash_;
};

/// A bound of entries beside the one of bytes: small ones take a block of the disk and 200 bytes of memory each, and a
/// year of small jobs would be thousands of millions of them.
inline constexpr size_t kMaxCachedBlobs = 250'000;

class BlobCache {
 public:
  /// `boot_id` names this boot of the machine.
  static Result<std::unique_ptr<BlobCache>> open(const std::string& directory, uint64_t limit_bytes,
                                                 const std::string& boot_id, size_t max_entries = kMaxCachedBlobs);

  /// Only what still lies there as long as it was: an entry whose file somebody removed or cut is to be fetched again.
  std::optional<BlobPin> find(const BlobKey& key);
  /// Makes room for total_bytes, on a disk that others fill too, and reserves it. "cache_full": what is pinned leaves
  /// too little.
  Result<std::unique_ptr<BlobWriter>> begin(const BlobKey& key, uint64_t total_bytes);
  /// Forgets an entry that turned out to be bad; a pinned one goes with its last pin.
  void discard(const BlobKey& key);

  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t limit_bytes() const { return limit_bytes_; }

 private:
  friend class BlobPin;
  friend class BlobWriter;
  struct Entry {
    uint64_t bytes = 0;
    int pins = 0;
    bool discarded = false;
    std::list<BlobKey>::iterator age;
  };

  BlobCache(std::string directory, uint64_t limit_bytes, size_t max_entries)
      : directory_(std::move(directory)), limit_bytes_(limit_bytes), max_entries_(max_entries) {}
  std::string path_of(const BlobKey& key) const;
  Status prepare_directories(const std::string& boot_id);
  void load_entries(bool graphs);
  bool is_whole(const BlobKey& key, uint64_t bytes) const;
  bool make_room(uint64_t bytes);
  bool remove_oldest();
  void remove(const BlobKey& key);
  void unpin(const BlobKey& key);
  BlobPin insert(const BlobKey& key, uint64_t bytes);

  std::string directory_;
  uint64_t limit_bytes_;
  size_t max_entries_;
  uint64_t used_bytes_ = 0;  ///< of entries and of what writers reserved
  uint64_t next_incoming_ = 0;
  std::map<BlobKey, Entry> entries_;
  std::list<BlobKey> ages_;  ///< least recently used first
};

}  // namespace quarry::worker
