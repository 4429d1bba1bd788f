#include "worker/file_descriptor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace quarry::worker {

void FileDescriptor::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Problem system_problem(const std::string& what) {
  return {"system_error", what + ": " + std::strerror(errno), "", ""};
}

Result<FileDescriptor> make_memory_file(const std::string& name, std::span<const std::byte> bytes) {
  FileDescriptor fd(::memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!fd.valid()) return system_problem("cannot make a memory file");
  QUARRY_TRY(write_exactly(fd.get(), bytes));
  return fd;
}

Status read_exactly(int fd, uint64_t offset, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_problem("cannot read a file");
    if (got == 0) return Problem{"truncated", "a file is shorter than it was said to be", "", ""};
    done += static_cast<size_t>(got);
  }
  return {};
}

Status write_exactly(int fd, std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_problem("cannot write a file");
    done += static_cast<size_t>(put);
  }
  return {};
}

Result<uint64_t> regular_file_bytes(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_problem("cannot examine a file");
  if (!S_ISREG(status.st_mode)) return Problem{"not_a_file", "a descriptor is not a regular file", "", ""};
  return static_cast<uint64_t>(status.st_size);
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_problem("cannot open " + path);
  QUARRY_ASSIGN(const uint64_t bytes, regular_file_bytes(fd.get()));
  if (bytes > limit) return Problem{"too_large", path + " is larger than " + std::to_string(limit) + " bytes", "", ""};
  std::string content(bytes, '\0');
  QUARRY_TRY(read_exactly(fd.get(), 0, std::as_writable_bytes(std::span(content))));
  return content;
}

Status replace_file(const std::string& path, const std::string& content, unsigned mode) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());  // left by a crash; O_EXCL then guarantees the mode asked for
  FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd.valid()) return system_problem("cannot create " + temporary);
  QUARRY_TRY(write_exactly(fd.get(), std::as_bytes(std::span(content))));
  if (::fsync(fd.get()) != 0) return system_problem("cannot sync " + temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_problem("cannot rename " + temporary);
  return {};
}

}  // namespace quarry::worker
