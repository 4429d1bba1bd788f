#include "common/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>

namespace quarry {

void start_logging(const std::string& process) {
  auto logger = spdlog::stderr_logger_mt(process);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L " + process + "[%P] %v", spdlog::pattern_time_type::utc);
  const char* level = std::getenv("QUARRY_LOG");
  logger->set_level(spdlog::level::from_str(level ? level : "info"));
  spdlog::set_default_logger(logger);
}

}  // namespace quarry
