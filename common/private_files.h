// Whose files are whose: keys, blobs and databases are their owner's alone.
#pragma once

#include <sys/types.h>

namespace quarry {

/// umask() of every program that keeps data: what it makes, nobody else can read.
inline constexpr mode_t kPrivateUmask = 077;

}  // namespace quarry
