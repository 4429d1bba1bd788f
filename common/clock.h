// Time has two kinds. WallTime is business time (what a bill says); Instant is monotonic (what a time-out counts on).
// Both come from a Clock that main hands in, so that tests and simulations set them.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace quarry {

/// Microseconds since 1970-01-01T00:00:00Z.
struct WallTime {
  int64_t micros = 0;
  auto operator<=>(const WallTime&) const = default;
  std::string rfc3339() const;  ///< "2026-11-22T19:18:54.123456Z"
};

/// A point on this process's monotonic clock; never sent to another process: durations travel, instants do not.
struct Instant {
  int64_t micros = 0;
  auto operator<=>(const Instant&) const = default;
  Instant operator+(std::chrono::microseconds d) const { return {micros + d.count()}; }
  std::chrono::microseconds operator-(Instant other) const { return std::chrono::microseconds(micros - other.micros); }
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual Instant now() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  Instant now() const override;
};

class ManualClock final : public Clock {
 public:
  WallTime wall() const override { return wall_; }
  Instant now() const override { return now_; }
  void advance(std::chrono::microseconds d) {
    wall_.micros += d.count();
    now_.micros += d.count();
  }
  void set_wall(WallTime wall) { wall_ = wall; }

 private:
  WallTime wall_{1'700'000'000'000'000};
  Instant now_{0};
};

}  // namespace quarry
