// Sources of random bytes. main makes a SystemRandom and hands it down; simulations hand down a SeededRandom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace quarry {

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(std::span<std::byte> out) = 0;
  uint64_t next_u64();
};

/// The kernel's generator, safe for keys and secrets. Thread-safe.
class SystemRandom final : public RandomSource {
 public:
  void fill(std::span<std::byte> out) override;
};

/// Reproducible; for simulations and tests only. Not thread-safe.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::byte> out) override;

 private:
  std::mt19937_64 engine_;
};

}  // namespace quarry
