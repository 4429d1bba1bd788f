#include "common/clock.h"

#include <cstdio>
#include <ctime>

namespace quarry {

std::string WallTime::rfc3339() const {
  int64_t seconds = micros / 1'000'000;
  int64_t fraction = micros % 1'000'000;
  if (fraction < 0) {
    fraction += 1'000'000;
    --seconds;
  }
  const time_t time = static_cast<time_t>(seconds);
  tm utc{};
  gmtime_r(&time, &utc);
  char text[64];
  const size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char tail[16];
  std::snprintf(tail, sizeof tail, ".%06dZ", static_cast<int>(fraction));
  return std::string(text, used) + tail;
}

WallTime SystemClock::wall() const {
  return {std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()};
}

Instant SystemClock::now() const {
  return {std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
              .count()};
}

}  // namespace quarry
