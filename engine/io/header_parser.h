// The JSON text of a safetensors header, read as a stream of tokens into the entries it declares. Only the text is
// judged here: nothing is known of the file it came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace quarry::io {

/// One tensor as the header declares it.
struct DeclaredTensor {
  std::string name;
  std::string dtype;            ///< the file's spelling, e.g. "BF16"
  std::vector<int64_t> shape;   ///< at most kMaxRank sizes, none negative
  uint64_t begin = 0, end = 0;  ///< of its data, counted from the end of the header
};

/// Refuses anything but {name: {"dtype", "shape", "data_offsets"}} and one "__metadata__" of strings: unknown, repeated
/// and missing fields, other types, deeper nesting. Every Problem has code "safetensors_header" and a pointer into the
/// header.
Result<std::vector<DeclaredTensor>> parse_header_text(std::string_view text);

}  // namespace quarry::io
