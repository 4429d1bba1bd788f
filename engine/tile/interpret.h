// Runs a program on the processor: warps in any order, matrix rows with their layouts and arithmetic, TMA fills that
// land late, shared memory that is poisoned until it is written. For the tests of templates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/tile/tile.h"

namespace quarry::tile {

struct Interpretation {
  int64_t blocks = 1;  ///< of the grid
  uint64_t seed = 0;   ///< of the order in which warps and fills proceed
};

/// Runs all blocks. `arguments` are in the program's order; the result's buffer is written. Returns what went wrong, or
/// empty: a read that no Wait orders, a stage overwritten while it is read, registers touched before their products
/// are done, a wait that never ends, an index outside of its argument, an op that the interpreter does not know.
std::string interpret(const Program& program, std::span<const std::span<std::byte>> arguments,
                      const Interpretation& options);

/// Tile number `tile` of the persistent loop, as the printers compute it too.
struct TileAt {
  int64_t batch, m, n, part;
};
TileAt tile_at(const Tiles& tiles, int64_t tile);

}  // namespace quarry::tile
