// Random bytes as lower-case hex digits: secrets, codes and keys that travel as text.
#pragma once

#include <cstddef>
#include <string>

#include "common/random.h"

namespace quarry {

/// 2 x `bytes` hex digits.
std::string random_hex(RandomSource& random, size_t bytes);

}  // namespace quarry
