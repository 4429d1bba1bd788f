// Bounds the folder of compiled kernels: a box runs for years, and every new shape is a new kernel.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>

namespace quarry::device {

inline constexpr uint64_t kMostCacheBytes = uint64_t{1} << 30;  // about 14,000 kernels of 73 kB
inline constexpr std::chrono::minutes kTrimEvery{10};

/// Removes what was used longest ago when the folder holds more than `most_bytes`, until it holds three quarters of
/// them. An entry is a file of the compiler's (<hash>.cl, <hash>.cu, <hash>.bin) or one of PoCL's folders,
/// pocl/XX/<hash>. Any may go at any time, also while this or another process runs its kernels: what is loaded stays
/// loaded, and PoCL makes a missing folder anew. What cannot be read or removed is passed over.
void trim_cache(const std::filesystem::path& directory, uint64_t most_bytes);

/// trim_cache(), unless this or another process did it within kTrimEvery: the age of the file `trimmed` tells. Walking
/// 1,500 kernels takes 0.1 s, which no process should spend at each start.
void trim_cache_now_and_then(const std::filesystem::path& directory, uint64_t most_bytes = kMostCacheBytes);

}  // namespace quarry::device
