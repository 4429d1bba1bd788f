// The interpreter. Each role's statements are laid out as a list of steps; each warp is a machine over that list that
// stops where it must wait. One warp at a time takes a few steps, in an order that the seed chooses, and fills land
// between them.
#include "engine/tile/interpret.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <deque>
#include <memory>
#include <random>

#include "engine/graph/number.h"
#include "engine/tile/evaluate.h"
#include "engine/tile/machine.h"

namespace quarry::tile {

namespace {

class Block {
 public:
  Block(const Program& program, std::span<const std::span<std::byte>> arguments, const Interpretation& options,
        int64_t block, Joined& joined)
      : program_(program),
        arguments_(arguments),
        options_(options),
        block_(block),
        joined_(joined),
        layout_(shared_layout(program)),
        actors_(program.warps, barrier_count(program)),
        shared_(actors_, layout_.bytes),
        random_(options.seed * 1000003 + static_cast<uint64_t>(block)) {
    make_barriers();
    for (const Statement& statement : program.body) make_warps(std::get<Role>(statement.is));
  }

  std::string run() {
    while (failure_.empty()) {
      bool moved = false;
      std::vector<size_t> order(warps_.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::ranges::shuffle(order, random_);
      for (size_t i : order) {
        for (uint64_t left = 1 + random_() % 12; left > 0 && failure_.empty() && !warps_[i].done(); --left) {
          if (!step(warps_[i], static_cast<int>(i))) break;
          moved = true;
        }
      }
      if (!pending_.empty() && (!moved || random_() % 2)) {
        land(random_() % pending_.size());
        moved = true;
      }
      if (moved) continue;
      if (std::ranges::all_of(warps_, &Warp::done)) break;
      fail("a wait never ends: " + waiting());
    }
    return failure_;
  }

 private:
  static int barrier_count(const Program& program) {
    int count = 0;
    for (const Ring& ring : program.rings) count += 2 * ring.stages;
    return count;
  }

  void make_barriers() {
    const Clock nothing(static_cast<size_t>(actors_.count()));
    for (const Ring& ring : program_.rings) {
      first_barrier_.push_back(static_cast<int>(barriers_.size()));
      for (int stage = 0; stage < ring.stages; ++stage) {
        const int producers = std::max(1, ring.producer_warps);
        barriers_.push_back({producers, producers, 0, 0, nothing, nothing});
        barriers_.push_back({ring.consumer_warps, ring.consumer_warps, 0, 0, nothing, nothing});
      }
    }
    for (int group = 0; group < program_.warps / 4; ++group) syncs_.push_back({4, 4, 0, 0, nothing, nothing});
    joined_last_.resize(syncs_.size());
  }

  void make_warps(const Role& role) {
    for (int w = 0; w < role.warps; ++w) {
      Warp warp;
      warp.role = &role;
      lay_out(role.body, w, warp.steps);
      warp.group = w / 4;
      warp.ranges.resize(program_.extents.size());
      if (role.group_range >= 0) warp.ranges[static_cast<size_t>(role.group_range)] = warp.group;
      warp.stage.resize(program_.rings.size());
      warp.turn.resize(program_.rings.size());
      for (const Fragment& fragment : program_.fragments) {
        // 64 x columns over 128 threads
        warp.fragments.push_back({std::vector<float>(static_cast<size_t>(fragment.columns / 2 * kLanes))});
      }
      warp.clock.resize(static_cast<size_t>(actors_.count()));
      warps_.push_back(std::move(warp));
    }
  }

  void fail(const std::string& text) {
    if (failure_.empty()) failure_ = text;
  }
  std::string waiting() const {
    std::string text;
    for (size_t i = 0; i < warps_.size(); ++i) {
      if (!warps_[i].done()) text += " warp " + std::to_string(i) + " at step " + std::to_string(warps_[i].at);
    }
    return text;
  }

  Point point(const Warp& warp) { return {warp.ranges, 0, arguments_, &program_.arguments, &failure_}; }
  int64_t index(const Warp& warp, ExprId id) { return evaluate_index(program_.arena, id, point(warp)); }

  // False if the warp must wait.
  bool step(Warp& warp, int number) {
    const Step& next = warp.steps[warp.at];
    bool go = true;
    std::visit([&](const auto& is) { go = take(warp, number, next, is); }, next.statement->is);
    return go;
  }
  bool advance(Warp& warp) {
    ++warp.at;
    return true;
  }

  bool take(Warp&, int, const Step&, const Role&) { return true; }
  bool take(Warp&, int, const Step&, const Thread&) { return true; }

  bool take(Warp& warp, int, const Step& next, const Tiles& tiles) {
    const int64_t total = tiles.batches * tiles.m * tiles.n * tiles.parts;
    if (next.what == Step::What::Open) {
      warp.tiles.push_back(block_);
    } else {
      warp.tiles.back() += options_.blocks;
    }
    if (warp.tiles.back() >= total) {
      warp.tiles.pop_back();
      warp.at = next.what == Step::What::Open ? next.jump : warp.at + 1;
      return true;
    }
    const TileAt at = tile_at(tiles, warp.tiles.back());
    warp.ranges[static_cast<size_t>(tiles.batch_range)] = at.batch;
    warp.ranges[static_cast<size_t>(tiles.m_range)] = at.m;
    warp.ranges[static_cast<size_t>(tiles.n_range)] = at.n;
    warp.ranges[static_cast<size_t>(tiles.part_range)] = at.part;
    warp.at = (next.what == Step::What::Open ? warp.at : next.jump) + 1;
    return true;
  }

  bool take(Warp& warp, int, const Step& next, const For& loop) {
    int64_t& value = warp.ranges[static_cast<size_t>(loop.range)];
    if (next.what == Step::What::Open) {
      value = 0;
      warp.at = loop.count > 0 ? warp.at + 1 : next.jump;
    } else {
      warp.at = ++value < loop.count ? next.jump + 1 : warp.at + 1;
    }
    return true;
  }

  Barrier& barrier(int ring, int stage, Side side) {
    return barriers_[static_cast<size_t>(barrier_number(ring, stage, side))];
  }
  int barrier_number(int ring, int stage, Side side) const {
    return first_barrier_[static_cast<size_t>(ring)] + 2 * stage + (side == Side::Empty);
  }

  bool take(Warp& warp, int, const Step&, const Wait& wait) {
    const auto ring = static_cast<size_t>(wait.ring);
    const Barrier& at = barrier(wait.ring, warp.stage[ring], wait.side);
    const uint32_t parity = (warp.turn[ring] & 1) ^ (wait.side == Side::Empty);
    if ((at.phase & 1) == parity) return false;
    join(warp.clock, at.published);
    return advance(warp);
  }

  bool take(Warp& warp, int, const Step&, const Expect& expect) {
    Barrier& at = barrier(expect.ring, warp.stage[static_cast<size_t>(expect.ring)], Side::Full);
    at.bytes += expect.bytes;
    join(at.gathering, warp.clock);
    --at.pending;
    at.complete_if_done();
    return advance(warp);
  }

  bool take(Warp& warp, int, const Step&, const Fill& fill) {
    const Memory& memory = program_.memories[static_cast<size_t>(fill.memory)];
    const TensorMap& map = program_.maps[static_cast<size_t>(fill.map)];
    const int stage = warp.stage[static_cast<size_t>(memory.ring)];
    const int number = barrier_number(memory.ring, stage, Side::Full);
    Pending copy{false, fill.map, {}, 0, number, -1, 0};
    for (ExprId coordinate : fill.coordinates) copy.at.push_back(index(warp, coordinate));
    copy.address = layout_.memories[static_cast<size_t>(fill.memory)] + stage * memory.slot_bytes() +
                   fill.row * memory.columns * graph::byte_size(memory.dtype);
    const Access access{actors_.fills(number), barriers_[static_cast<size_t>(number)].phase + 1};
    fail_if(shared_.write(access, warp.clock, copy.address, map.box_bytes()), memory.name);
    std::memset(shared_.bytes() + copy.address, 0xff, static_cast<size_t>(map.box_bytes()));
    pending_.push_back(std::move(copy));
    return advance(warp);
  }

  bool take(Warp& warp, int, const Step&, const Release& release) {
    if (release.unless_first >= 0 && warp.ranges[static_cast<size_t>(release.unless_first)] == 0) return advance(warp);
    const int stages = program_.rings[static_cast<size_t>(release.ring)].stages;
    const int stage = (warp.stage[static_cast<size_t>(release.ring)] + stages - release.lag) % stages;
    Barrier& at = barrier(release.ring, stage, Side::Empty);
    join(at.gathering, warp.clock);
    --at.pending;
    if (at.pending < 0)
      fail("a stage of " + program_.rings[static_cast<size_t>(release.ring)].name + " is released twice");
    at.complete_if_done();
    return advance(warp);
  }

  bool take(Warp& warp, int, const Step&, const Arrive& arrive) {
    Barrier& at = barrier(arrive.ring, warp.stage[static_cast<size_t>(arrive.ring)], Side::Full);
    join(at.gathering, warp.clock);
    --at.pending;
    at.complete_if_done();
    return advance(warp);
  }

  bool take(Warp& warp, int, const Step&, const Advance& on) {
    const auto ring = static_cast<size_t>(on.ring);
    if (++warp.stage[ring] == program_.rings[ring].stages) {
      warp.stage[ring] = 0;
      ++warp.turn[ring];
    }
    return advance(warp);
  }

  // The registers of a fragment as this warp may use them now.
  FragmentState& registers(Warp& warp, int number, int fragment) {
    FragmentState& state = warp.fragments[static_cast<size_t>(fragment)];
    if (warp.clock[static_cast<size_t>(actors_.matrix(number))] < state.busy) {
      fail("fragment " + program_.fragments[static_cast<size_t>(fragment)].name +
           " is used before its products are done");
    }
    return state;
  }

  bool take(Warp& warp, int number, const Step&, const Zero& zero) {
    FragmentState& state = registers(warp, number, zero.fragment);
    std::ranges::fill(state.values, 0.0f);
    state.settled = false;
    return advance(warp);
  }
  bool take(Warp& warp, int, const Step&, const MmaFence&) {
    for (FragmentState& state : warp.fragments) state.settled = true;
    return advance(warp);
  }
  bool take(Warp& warp, int, const Step&, const MmaCommit&) {
    ++warp.groups;
    return advance(warp);
  }
  bool take(Warp& warp, int number, const Step&, const MmaWait& wait) {
    const auto waited = static_cast<uint32_t>(wait.groups);
    uint32_t& known = warp.clock[static_cast<size_t>(actors_.matrix(number))];
    known = std::max(known, warp.groups - std::min(warp.groups, waited));
    return advance(warp);
  }
  bool take(Warp& warp, int number, const Step&, const ProxyFence&) {
    warp.clock[static_cast<size_t>(actors_.fenced(number))] = warp.clock[static_cast<size_t>(actors_.warp(number))];
    return advance(warp);
  }

  // As a matrix unit reads it: 16 bits each, by the descriptor's strides, the swizzle last.
  std::vector<Factor> operand(Warp& warp, int number, const Operand& from, int64_t first, int64_t count,
                              const MatrixRow& row) {
    const Memory& memory = program_.memories[static_cast<size_t>(from.memory)];
    const int slot = memory.ring >= 0 ? warp.stage[static_cast<size_t>(memory.ring)] : 0;
    const int64_t base = layout_.memories[static_cast<size_t>(from.memory)] + slot * memory.slot_bytes();
    const int64_t at = index(warp, from.row) + first, k0 = index(warp, from.k) * row.k;
    const int64_t pitch = memory.columns * 2;
    const Access access{actors_.matrix(number), warp.groups + 1};
    std::vector<Factor> factors(static_cast<size_t>(count * row.k));
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < row.k; ++k) {
        const int64_t plain = from.transposed ? ((at + i) / 64 * 64 + k0 + k) * pitch + (at + i) % 64 * 2
                                              : (at + i) * pitch + (k0 + k) * 2;
        const int64_t address = swizzled(memory.swizzle, static_cast<uint32_t>(base + plain));
        if (address % 16 == 0 || k == 0) fail_if(shared_.read(access, warp.clock, address, 2), memory.name);
        uint16_t bits;
        std::memcpy(&bits, shared_.bytes() + address, sizeof bits);
        factors[static_cast<size_t>(i * row.k + k)] = factor(row.in, bits);
      }
    }
    return factors;
  }

  bool take(Warp& warp, int number, const Step&, const Mma& mma) {
    const Fragment& fragment = program_.fragments[static_cast<size_t>(mma.fragment)];
    const MatrixRow& row = matrix_rows()[static_cast<size_t>(fragment.row)];
    FragmentState& state = warp.fragments[static_cast<size_t>(mma.fragment)];
    if (!state.settled) fail("products start before a fence has settled fragment " + fragment.name);
    const int64_t first = number % 4 * 16;  // a warp holds 16 of the warpgroup's 64 rows
    const std::vector<Factor> left = operand(warp, number, mma.left, first, 16, row);
    const std::vector<Factor> right = operand(warp, number, mma.right, 0, fragment.columns, row);
    const auto depth = static_cast<size_t>(row.k);
    for (int64_t i = 0; i < 16; ++i) {
      for (int64_t j = 0; j < fragment.columns; ++j) {
        const Place place = place_of(row.c, first + i, j);
        float& c = state.values[static_cast<size_t>(place.reg * kLanes + place.lane)];
        c = aligned_sum(row.in, c, std::span(left).subspan(static_cast<size_t>(i) * depth, depth),
                        std::span(right).subspan(static_cast<size_t>(j) * depth, depth));
      }
    }
    state.busy = warp.groups + 1;
    return advance(warp);
  }

  int64_t slot_address(const Warp& warp, int memory) const {
    const Memory& of = program_.memories[static_cast<size_t>(memory)];
    const int slot = of.ring >= 0 ? warp.stage[static_cast<size_t>(of.ring)] : 0;
    return layout_.memories[static_cast<size_t>(memory)] + slot * of.slot_bytes();
  }
  Access touch(Warp& warp, int number) {
    const Access access{actors_.warp(number), ++warp.accesses};
    warp.clock[static_cast<size_t>(access.actor)] = access.time;
    return access;
  }

  // Number k of a row of a tile that is to be split.
  float raw(Warp& warp, Access access, int memory, bool transposed, int64_t row, int64_t k) {
    const Memory& of = program_.memories[static_cast<size_t>(memory)];
    const int64_t plain = transposed ? (row / 32 * 32 + k) * 128 + row % 32 * 4 : row * 128 + k * 4;
    const int64_t address = swizzled(of.swizzle, static_cast<uint32_t>(slot_address(warp, memory) + plain));
    fail_if(shared_.read(access, warp.clock, address, 4), of.name);
    float value;
    std::memcpy(&value, shared_.bytes() + address, sizeof value);
    return value;
  }

  bool take(Warp& warp, int number, const Step&, const SplitTile& split) {
    const Access access = touch(warp, number);
    const Memory& planes = program_.memories[static_cast<size_t>(split.planes)];
    uint32_t infinite = 0;
    for (int64_t row = number % 4 * kLanes; row < number % 4 * kLanes + kLanes; ++row) {
      for (int64_t k = 0; k < kSplitDepth; ++k) {
        const Parts parts = split_bf16(raw(warp, access, split.memory, split.transposed, row, k));
        infinite |= !parts.finite();
        for (size_t part = 0; part < 3; ++part) {
          const int64_t plain = static_cast<int64_t>(part) * kPlaneBytes + row * 64 + k * 2;
          const int64_t address =
              swizzled(planes.swizzle, static_cast<uint32_t>(slot_address(warp, split.planes) + plain));
          fail_if(shared_.write(access, warp.clock, address, 2), planes.name);
          std::memcpy(shared_.bytes() + address, &parts.bits[part], 2);
        }
      }
    }
    const int64_t flag = slot_address(warp, split.flags) + number % 4 * kFlagBytes;
    fail_if(shared_.write(access, warp.clock, flag, 4), "flags");
    std::memcpy(shared_.bytes() + flag, &infinite, 4);
    return advance(warp);
  }

  bool take(Warp& warp, int number, const Step&, const SplitLeft& split) {
    const Access access = touch(warp, number);
    const int64_t first = index(warp, split.row) + number % 4 * 16;
    warp.left.assign(static_cast<size_t>(3 * 16 * kSplitDepth), {});
    warp.left_infinite = false;
    for (int64_t row = 0; row < 16; ++row) {
      for (int64_t k = 0; k < kSplitDepth; ++k) {
        const Parts parts = split_bf16(raw(warp, access, split.memory, split.transposed, first + row, k));
        warp.left_infinite |= !parts.finite();
        for (size_t part = 0; part < 3; ++part) {
          warp.left[(part * 16 + static_cast<size_t>(row)) * kSplitDepth + static_cast<size_t>(k)] =
              factor(graph::DType::BF16, parts.bits[part]);
        }
      }
    }
    return advance(warp);
  }

  bool take(Warp& warp, int number, const Step&, const SixProducts& six) {
    const int64_t columns = program_.fragments[static_cast<size_t>(six.fragment)].columns;
    const Memory& planes = program_.memories[static_cast<size_t>(six.planes)];
    FragmentState& state = registers(warp, number, six.fragment);
    std::vector<Factor> right(static_cast<size_t>(3 * columns * kSplitDepth));
    for (int64_t i = 0; i < static_cast<int64_t>(right.size()); ++i) {
      const int64_t part = i / (columns * kSplitDepth), rest = i % (columns * kSplitDepth);
      const int64_t plain = part * kPlaneBytes + rest / kSplitDepth * 64 + rest % kSplitDepth * 2;
      const int64_t address = swizzled(planes.swizzle, static_cast<uint32_t>(slot_address(warp, six.planes) + plain));
      fail_if(shared_.read({actors_.matrix(number), warp.groups + 1}, warp.clock, address, 2), planes.name);
      uint16_t bits;
      std::memcpy(&bits, shared_.bytes() + address, 2);
      right[static_cast<size_t>(i)] = factor(graph::DType::BF16, bits);
    }
    const Access access = touch(warp, number);
    const int64_t flag = slot_address(warp, six.flags);
    fail_if(shared_.read(access, warp.clock, flag, 4 * kFlagBytes), "flags");
    bool infinite = warp.left_infinite;
    for (int64_t w = 0; w < 4; ++w) infinite |= shared_.bytes()[flag + w * kFlagBytes] != 0;
    const MatrixRow& row =
        matrix_rows()[static_cast<size_t>(program_.fragments[static_cast<size_t>(six.fragment)].row)];
    for (int64_t i = 0; i < 16; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        const Place place = place_of(row.c, number % 4 * 16 + i, j);
        state.values[static_cast<size_t>(place.reg * kLanes + place.lane)] =
            six_products(std::span(warp.left).subspan(static_cast<size_t>(i * kSplitDepth)), 16 * kSplitDepth,
                         std::span(right).subspan(static_cast<size_t>(j * kSplitDepth)),
                         static_cast<size_t>(columns * kSplitDepth), infinite);
      }
    }
    ++warp.groups;
    warp.clock[static_cast<size_t>(actors_.matrix(number))] = warp.groups;
    return advance(warp);
  }

  bool take(Warp& warp, int number, const Step&, const AddFragment& add) {
    FragmentState &to = registers(warp, number, add.to), &from = registers(warp, number, add.from);
    for (size_t i = 0; i < to.values.size(); ++i) to.values[i] += from.values[i];
    to.settled = false;
    return advance(warp);
  }

  // Waits until all warps of the group are here; then each knows what all knew.
  bool meet(Warp& warp, int number) {
    Barrier& at = syncs_[static_cast<size_t>(number / 4)];
    if (!warp.arrived) {
      warp.arrived = true;
      warp.sync_phase = at.phase;
      join(at.gathering, warp.clock);
      --at.pending;
      at.complete_if_done();
    }
    if (at.phase == warp.sync_phase) return false;
    join(warp.clock, at.published);
    warp.arrived = false;
    return true;
  }
  bool take(Warp& warp, int number, const Step&, const GroupSync&) { return meet(warp, number) && advance(warp); }

  bool take(Warp& warp, int number, const Step&, const Elements& elements) {
    const Fragment& fragment = program_.fragments[static_cast<size_t>(elements.fragment)];
    const MatrixRow& row = matrix_rows()[static_cast<size_t>(fragment.row)];
    const FragmentState& state = registers(warp, number, elements.fragment);
    const int64_t first = index(warp, elements.first);
    for (size_t i = 0; i < state.values.size(); ++i) {
      const Place place{number % 4, static_cast<int>(i % kLanes), static_cast<int>(i / kLanes)};
      const Element at = element_at(row.c, place);
      if (at.column < first || at.column >= first + elements.count) continue;
      warp.ranges[static_cast<size_t>(elements.row_range)] = at.row;
      warp.ranges[static_cast<size_t>(elements.column_range)] = at.column - first;
      store_element(warp, number, elements, state.values[i]);
    }
    return advance(warp);
  }

  void store_element(Warp& warp, int number, const Elements& elements, float accumulator) {
    Point at = point(warp);
    at.accumulator = std::bit_cast<uint32_t>(accumulator);
    if (elements.memory >= 0) {
      const Memory& memory = program_.memories[static_cast<size_t>(elements.memory)];
      const int64_t size = graph::byte_size(memory.dtype);
      const int64_t plain = warp.ranges[static_cast<size_t>(elements.row_range)] * memory.columns +
                            warp.ranges[static_cast<size_t>(elements.column_range)];
      const int64_t base =
          layout_.memories[static_cast<size_t>(elements.memory)] + index(warp, elements.slot) * memory.slot_bytes();
      const int64_t address = swizzled(memory.swizzle, static_cast<uint32_t>(base + plain * size));
      const Access access{actors_.warp(number), ++warp.accesses};
      warp.clock[static_cast<size_t>(access.actor)] = access.time;
      fail_if(shared_.write(access, warp.clock, address, size), memory.name);
      const uint64_t bits = evaluate_value(program_.arena, elements.value, at);
      std::memcpy(shared_.bytes() + address, &bits, static_cast<size_t>(size));
      return;
    }
    if (!evaluate_condition(program_.arena, elements.condition, at)) return;
    const Argument& argument = program_.arguments[static_cast<size_t>(elements.argument)];
    const int64_t to = index(warp, elements.index);
    if (to < 0 || to >= argument.elements) return fail("a store outside of " + argument.name);
    store_bits(argument.dtype, arguments_[static_cast<size_t>(elements.argument)].data(), to,
               evaluate_value(program_.arena, elements.value, at));
  }

  bool take(Warp& warp, int number, const Step&, const StoreTile& store) {
    if (number % 4 != 0) return advance(warp);  // one thread of the warpgroup
    const Memory& memory = program_.memories[static_cast<size_t>(store.memory)];
    const TensorMap& map = program_.maps[static_cast<size_t>(store.map)];
    Pending copy{true, store.map, {}, 0, -1, number, ++warp.bulk};
    for (ExprId coordinate : store.coordinates) copy.at.push_back(index(warp, coordinate));
    copy.address = layout_.memories[static_cast<size_t>(store.memory)] + index(warp, store.slot) * memory.slot_bytes();
    fail_if(shared_.read({actors_.bulk(number), warp.bulk}, warp.clock, copy.address, map.box_bytes()), memory.name);
    pending_.push_back(std::move(copy));
    return advance(warp);
  }

  bool take(Warp& warp, int number, const Step&, const StoreWait& wait) {
    if (number % 4 != 0) return advance(warp);
    const uint32_t known = warp.bulk - std::min(warp.bulk, static_cast<uint32_t>(wait.groups));
    for (size_t i = 0; i < pending_.size();) {
      if (pending_[i].store && pending_[i].warp == number && pending_[i].number <= known) {
        land(i);
      } else {
        ++i;
      }
    }
    uint32_t& clock = warp.clock[static_cast<size_t>(actors_.bulk(number))];
    clock = std::max(clock, known);
    return advance(warp);
  }

  bool take(Warp& warp, int number, const Step& next, const JoinParts& parts) {
    if (next.what == Step::What::Close) return advance(warp);
    const size_t group = static_cast<size_t>(number / 4);
    const int64_t tile = index(warp, parts.tile),
                  columns = program_.fragments[static_cast<size_t>(parts.fragment)].columns;
    if (next.what == Step::What::Arrive) {
      const FragmentState& state = registers(warp, number, parts.fragment);
      if (!warp.arrived) {
        const int64_t part = index(warp, parts.part);
        std::ranges::copy(state.values, joined_.values.begin() + part_offset(parts, tile, part, columns, number));
      }
      if (!meet(warp, number)) return false;
      count(group, warp.sync_phase, parts, tile);
      return advance(warp);
    }
    if (!joined_last_[group].last) {
      warp.at = next.jump;
      return true;
    }
    FragmentState& state = registers(warp, number, parts.fragment);
    for (size_t i = 0; i < state.values.size(); ++i) {
      float sum = 0;
      for (int64_t part = 0; part < parts.parts; ++part) {
        sum += joined_.values[static_cast<size_t>(part_offset(parts, tile, part, columns, number)) + i];
      }
      state.values[i] = sum;
    }
    state.settled = false;
    return advance(warp);
  }

  // The first warp of the group that gets here counts for all of them.
  void count(size_t group, uint32_t phase, const JoinParts& parts, int64_t tile) {
    Last& last = joined_last_[group];
    if (last.counted && last.phase == phase) return;
    uint32_t& counter = joined_.counters[static_cast<size_t>(tile)];
    last = {true, phase, ++counter == parts.parts};
    if (last.last) counter = 0;
  }
  int64_t part_offset(const JoinParts& parts, int64_t tile, int64_t part, int64_t columns, int number) const {
    return ((tile * parts.parts + part) * 4 + number % 4) * 16 * columns;
  }

  // Carries out a copy of the TMA engine.
  void land(size_t which) {
    const Pending copy = std::move(pending_[which]);
    pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(which));
    const TensorMap& map = program_.maps[static_cast<size_t>(copy.map)];
    copy_box(map, copy, arguments_[static_cast<size_t>(map.argument)].data(), shared_.bytes());
    if (copy.store) return;
    Barrier& full = barriers_[static_cast<size_t>(copy.barrier)];
    full.gathering[static_cast<size_t>(actors_.fills(copy.barrier))] = full.phase + 1;
    full.bytes -= map.box_bytes();
    full.complete_if_done();
  }

  void fail_if(const std::string& text, const std::string& memory) {
    if (!text.empty()) fail(memory + ": " + text);
  }

  struct Last {
    bool counted = false;
    uint32_t phase = 0;
    bool last = false;
  };

  const Program& program_;
  std::span<const std::span<std::byte>> arguments_;
  const Interpretation& options_;
  int64_t block_;
  Joined& joined_;
  SharedLayout layout_;
  Actors actors_;
  SharedMemory shared_;
  std::mt19937_64 random_;
  std::vector<Barrier> barriers_, syncs_;
  std::vector<int> first_barrier_;
  std::vector<Last> joined_last_;
  std::vector<Warp> warps_;
  std::deque<Pending> pending_;
  std::string failure_;
};

}  // namespace

std::string interpret(const Program& program, std::span<const std::span<std::byte>> arguments,
                      const Interpretation& options) {
  Joined joined;
  const Workspace space = workspace(program);
  joined.values.resize(static_cast<size_t>(space.bytes) / sizeof(float));
  joined.counters.resize(static_cast<size_t>(space.counter_bytes) / sizeof(uint32_t));
  std::vector<int64_t> order(static_cast<size_t>(options.blocks));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::mt19937_64 random(options.seed);
  std::ranges::shuffle(order, random);
  for (int64_t block : order) {
    if (std::string failure = Block(program, arguments, options, block, joined).run(); !failure.empty()) {
      return "block " + std::to_string(block) + ": " + failure;
    }
  }
  if (std::ranges::any_of(joined.counters, [](uint32_t counter) { return counter != 0; })) {
    return "a counter of the workspace is not 0 after the launch";
  }
  return {};
}

}  // namespace quarry::tile
