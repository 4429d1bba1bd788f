// The tile IR: what one block of threads does, with the memories, barriers, roles and fragments of a GPU in it.
// Templates (engine/templates) build programs; verify(), to_string(), interpret() and the printers of device text read
// them.
//
// Indices and conditions are expressions of lower::Arena. Every loop, role and element variable is a Range of that
// arena, so an index knows its bounds. Values of epilogues are expressions too: kAccumulator stands for the element of
// the fragment at hand.
//
// A program describes one block. Its tiles are walked by all blocks of the grid together (Tiles).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/graph/dtype.h"
#include "engine/lower/expr.h"
#include "engine/tile/matrix_rows.h"

namespace quarry::tile {

using lower::ExprId;
using lower::kNoExpr;

/// How a tile whose rows are 128 (or 64) bytes long lies in shared memory: the 16-byte pieces of a row are permuted by
/// the row's number, so that neither matrix units nor threads meet the same bank twice. As the TMA engine writes it.
enum class Swizzle : uint8_t { None, B64, B128 };
/// The address at which the byte of a plain address lies. Swizzles repeat every 1,024 bytes.
constexpr uint32_t swizzled(Swizzle swizzle, uint32_t address) {
  if (swizzle == Swizzle::B128) return address ^ ((address >> 7 & 7) << 4);
  if (swizzle == Swizzle::B64) return address ^ ((address >> 7 & 3) << 4);
  return address;
}

/// A tile in shared memory, `slots` times. If it belongs to a ring, the slot is the ring's stage.
struct Memory {
  std::string name;
  graph::DType dtype;
  int64_t rows, columns;  ///< columns are contiguous
  Swizzle swizzle = Swizzle::None;
  int slots = 1;
  int ring = -1;
  int64_t slot_bytes() const { return rows * columns * graph::byte_size(dtype); }
};

/// Accumulators in registers, spread over the warps of a warpgroup by the row's layout of C.
struct Fragment {
  std::string name;
  int row;          ///< of matrix_rows()
  int64_t columns;  ///< 64 x columns for wgmma
};

/// Stages that a producer fills and consumers empty, each with a pair of barriers: `full` completes when the producer
/// arrived and all bytes landed, `empty` when each consumer warp released the stage.
struct Ring {
  std::string name;
  int stages;
  int consumer_warps;      ///< arrivals that complete `empty`
  int producer_warps = 0;  ///< that write stages themselves and arrive at `full`; 0: the TMA engine fills them
};

/// A box-shaped view of an argument, for the TMA engine: element (i0, i1, ..) is argument[offset + sum of strides * i].
/// What lies outside of the extents reads as 0 and is not written.
struct TensorMap {
  int argument;
  graph::DType dtype;
  int64_t offset = 0;            ///< in elements
  std::vector<int64_t> extents;  ///< innermost first, 2 to 5 of them
  std::vector<int64_t> strides;  ///< in elements; the innermost is 1
  std::vector<int64_t> box;
  Swizzle swizzle = Swizzle::B128;
  int64_t box_bytes() const;
};

/// A buffer that the kernel is given. Argument 0 is the result, 1 .. are the reads.
struct Argument {
  std::string name;
  graph::DType dtype;
  int64_t elements;
};

struct Statement;
using Body = std::vector<Statement>;

/// Warps [first_warp, first_warp + warps) run the body. Whole warpgroups, because registers move between warpgroups.
struct Role {
  std::string name;
  int first_warp, warps;
  int registers;    ///< a thread, after this role's setmaxnreg; 0: the block's registers are not moved
  int group_range;  ///< bound to the warpgroup's number within the role; -1: none
  Body body;
};
/// One thread of that warp of the role runs the body: fills need no more.
struct Thread {
  int warp;
  Body body;
};
/// The persistent loop over output tiles: block b takes tiles b, b + blocks, ... In the order of the tiles,
/// `raster_rows` rows of tiles are walked column by column, so that neighbouring blocks share operands in the L2 cache.
struct Tiles {
  int batch_range, m_range, n_range, part_range;
  int64_t batches, m, n, parts;
  int64_t raster_rows;
  Body body;
};
struct For {
  int range;
  int64_t count;
  bool unrolled;
  Body body;
};
enum class Side : uint8_t { Full, Empty };
/// Waits until the ring's current stage is full (a consumer) or empty (a producer).
struct Wait {
  int ring;
  Side side;
};
/// The producer's arrival at `full`: that many bytes will land.
struct Expect {
  int ring;
  int64_t bytes;
};
/// Copies a box of the map into the memory's current slot, from `row` on. The ring's `full` counts its bytes.
struct Fill {
  int memory;
  int64_t row;
  int map;
  std::vector<ExprId> coordinates;
};
/// A consumer warp's arrival at `empty` of the stage `lag` before the current one. With `unless_first`, not in the
/// first iteration of the loop of that range.
struct Release {
  int ring;
  int lag;
  int unless_first;  ///< range, or -1
};
/// A producer warp's arrival at `full` of the current stage, which it has written.
struct Arrive {
  int ring;
};
/// On to the ring's next stage.
struct Advance {
  int ring;
};
struct Zero {
  int fragment;
};
/// One operand of a matrix instruction in shared memory: rows [row, ..) of m or n, and the k-th slice of the
/// instruction's depth. `transposed`: the memory holds boxes of 64 (m or n) x k, contiguous along m or n.
struct Operand {
  int memory;
  ExprId row;
  ExprId k;
  bool transposed;
};
/// fragment += left x right, asynchronously.
struct Mma {
  int fragment;
  Operand left, right;
};
/// f32 products on bf16 units. A number is the sum of three bf16 parts, each the rounded rest of those before it; for
/// normal numbers that is exact. Of nine products of parts, the six largest are added; the error is 2^-23 of a product.
///
/// The threads of a warpgroup split 128 rows of 32 numbers each into three planes of the memory `planes` (rows
/// 128 * part + row). Each warp notes in its 16 bytes of `flags` whether a first part is not finite.
struct SplitTile {
  int memory;
  bool transposed;  ///< boxes of 32 (rows) x 32 (k), contiguous along rows
  int planes, flags;
};
/// Each warp splits its rows of the left operand, 16 x 32, into registers.
struct SplitLeft {
  int memory;
  ExprId row;
  bool transposed;
};
/// fragment = the six products over 32 of k, smallest first, of the registers of SplitLeft and the planes. Where a part
/// is not finite, corrections that are not finite count as 0, element by element, so that an infinity stays one. The
/// products are done when the statement is.
struct SixProducts {
  int fragment;
  int planes, flags;
};
/// to += from, element by element.
struct AddFragment {
  int to, from;
};
struct MmaFence {};   ///< what follows may use the registers of fragments as they are now
struct MmaCommit {};  ///< the Mma so far are one group
struct MmaWait {
  int groups;  ///< waits until at most that many groups are unfinished
};
/// What this warp read or wrote in shared memory is done before what the TMA engine or a matrix unit does later.
struct ProxyFence {};
/// A barrier among the warps of the warpgroup.
struct GroupSync {};
/// For each element of columns [first, first + count) of the fragment: evaluates `value` and stores it. Row and column
/// within the fragment are bound to the two ranges.
struct Elements {
  int fragment;
  int row_range, column_range;  ///< column: within the columns at hand
  ExprId first;                 ///< a multiple of 8; constant after unrolling
  int64_t count;
  ExprId value;           ///< over kAccumulator (the element) and Loads of reads (argument 1 + x)
  int memory = -1;        ///< stored to (row, column) of this memory's slot ...
  ExprId slot = kNoExpr;  ///< ... `slot`
  int argument = -1;      ///< or to this argument at `index`, where `condition` holds
  ExprId index = kNoExpr, condition = kNoExpr;
};
/// One thread of the warpgroup copies the slot to the map's box.
struct StoreTile {
  int memory;
  ExprId slot;
  int map;
  std::vector<ExprId> coordinates;
};
/// That thread waits until at most `groups` of its StoreTiles are still reading (`done`: until all are written).
struct StoreWait {
  int groups;
  bool done;
};
/// The parts of one tile's sum meet in workspace: each warpgroup writes its fragment and counts up; the last of `parts`
/// to arrive adds them in the order of the parts and runs the body. So one launch does it, and the bits do not depend
/// on the order of arrival.
struct JoinParts {
  int fragment;
  ExprId part;
  int64_t parts;
  ExprId tile;    ///< number of this warpgroup's tile
  int64_t tiles;  ///< how many there are
  Body body;
};

struct Statement {
  std::variant<Role, Thread, Tiles, For, Wait, Expect, Fill, Release, Arrive, Advance, Zero, Mma, SplitTile, SplitLeft,
               SixProducts, AddFragment, MmaFence, MmaCommit, MmaWait, ProxyFence, GroupSync, Elements, StoreTile,
               StoreWait, JoinParts>
      is;
};

/// k of a stage of split operands; the bytes of one plane of 128 rows, and of a warp's flag.
inline constexpr int64_t kSplitDepth = 32, kPlaneBytes = 128 * kSplitDepth * 2, kFlagBytes = 16;

/// The number of a Load that stands for the fragment's element; its index is 0.
inline constexpr int64_t kAccumulator = -1;

struct Program {
  std::string name;
  lower::Arena arena;
  std::vector<Argument> arguments;
  std::vector<TensorMap> maps;
  std::vector<Memory> memories;
  std::vector<Fragment> fragments;
  std::vector<Ring> rings;
  std::vector<int64_t> extents;  ///< of each range; ranges are numbered from 0
  int warps = 0;                 ///< of a block
  Body body;

  int new_range(int64_t extent);
  ExprId range(int number) { return arena.range(number, extents[static_cast<size_t>(number)]); }
};

/// Where memories and barriers lie in the block's shared memory; both orders are those of the program.
struct SharedLayout {
  std::vector<int64_t> memories;  ///< byte offset of slot 0
  std::vector<int64_t> rings;     ///< of stage 0's `full`; `empty` follows it, then the next stage's pair
  int64_t flag = 0;               ///< 4 bytes a warpgroup, for JoinParts
  int64_t bytes = 0;              ///< with room to align the start to 1,024
};
SharedLayout shared_layout(const Program& program);

/// In global memory: the parts of all tiles, and one counter for each tile. Zero without JoinParts. The counters must
/// be 0 before the first launch; each launch leaves them 0.
struct Workspace {
  int64_t bytes = 0;
  int64_t counter_bytes = 0;
};
Workspace workspace(const Program& program);

/// The text that people review: the program, one statement a line. Deterministic.
std::string to_string(const Program& program);

/// What is wrong with the program, or empty. See verify.cpp for the list.
std::string verify(const Program& program);

/// Calls visit(statement) for each statement, parents first.
template <class Visit>
void for_each(const Body& body, Visit&& visit) {
  for (const Statement& statement : body) {
    visit(statement);
    std::visit(
        [&](const auto& is) {
          if constexpr (requires { is.body; }) for_each(is.body, visit);
        },
        statement.is);
  }
}

}  // namespace quarry::tile
