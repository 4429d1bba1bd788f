// safetensors files: an 8-byte little-endian header length, a JSON header, then the data. Hostile until parsed:
// offsets, overlaps, sizes and dtypes are all checked, and only the header is ever held in memory.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/graph/dtype.h"

namespace quarry::io {

inline constexpr uint64_t kMaxHeaderBytes = 16 << 20;

struct TensorEntry {
  graph::DType dtype;
  std::vector<int64_t> shape;
  uint64_t offset;  ///< of its data, from the start of the file
  uint64_t bytes;
};

/// The tensors of a file by name. Problems: "safetensors_truncated", "safetensors_header", "safetensors_overlap",
/// "unsupported_dtype". `head` holds at least the first 8 + header length bytes; header_bytes() says how many that is
/// once 8 are known.
Result<uint64_t> header_bytes(std::span<const std::byte> first_eight, uint64_t file_bytes);
Result<std::map<std::string, TensorEntry>> parse_header(std::span<const std::byte> head, uint64_t file_bytes);

struct NamedTensor {
  std::string name;
  graph::DType dtype;
  std::vector<int64_t> shape;
  uint64_t bytes;
};
/// The head of a file that holds these tensors one after the other, in this order: 8 bytes and the header.
std::vector<std::byte> write_header(std::span<const NamedTensor> tensors,
                                    const std::map<std::string, std::string>& metadata = {});

}  // namespace quarry::io
