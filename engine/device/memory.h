// Memory of a device, as everything above and below the device interface names it.
#pragma once

#include <cstdint>

namespace quarry::device {

/// Device memory. Freed with its last owner, which must not outlive the Device.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual uint64_t bytes() const = 0;
};

struct BufferRange {
  Buffer* buffer = nullptr;
  uint64_t offset = 0;  ///< in bytes; a multiple of kBufferAlignment
  uint64_t bytes = 0;
};
inline constexpr uint64_t kBufferAlignment = 256;

}  // namespace quarry::device
