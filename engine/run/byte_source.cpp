#include "engine/run/byte_source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace quarry::run {
namespace {

Problem past_end() {
  return {"input_truncated", "an input ends before the bytes that its shape needs", "",
          "Upload the whole tensor file."};
}

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Status read(uint64_t offset, std::span<std::byte> out) override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) return past_end();
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

 private:
  std::vector<std::byte> bytes_;
};

class FileSource final : public ByteSource {
 public:
  FileSource(int descriptor, uint64_t offset, uint64_t bytes, std::shared_ptr<void> owner)
      : descriptor_(descriptor), offset_(offset), bytes_(bytes), owner_(std::move(owner)) {}
  uint64_t size() const override { return bytes_; }
  Status read(uint64_t offset, std::span<std::byte> out) override {
    if (offset > bytes_ || out.size() > bytes_ - offset) return past_end();
    for (size_t done = 0; done < out.size();) {
      const ssize_t count =
          pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(offset_ + offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0)
        return Problem{"input_unreadable", "an input cannot be read: " + std::generic_category().message(errno), "",
                       ""};
      if (count == 0) return past_end();
      done += static_cast<size_t>(count);
    }
    return {};
  }

 private:
  int descriptor_;
  uint64_t offset_, bytes_;
  std::shared_ptr<void> owner_;
};

}  // namespace

std::shared_ptr<ByteSource> memory_source(std::vector<std::byte> bytes) {
  return std::make_shared<MemorySource>(std::move(bytes));
}

std::shared_ptr<ByteSource> file_source(int descriptor, uint64_t offset, uint64_t bytes, std::shared_ptr<void> owner) {
  return std::make_shared<FileSource>(descriptor, offset, bytes, std::move(owner));
}

}  // namespace quarry::run
