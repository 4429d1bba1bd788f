#include "engine/device/interpreter/philox.h"

#include <bit>

namespace quarry::device::interpreter {

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

uint64_t random_element(graph::DType dtype, int64_t element, uint32_t stream, int32_t step, uint64_t seed) {
  const auto block = static_cast<uint64_t>(element) / 4;
  const auto words = philox4x32_10(
      {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), static_cast<uint32_t>(step), stream},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint32_t word = words[static_cast<size_t>(element % 4)];
  if (dtype == graph::DType::I32) return word;
  return std::bit_cast<uint32_t>(static_cast<float>(word >> 8) * 0x1p-24f);
}

}  // namespace quarry::device::interpreter
