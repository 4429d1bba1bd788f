#include "common/random_hex.h"

#include <vector>

#include "common/sha256.h"

namespace quarry {

std::string random_hex(RandomSource& random, size_t bytes) {
  std::vector<std::byte> buffer(bytes);
  random.fill(buffer);
  return to_hex({reinterpret_cast<const uint8_t*>(buffer.data()), buffer.size()});
}

}  // namespace quarry
