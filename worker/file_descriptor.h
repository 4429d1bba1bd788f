// An owned file descriptor, and the few whole-buffer operations that the worker needs on one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"

namespace quarry::worker {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// "cannot open x: No such file or directory", from errno.
Problem system_problem(const std::string& what);

/// An anonymous file in memory that holds `bytes`.
Result<FileDescriptor> make_memory_file(const std::string& name, std::span<const std::byte> bytes);

/// Reads exactly out.size() bytes at `offset`. Never maps: a file that another process shortens gives a Problem, not a
/// SIGBUS.
Status read_exactly(int fd, uint64_t offset, std::span<std::byte> out);
Status write_exactly(int fd, std::span<const std::byte> bytes);
/// The size of a regular (or memory) file; a Problem for pipes, sockets and devices.
Result<uint64_t> regular_file_bytes(int fd);

/// A whole small file; a Problem past `limit` bytes.
Result<std::string> read_file(const std::string& path, size_t limit);
/// Writes beside the path, syncs and renames, so that a crash leaves the old file or the new one. `mode` as for
/// open(2).
Status replace_file(const std::string& path, const std::string& content, unsigned mode);

}  // namespace quarry::worker
