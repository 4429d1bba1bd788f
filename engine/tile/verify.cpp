// What every program must keep, whatever built it:
// - roles are whole warpgroups, cover the block's warps once, and their registers fit the register file;
// - shared memory fits a block of sm_90; swizzled tiles have the pitch of their swizzle;
// - maps: 2 to 5 axes, 16-byte strides, boxes of at most 256 that fill one swizzle's width and fit their memory;
// - a stage is filled only after a wait for `empty`, with exactly the bytes that the barrier expects; it is read only
//   after a wait for `full`, and released in every turn, after the products that read it are done;
// - fragments are zeroed or fenced before products and waited for before their registers are used;
// - a tile that threads wrote is stored only behind a proxy fence and a barrier;
// - each range is bound where it is used, once.
#include <algorithm>
#include <set>

#include "engine/tile/tile.h"

namespace quarry::tile {

namespace {

constexpr int64_t kMostShared = 227 * 1024 - 16;  // of a block on sm_90; 16 bytes are the OpenCL driver's
constexpr int64_t kRegisterFile = 65536;
constexpr int kMostRegisters = 240, kLeastRegisters = 24;  // setmaxnreg's, in steps of 8
constexpr int64_t kMostBox = 256;

class Verify {
 public:
  explicit Verify(const Program& program) : program_(program) {}

  std::string run() {
    if (shared_layout(program_).bytes > kMostShared) fail("shared memory: more than a block has");
    for (size_t i = 0; i < program_.memories.size(); ++i) memory(program_.memories[i]);
    for (size_t i = 0; i < program_.maps.size(); ++i) map(program_.maps[i], i);
    for (const Fragment& fragment : program_.fragments) {
      if (fragment.columns % 8 != 0 || fragment.columns < 8 || fragment.columns > 256) {
        fail("fragment " + fragment.name + ": columns are no multiple of 8 up to 256");
      }
    }
    roles();
    return failure_;
  }

 private:
  void fail(const std::string& text) {
    if (failure_.empty()) failure_ = text;
  }

  void memory(const Memory& memory) {
    const int64_t pitch = memory.columns * graph::byte_size(memory.dtype);
    const int64_t width = memory.swizzle == Swizzle::B128 ? 128 : memory.swizzle == Swizzle::B64 ? 64 : pitch;
    if (pitch != width) fail("memory " + memory.name + ": a row is not as wide as its swizzle");
    if (memory.ring >= 0 && memory.slots != program_.rings[static_cast<size_t>(memory.ring)].stages) {
      fail("memory " + memory.name + ": has not one slot for each stage of its ring");
    }
  }

  void map(const TensorMap& map, size_t number) {
    const std::string name = "map" + std::to_string(number);
    const int64_t size = graph::byte_size(map.dtype);
    if (map.extents.size() < 2 || map.extents.size() > 5 || map.strides.size() != map.extents.size() ||
        map.box.size() != map.extents.size()) {
      return fail(name + ": not 2 to 5 axes");
    }
    if (map.strides[0] != 1) fail(name + ": the innermost axis is not contiguous");
    if (map.offset * size % 16 != 0) fail(name + ": does not start at a multiple of 16 bytes");
    for (size_t i = 1; i < map.strides.size(); ++i) {
      if (map.strides[i] * size % 16 != 0) fail(name + ": a stride is no multiple of 16 bytes");
    }
    for (int64_t extent : map.box) {
      if (extent < 1 || extent > kMostBox) fail(name + ": a box of more than 256");
    }
    const int64_t width = map.swizzle == Swizzle::B128 ? 128 : map.swizzle == Swizzle::B64 ? 64 : 0;
    if (width && map.box[0] * size != width) fail(name + ": a box is not as wide as its swizzle");
  }

  void roles() {
    std::vector<int> owner(static_cast<size_t>(program_.warps));
    int64_t registers = 0;
    for (const Statement& statement : program_.body) {
      const auto* role = std::get_if<Role>(&statement.is);
      if (!role) return fail("a statement outside of all roles");
      if (role->first_warp % 4 != 0 || role->warps % 4 != 0) fail("role " + role->name + ": not whole warpgroups");
      for (int w = role->first_warp; w < role->first_warp + role->warps; ++w) {
        if (w < 0 || w >= program_.warps) return fail("role " + role->name + ": warps beyond the block");
        ++owner[static_cast<size_t>(w)];
      }
      if (role->registers != 0 &&
          (role->registers % 8 != 0 || role->registers < kLeastRegisters || role->registers > kMostRegisters)) {
        fail("role " + role->name + ": registers that setmaxnreg does not take");
      }
      registers += int64_t{32} * role->warps * role->registers;
    }
    if (std::ranges::any_of(owner, [](int count) { return count != 1; })) fail("a warp has no role, or two");
    if (registers > kRegisterFile) fail("registers: more than the file has");
    for (const Statement& statement : program_.body) role(std::get<Role>(statement.is));
  }

  // What holds at the statement at hand, while a role's body is walked in order.
  struct RingState {
    bool waited_full = false, waited_empty = false, released = false, used = false;
    bool touched = false;  ///< by loads and stores that no proxy fence has passed on
    int64_t expected = 0, filled = 0;
  };

  void role(const Role& role) {
    role_ = &role;
    rings_.assign(program_.rings.size(), {});
    settled_ = false;
    unfinished_ = 0;
    written_.clear();
    fenced_ = synced_ = split_left_ = false;
    bound_.clear();
    bind(role.group_range);
    body(role.body);
    int64_t registers = 0;
    for (int fragment : fragments_) registers += program_.fragments[static_cast<size_t>(fragment)].columns / 2;
    const int64_t most = role.registers != 0 ? role.registers : kRegisterFile / (int64_t{32} * program_.warps);
    if (split_left_) registers += 24;
    if (registers + 16 > most) fail("role " + role.name + ": fragments do not fit its registers");
    fragments_.clear();
  }

  void bind(int range) {
    if (range < 0) return;
    if (!bound_.insert(range).second) fail("range r" + std::to_string(range) + " is bound twice");
  }
  void check(ExprId id) {
    if (id == kNoExpr) return fail("an expression is missing");
    for (int range = 0; range < lower::kMaxRanges; ++range) {
      if ((program_.arena[id].ranges >> range & 1) && !bound_.contains(range)) {
        fail("range r" + std::to_string(range) + " is used where nothing binds it");
      }
    }
  }

  void body(const Body& statements) {
    for (const Statement& statement : statements) {
      std::visit([this](const auto& is) { visit(is); }, statement.is);
    }
  }

  void visit(const Role& role) { fail("role " + role.name + ": inside of another"); }
  void visit(const Thread& thread) {
    if (thread.warp < 0 || thread.warp >= role_->warps) fail("role " + role_->name + ": a thread of no warp of it");
    rings_.assign(program_.rings.size(), {});
    body(thread.body);
  }
  void visit(const Tiles& tiles) {
    for (int range : {tiles.batch_range, tiles.m_range, tiles.n_range, tiles.part_range}) bind(range);
    if (tiles.raster_rows < 1) fail("tiles: a raster of no rows");
    body(tiles.body);
    for (int range : {tiles.batch_range, tiles.m_range, tiles.n_range, tiles.part_range}) bound_.erase(range);
  }
  void visit(const For& loop) {
    if (loop.count < 1) fail("for r" + std::to_string(loop.range) + ": no turn");
    bind(loop.range);
    body(loop.body);
    bound_.erase(loop.range);
  }

  RingState& ring(int number) {
    RingState& state = rings_[static_cast<size_t>(number)];
    state.used = true;
    return state;
  }
  const std::string& ring_name(int number) const { return program_.rings[static_cast<size_t>(number)].name; }

  void visit(const Wait& wait) {
    (wait.side == Side::Full ? ring(wait.ring).waited_full : ring(wait.ring).waited_empty) = true;
  }
  void visit(const Expect& expect) {
    if (!ring(expect.ring).waited_empty) fail("ring " + ring_name(expect.ring) + ": filled before it is empty");
    ring(expect.ring).expected += expect.bytes;
  }
  void visit(const Fill& fill) {
    const Memory& memory = program_.memories[static_cast<size_t>(fill.memory)];
    const TensorMap& map = program_.maps[static_cast<size_t>(fill.map)];
    for (ExprId id : fill.coordinates) check(id);
    if (fill.coordinates.size() != map.extents.size()) fail("fill of " + memory.name + ": coordinates of another rank");
    if (memory.ring < 0) return fail("fill of " + memory.name + ": it belongs to no ring");
    RingState& state = ring(memory.ring);
    if (!state.waited_empty) fail("ring " + ring_name(memory.ring) + ": filled before it is empty");
    const int64_t pitch = memory.columns * graph::byte_size(memory.dtype);
    if (map.dtype != memory.dtype || map.swizzle != memory.swizzle || map.box[0] != memory.columns ||
        fill.row * pitch + map.box_bytes() > memory.slot_bytes() || fill.row % 8 != 0) {
      fail("fill of " + memory.name + ": the box does not fit");
    }
    state.filled += map.box_bytes();
  }
  void visit(const Release& release) {
    RingState& state = ring(release.ring);
    state.released = true;
    const Ring& of = program_.rings[static_cast<size_t>(release.ring)];
    if (of.consumer_warps != role_->warps) fail("ring " + of.name + ": emptied by another number of warps");
    if (release.lag >= of.stages) fail("ring " + of.name + ": a lag of all its stages never ends");
    if (state.touched) fail("ring " + of.name + ": released without a proxy fence after loads");
    if (unfinished_ > release.lag) fail("ring " + of.name + ": released before its products are done");
  }
  void visit(const Arrive& arrive) {
    RingState& state = ring(arrive.ring);
    const Ring& of = program_.rings[static_cast<size_t>(arrive.ring)];
    if (!state.waited_empty) fail("ring " + of.name + ": filled before it is empty");
    if (state.touched) fail("ring " + of.name + ": handed over without a proxy fence after stores");
    if (of.producer_warps != role_->warps) fail("ring " + of.name + ": filled by another number of warps");
  }
  // Threads load from a full stage, or store to an empty one.
  void touch(int memory, bool stores) {
    const Memory& of = program_.memories[static_cast<size_t>(memory)];
    if (of.ring < 0) return fail("memory " + of.name + ": belongs to no ring");
    RingState& state = ring(of.ring);
    if (!stores && !state.waited_full) fail("ring " + ring_name(of.ring) + ": read before it is full");
    if (stores && !state.waited_empty) fail("ring " + ring_name(of.ring) + ": filled before it is empty");
    state.touched = true;
  }
  void split_source(int memory) {
    const Memory& of = program_.memories[static_cast<size_t>(memory)];
    if (of.dtype != graph::DType::F32 || of.columns != kSplitDepth || of.slot_bytes() != 2 * kPlaneBytes) {
      fail("memory " + of.name + ": not 128 x 32 numbers that can be split");
    }
    touch(memory, false);
  }
  void visit(const SplitTile& split) {
    split_source(split.memory);
    if (role_->warps != 4) fail("role " + role_->name + ": not one warpgroup to split a tile");
    if (program_.memories[static_cast<size_t>(split.planes)].slot_bytes() != 3 * kPlaneBytes)
      fail("split: not three planes");
    touch(split.planes, true);
    touch(split.flags, true);
  }
  void visit(const SplitLeft& split) {
    split_source(split.memory);
    check(split.row);
    split_left_ = true;
  }
  void visit(const SixProducts& six) {
    use(six.fragment);
    if (!split_left_) fail("six products: nothing is split in registers");
    touch(six.flags, false);
  }
  void visit(const AddFragment& add) {
    use(add.to);
    use(add.from);
    settled_ = false;
  }
  void visit(const Advance& on) {
    RingState& state = ring(on.ring);
    if (state.expected != state.filled) fail("ring " + ring_name(on.ring) + ": expects other bytes than are filled");
    if (state.waited_full && !state.released) fail("ring " + ring_name(on.ring) + ": a stage is never released");
    if (!state.waited_full && !state.waited_empty) fail("ring " + ring_name(on.ring) + ": left without a wait");
    state = {};
  }

  void visit(const Zero& zero) {
    use(zero.fragment);
    settled_ = false;
  }
  void use(int fragment) {
    fragments_.insert(fragment);
    if (unfinished_ > 0) {
      fail("fragment " + program_.fragments[static_cast<size_t>(fragment)].name +
           ": used before its products are done");
    }
  }
  void operand(const Operand& operand) {
    const Memory& memory = program_.memories[static_cast<size_t>(operand.memory)];
    check(operand.row);
    check(operand.k);
    if (memory.ring >= 0 && !ring(memory.ring).waited_full) {
      fail("ring " + ring_name(memory.ring) + ": read before it is full");
    }
  }
  void visit(const Mma& mma) {
    operand(mma.left);
    operand(mma.right);
    if (!settled_) fail("products start before a fence");
    fragments_.insert(mma.fragment);
    unfinished_ = kOpen;
  }
  void visit(const MmaFence&) { settled_ = true; }
  void visit(const MmaCommit&) { unfinished_ = kOpen; }
  void visit(const MmaWait& wait) { unfinished_ = std::min(unfinished_, wait.groups); }
  void visit(const ProxyFence&) {
    fenced_ = true;
    for (RingState& state : rings_) state.touched = false;
  }
  void visit(const GroupSync&) { synced_ = fenced_; }

  void visit(const Elements& elements) {
    use(elements.fragment);
    check(elements.first);
    bind(elements.row_range);
    bind(elements.column_range);
    check(elements.value);
    if ((elements.memory >= 0) == (elements.argument >= 0)) fail("elements: not one place to store to");
    if (elements.memory >= 0) {
      const Memory& memory = program_.memories[static_cast<size_t>(elements.memory)];
      check(elements.slot);
      if (memory.rows < 64 || memory.columns < elements.count) fail("elements: do not fit " + memory.name);
      written_.insert(elements.memory);
      fenced_ = synced_ = false;
    } else {
      check(elements.index);
      check(elements.condition);
    }
    bound_.erase(elements.row_range);
    bound_.erase(elements.column_range);
  }
  void visit(const StoreTile& store) {
    const TensorMap& map = program_.maps[static_cast<size_t>(store.map)];
    check(store.slot);
    for (ExprId id : store.coordinates) check(id);
    if (store.coordinates.size() != map.extents.size()) fail("store: coordinates of another rank");
    if (map.box_bytes() > program_.memories[static_cast<size_t>(store.memory)].slot_bytes()) {
      fail("store: the box does not fit");
    }
    if (written_.contains(store.memory) && !(fenced_ && synced_)) {
      fail("memory " + program_.memories[static_cast<size_t>(store.memory)].name +
           ": stored without a proxy fence and then a barrier");
    }
  }
  void visit(const StoreWait&) {}
  void visit(const JoinParts& parts) {
    use(parts.fragment);
    check(parts.part);
    check(parts.tile);
    settled_ = false;
    body(parts.body);
  }

  static constexpr int kOpen = 1 << 20;  ///< products that no MmaWait bounds yet

  const Program& program_;
  std::string failure_;
  const Role* role_ = nullptr;
  std::vector<RingState> rings_;
  std::set<int> bound_, fragments_, written_;
  bool settled_ = false, fenced_ = false, synced_ = false, split_left_ = false;
  int unfinished_ = 0;
};

}  // namespace

std::string verify(const Program& program) {
  return Verify(program).run();
}

}  // namespace quarry::tile
