#include "engine/tile/race.h"

#include <algorithm>

namespace quarry::tile {

namespace {

constexpr int64_t kPiece = 16;  // bytes: what a swizzle moves as one

}  // namespace

std::string Actors::name(int actor) const {
  if (actor >= 4 * warps_) return "a fill";
  const std::string warp = " of warp " + std::to_string(actor % warps_);
  switch (actor / warps_) {
    case 0:
    case 1:
      return "a load or store" + warp;
    case 2:
      return "a product" + warp;
    default:
      return "a tile store" + warp;
  }
}

void join(Clock& clock, const Clock& other) {
  for (size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

SharedMemory::SharedMemory(const Actors& actors, int64_t bytes)
    : actors_(actors), bytes_(static_cast<size_t>(bytes), 0xff), pieces_(static_cast<size_t>(bytes / kPiece + 1)) {}

bool SharedMemory::ordered(const Access& before, const Clock& clock, bool by_other_proxy) const {
  if (clock[static_cast<size_t>(before.actor)] < before.time) return false;
  const bool by_warp = before.actor < actors_.warps();
  return !by_warp || !by_other_proxy || clock[static_cast<size_t>(actors_.fenced(before.actor))] >= before.time;
}

std::string SharedMemory::read(Access access, const Clock& clock, int64_t address, int64_t count) {
  const bool other_proxy = access.actor >= actors_.warps();
  for (int64_t piece = address / kPiece; piece <= (address + count - 1) / kPiece; ++piece) {
    Piece& at = pieces_[static_cast<size_t>(piece)];
    if (at.write.actor < 0) return actors_.name(access.actor) + " reads shared memory that nobody wrote";
    if (!ordered(at.write, clock, other_proxy)) {
      return actors_.name(access.actor) + " reads shared memory without having waited for " +
             actors_.name(at.write.actor);
    }
    const auto known = std::ranges::find(at.reads, access.actor, &Access::actor);
    if (known == at.reads.end()) {
      at.reads.push_back(access);
    } else {
      known->time = access.time;
    }
  }
  return {};
}

std::string SharedMemory::write(Access access, const Clock& clock, int64_t address, int64_t count) {
  const bool other_proxy = access.actor >= actors_.warps();
  for (int64_t piece = address / kPiece; piece <= (address + count - 1) / kPiece; ++piece) {
    Piece& at = pieces_[static_cast<size_t>(piece)];
    // The bytes of one piece may come from several accesses of one actor, one after the other.
    const bool own = at.write.actor == access.actor && at.write.time == access.time;
    if (at.write.actor >= 0 && !own && !ordered(at.write, clock, other_proxy)) {
      return actors_.name(access.actor) + " writes shared memory without having waited for " +
             actors_.name(at.write.actor) + " that wrote it";
    }
    for (const Access& reader : at.reads) {
      if (ordered(reader, clock, other_proxy)) continue;
      return actors_.name(access.actor) + " writes shared memory that " + actors_.name(reader.actor) +
             " may still be reading";
    }
    at.reads.clear();
    at.write = access;
  }
  return {};
}

}  // namespace quarry::tile
