// When the host waits for the device. Launches are queued without waiting; about ten times a second the host catches
// up, so that progress is true, a cancel is heard, and no more than that much work is ever in the queue.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace quarry::run {

class Pacer {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Pacer(Clock::time_point now) : last_wait_(now) {}

  /// Counts a launch; true when the host should now wait for the device and then call waited().
  bool launched(Clock::time_point now) { return ++in_flight_ >= budget_ || now - last_wait_ >= kInterval; }

  /// The device has finished everything: learns how many launches fill the interval.
  void waited(Clock::time_point now) {
    const auto taken = now - last_wait_;
    if (in_flight_ >= budget_ && taken < kInterval / 2) budget_ = std::min(2 * budget_, kMostInFlight);
    if (taken > 2 * kInterval && budget_ > 1) budget_ /= 2;
    in_flight_ = 0;
    last_wait_ = now;
  }

 private:
  static constexpr std::chrono::milliseconds kInterval{100};
  // Launches that cost nothing must not make room for as many that cost much. At 4 us each this many take 16 ms, a wait
  // 50 us.
  static constexpr uint64_t kMostInFlight = 4096;
  uint64_t budget_ = 1;  // launches between waits: a dozen short waits find the right number
  uint64_t in_flight_ = 0;
  Clock::time_point last_wait_;
};

}  // namespace quarry::run
