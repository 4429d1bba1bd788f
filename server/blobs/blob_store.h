// Files named by the SHA-256 of their bytes: tensors, graphs (by graph id: the bytes are the normal form's CBOR) and
// results. A blob is written under uploads/, hashed on the way, synced and renamed, so a name that exists is whole and
// durable. Several processes may share one directory. Every method does file work: call it on the work pool.
//
//   ROOT/tensors/ab/abcd...   graphs/   results/   uploads/<owner>.<kind>.<sha256>
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/sha256.h"

namespace quarry::server {

enum class BlobKind { Tensor, Graph, Result };

/// An open file; closes itself.
class FileHandle {
 public:
  explicit FileHandle(int descriptor = -1) : descriptor_(descriptor) {}
  ~FileHandle();
  FileHandle(FileHandle&& other) noexcept;
  FileHandle& operator=(FileHandle&& other) noexcept;
  int get() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

struct OpenBlob {
  FileHandle file;
  uint64_t bytes = 0;
  /// Reads exactly into.size() bytes at `offset`; false when the file is shorter or cannot be read.
  bool read(uint64_t offset, std::span<std::byte> into) const;
};

/// One unfinished blob, locked to one writer. Destroyed before commit() it stays and can be continued.
class Upload {
 public:
  virtual ~Upload() = default;
  virtual uint64_t offset() const = 0;
  virtual Status append(std::span<const std::byte> bytes) = 0;
  virtual Status sync() = 0;  ///< what is there now survives a crash
  virtual bool read(uint64_t offset, std::span<std::byte> into) const = 0;
  /// Verifies the hash ("hash_mismatch"), asks `check` about the content if there is one, syncs, renames. Whatever the
  /// outcome, the upload is over.
  virtual Status commit(const std::function<Status(const Upload&)>& check) = 0;
  virtual void discard() = 0;
};

class BlobStore {
 public:
  /// Free bytes of the disk under a folder; nullopt when they cannot be known.
  using FreeBytes = std::function<std::optional<uint64_t>(const std::filesystem::path&)>;
  static std::optional<uint64_t> free_bytes_of_disk(const std::filesystem::path& folder);

  /// Makes the folders. Throws std::runtime_error when it cannot write there.
  explicit BlobStore(std::filesystem::path root, FreeBytes free_bytes = free_bytes_of_disk);
  ~BlobStore();

  std::optional<OpenBlob> open(BlobKind kind, const Digest& digest) const;
  bool exists(BlobKind kind, const Digest& digest) const;
  /// The whole blob in memory, for small ones; nullopt when absent or over `limit`.
  std::optional<std::vector<std::byte>> read_all(BlobKind kind, const Digest& digest, size_t limit) const;
  /// Stores bytes whose name the caller has established (a graph's id is not the hash of its CBOR).
  Status put(BlobKind kind, const Digest& digest, std::span<const std::byte> bytes);

  /// Continues `owner`'s upload at `offset`, 0 starting anew. Problems: "upload_busy", "upload_offset" (see
  /// upload_offset()), "no_space", "too_many_uploads", "storage_error".
  Result<std::unique_ptr<Upload>> begin(BlobKind kind, const std::string& owner, const Digest& digest, uint64_t offset,
                                        uint64_t total);
  /// Bytes there of an unfinished upload; nullopt when there is none.
  std::optional<uint64_t> upload_offset(BlobKind kind, const std::string& owner, const Digest& digest) const;
  /// Whether that many bytes fit beside what is kept for results.
  bool has_space(uint64_t bytes) const;
  /// From now on only results may take these bytes.
  void keep_for_results(uint64_t bytes);
  /// Removes a blob that no row names. False, and it stays, when it was published less than `grace` ago: a row may be
  /// about to name it. True as well when there is none. Durable when it returns.
  bool remove(BlobKind kind, const Digest& digest, std::chrono::milliseconds grace) const;
  /// Removes the uploads that nobody continued for kUploadLifetime.
  void drop_old_uploads() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace quarry::server
