// Where a program's memories, barriers and workspace lie, and in which order its tiles come.
#include <algorithm>

#include "engine/tile/interpret.h"

namespace quarry::tile {

namespace {

constexpr int64_t kAlignment = 1024;  // of a swizzled tile: swizzles repeat at that distance

int64_t aligned(int64_t bytes, int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

int64_t TensorMap::box_bytes() const {
  int64_t bytes = graph::byte_size(dtype);
  for (int64_t extent : box) bytes *= extent;
  return bytes;
}

int Program::new_range(int64_t extent) {
  extents.push_back(extent);
  return static_cast<int>(extents.size()) - 1;
}

SharedLayout shared_layout(const Program& program) {
  SharedLayout layout;
  int64_t at = 0;
  for (const Memory& memory : program.memories) {
    at = aligned(at, kAlignment);
    layout.memories.push_back(at);
    at += memory.slot_bytes() * memory.slots;
  }
  at = aligned(at, 8);
  for (const Ring& ring : program.rings) {
    layout.rings.push_back(at);
    at += int64_t{16} * ring.stages;
  }
  layout.flag = at;
  at += int64_t{4} * (program.warps / 4);
  layout.bytes = at + kAlignment;
  return layout;
}

Workspace workspace(const Program& program) {
  Workspace space;
  for_each(program.body, [&](const Statement& statement) {
    const auto* join = std::get_if<JoinParts>(&statement.is);
    if (!join) return;
    const Fragment& fragment = program.fragments[static_cast<size_t>(join->fragment)];
    const int64_t fragment_bytes = 64 * fragment.columns * int64_t{sizeof(float)};
    space.bytes = join->tiles * join->parts * fragment_bytes;
    space.counter_bytes = join->tiles * int64_t{sizeof(uint32_t)};
  });
  return space;
}

TileAt tile_at(const Tiles& tiles, int64_t tile) {
  TileAt at{};
  at.part = tile % tiles.parts;
  tile /= tiles.parts;
  at.batch = tile / (tiles.m * tiles.n);
  tile %= tiles.m * tiles.n;
  const int64_t width = tiles.raster_rows * tiles.n;
  const int64_t band = tile / width, rest = tile % width;
  const int64_t rows = std::min(tiles.raster_rows, tiles.m - band * tiles.raster_rows);
  at.m = band * tiles.raster_rows + rest % rows;
  at.n = rest / rows;
  return at;
}

}  // namespace quarry::tile
