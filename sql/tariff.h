// The published constants of each tariff version, as far as a bill derives from stored counts. A published version
// never changes. A test holds them equal to engine/meter, which this room does not include.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>

#include "common/uint128.h"

namespace quarry::sql {

struct Tariff {
  UInt128 flops_per_byte, flops_per_stored_value, flops_per_job;
  bool bills_checkpoints;  ///< each segment after the first costs flops_per_job and its checkpoint's bytes
};
inline constexpr std::array<Tariff, 2> kTariffs{{
    {64, 100'000'000, 10'000'000'000, false},
    {64, 100'000'000, 10'000'000'000, true},
}};

constexpr const Tariff& tariff(int32_t version) {
  if (version < 1 || version > static_cast<int32_t>(kTariffs.size()))
    throw std::out_of_range("a job's tariff has a version that this program does not know");
  return kTariffs[static_cast<size_t>(version - 1)];
}

}  // namespace quarry::sql
