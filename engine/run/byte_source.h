// The usual places that a tensor's bytes come from.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "common/result.h"
#include "engine/run/run.h"

namespace quarry::run {

std::shared_ptr<ByteSource> memory_source(std::vector<std::byte> bytes);

/// `bytes` bytes of an open file from `offset`: a tensor inside a safetensors file. `owner` keeps the descriptor open
/// as long as the source lives. A file that ends early is a Problem "input_truncated" when it is read, never a crash as
/// with a mapping.
std::shared_ptr<ByteSource> file_source(int descriptor, uint64_t offset, uint64_t bytes, std::shared_ptr<void> owner);

}  // namespace quarry::run
