#include "worker/mapped_blobs.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace quarry::worker {
namespace {

class Extents final : public run::ByteSource {
 public:
  void append(std::span<const std::byte> part) {
    ends_.push_back(size() + part.size());
    parts_.push_back(part);
  }
  uint64_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  Status read(uint64_t offset, std::span<std::byte> out) override {
    if (offset > size() || out.size() > size() - offset)
      return Problem{"input_truncated", "an input is shorter than the graph needs", "", ""};
    size_t part = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), offset) - ends_.begin());
    while (!out.empty()) {
      const uint64_t start = ends_[part] - parts_[part].size();
      const auto piece = parts_[part].subspan(static_cast<size_t>(offset - start));
      const size_t count = std::min(piece.size(), out.size());
      if (count > 0) std::memcpy(out.data(), piece.data(), count);
      out = out.subspan(count);
      offset += count;
      ++part;
    }
    return {};
  }

 private:
  std::vector<std::span<const std::byte>> parts_;
  std::vector<uint64_t> ends_;  ///< offset after each part
};

}  // namespace

Result<MappedBlob> MappedBlob::map(const FileDescriptor& file) {
  QUARRY_ASSIGN(const uint64_t bytes, regular_file_bytes(file.get()));
  if (bytes == 0) return MappedBlob(nullptr, 0);
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return system_problem("cannot map a blob");
  return MappedBlob(static_cast<const std::byte*>(data), bytes);
}

MappedBlob::~MappedBlob() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), bytes_);
}

Result<std::shared_ptr<run::ByteSource>> make_byte_source(const LocalInput& input,
                                                          const std::vector<MappedBlob>& blobs) {
  auto source = std::make_shared<Extents>();
  for (const LocalExtent& extent : input.extents) {
    if (extent.blob >= blobs.size())
      return Problem{"graph_error", "input " + input.name + " names a blob that is not there", "", ""};
    const auto bytes = blobs[extent.blob].bytes();
    if (extent.offset > bytes.size() || extent.bytes > bytes.size() - extent.offset)
      return Problem{"graph_error", "input " + input.name + " reaches past the end of its tensor's file", "", ""};
    source->append(bytes.subspan(extent.offset, extent.bytes));
  }
  return std::shared_ptr<run::ByteSource>(std::move(source));
}

}  // namespace quarry::worker
