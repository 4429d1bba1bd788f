// The published constants of each tariff version, as far as a bill derives from stored counts. A published version
// never changes. A test holds them equal to engine/meter, which this room does not include.
#pragma once

#include "common/uint128.h"

namespace quarry::sql {

struct Tariff {
  UInt128 flops_per_byte, flops_per_stored_value, flops_per_job;
};
inline constexpr int32_t kOnlyTariff = 1;
inline constexpr Tariff kTariff1{64, 100'000'000, 10'000'000'000};

}  // namespace quarry::sql
