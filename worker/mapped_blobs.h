// The bytes of a job's inputs inside the executor: blobs mapped read-only from descriptors that the agent handed over.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/run/run.h"
#include "worker/local_protocol.h"

namespace quarry::worker {

/// A file mapped for reading; the descriptor is not needed any longer. The agent never changes a cached blob in place.
class MappedBlob {
 public:
  static Result<MappedBlob> map(const FileDescriptor& file);
  MappedBlob(MappedBlob&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MappedBlob& operator=(MappedBlob&&) = delete;
  ~MappedBlob();
  std::span<const std::byte> bytes() const { return {data_, bytes_}; }

 private:
  MappedBlob(const std::byte* data, size_t bytes) : data_(data), bytes_(bytes) {}
  const std::byte* data_;
  size_t bytes_;
};

/// The concatenation of an input's extents. The blobs must outlive it. "graph_error": an extent lies outside its blob.
Result<std::shared_ptr<run::ByteSource>> make_byte_source(const LocalInput& input,
                                                          const std::vector<MappedBlob>& blobs);

}  // namespace quarry::worker
