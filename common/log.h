// Logging: spdlog to stderr, one line an event: time, level, process, message. Never a key, cookie or tensor byte.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace quarry {

/// Called once by each main. `process` names the program in every line; level from QUARRY_LOG (default info).
void start_logging(const std::string& process);

}  // namespace quarry
