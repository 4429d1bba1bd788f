#include "engine/run/arena.h"

#include <algorithm>

namespace quarry::run {

Result<Arena> Arena::allocate(device::Device& device, const meter::MemoryLayout& plan, uint64_t piece_bytes,
                              uint64_t scratch_bytes) {
  Arena arena;
  arena.piece_bytes_ = piece_bytes;
  // A plan without bytes still has slots, of values without elements.
  const uint64_t bytes = std::max(plan.bytes(), device::kBufferAlignment);
  for (uint64_t done = 0; done < bytes; done += std::min(piece_bytes, bytes - done)) {
    QUARRY_ASSIGN(auto piece, device.allocate(std::min(piece_bytes, bytes - done)));
    arena.pieces_.push_back(std::move(piece));
  }
  if (scratch_bytes > 0) {
    QUARRY_ASSIGN(arena.scratch_, device.allocate(meter::aligned(scratch_bytes)));
  }
  return arena;
}

device::BufferRange Arena::range(const meter::Slot& slot) const {
  if (slot.bytes == 0) return {pieces_.front().get(), 0, 0};
  return {pieces_[slot.offset / piece_bytes_].get(), slot.offset % piece_bytes_, slot.bytes};
}

Status Arena::zero(device::Device& device) const {
  for (const auto& piece : pieces_) QUARRY_TRY(device.zero({piece.get(), 0, piece->bytes()}));
  return scratch_ ? device.zero(scratch()) : Status();
}

uint64_t Arena::bytes() const {
  uint64_t sum = scratch().bytes;
  for (const auto& piece : pieces_) sum += piece->bytes();
  return sum;
}

}  // namespace quarry::run
