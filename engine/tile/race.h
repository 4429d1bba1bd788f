// Finds every read and write of shared memory that nothing orders, whatever order the interpreter happened to choose:
// vector clocks over warps, and over what works beside them (the TMA engine, the matrix units).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace quarry::tile {

/// Who touches shared memory. Each has a count of its own in every clock.
class Actors {
 public:
  Actors(int warps, int barriers) : warps_(warps), barriers_(barriers) {}
  int warp(int w) const { return w; }                            ///< loads and stores of a warp
  int fenced(int w) const { return warps_ + w; }                 ///< those of them that a proxy fence has passed on
  int matrix(int w) const { return 2 * warps_ + w; }             ///< the groups of products of a warp
  int bulk(int w) const { return 3 * warps_ + w; }               ///< the TMA stores of a warp
  int fills(int barrier) const { return 4 * warps_ + barrier; }  ///< TMA fills that a barrier counts: by phase
  int count() const { return 4 * warps_ + barriers_; }
  int warps() const { return warps_; }
  std::string name(int actor) const;

 private:
  int warps_, barriers_;
};

/// For each actor, up to which of its accesses all is known to be done.
using Clock = std::vector<uint32_t>;
void join(Clock& clock, const Clock& other);

struct Access {
  int actor = -1;
  uint32_t time = 0;
};

/// The block's shared memory: bytes, and for each 16 of them who touched them last.
class SharedMemory {
 public:
  SharedMemory(const Actors& actors, int64_t bytes);

  /// Each returns what is wrong, or empty. `clock` is what the acting warp knows. An access by a warp's own loads and
  /// stores is ordered before another proxy's (`access.actor` beyond the warps) only by a proxy fence.
  std::string read(Access access, const Clock& clock, int64_t address, int64_t count);
  std::string write(Access access, const Clock& clock, int64_t address, int64_t count);

  uint8_t* bytes() { return bytes_.data(); }

 private:
  struct Piece {
    Access write;
    std::vector<Access> reads;
  };
  bool ordered(const Access& before, const Clock& clock, bool by_other_proxy) const;

  const Actors& actors_;
  std::vector<uint8_t> bytes_;
  std::vector<Piece> pieces_;
};

}  // namespace quarry::tile
