// What verify() and the interpreter say about programs with one thing wrong. The program is the contraction template's.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <set>
#include <tuple>

#include "engine/graph/number.h"
#include "engine/templates/contraction.h"
#include "engine/tile/evaluate.h"
#include "engine/tile/interpret.h"
#include "engine/tile/race.h"

namespace quarry::tile {
namespace {

using graph::DType;
using Change = std::function<bool(Statement&)>;  ///< true: drop the statement

void edit(Body& body, const Change& change) {
  for (size_t i = 0; i < body.size();) {
    if (change(body[i])) {
      body.erase(body.begin() + static_cast<ptrdiff_t>(i));
      continue;
    }
    std::visit(
        [&](auto& is) {
          if constexpr (requires { is.body; }) edit(is.body, change);
        },
        body[i].is);
    ++i;
  }
}

template <class Kind>
Change drop(std::function<bool(const Kind&)> which = [](const Kind&) { return true; }) {
  return [which](Statement& statement) {
    const auto* is = std::get_if<Kind>(&statement.is);
    return is && which(*is);
  };
}
// Drops the second, fourth, .. of a kind.
template <class Kind>
Change drop_every_other() {
  return [number = std::make_shared<int>(0)](Statement& statement) {
    return std::holds_alternative<Kind>(statement.is) && ++*number % 2 == 0;
  };
}

Program program() {
  templates::ContractionProblem problem{.operand = DType::BF16, .result = DType::BF16, .m = 192, .n = 128, .k = 512};
  problem.left = {1, 0, 512, 1, {}, 192 * 512};
  problem.right = {2, 0, 512, 1, {}, 128 * 512};
  problem.m_stride = 128;
  problem.n_stride = 1;
  problem.result_elements = 192 * 128;
  return *templates::contraction(problem, {.block_m = 64, .block_n = 128, .stages = 2});
}

std::string run(const Program& program, uint64_t seed = 1) {
  std::vector<std::vector<std::byte>> buffers;
  for (const Argument& argument : program.arguments) {
    buffers.emplace_back(static_cast<size_t>(argument.elements * graph::byte_size(argument.dtype)));
  }
  const std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
  return interpret(program, spans, {1, seed});
}

struct Wrong {
  const char* what;
  Change change;
  const char* verify_says;                  ///< nullptr: verify() cannot see it
  std::vector<const char*> interpret_says;  ///< one of them, as the order of events has it
};

std::vector<Wrong> wrongs() {
  return {
      {"a stage is read without a wait",
       drop<Wait>([](const Wait& wait) { return wait.side == Side::Full; }),
       "read before it is full",
       {"without having waited for a fill", "that nobody wrote"}},
      {"a stage is filled without a wait",
       drop<Wait>([](const Wait& wait) { return wait.side == Side::Empty; }),
       "filled before it is empty",
       {"without having waited", "a wait never ends"}},
      {"a stage is released while its products run",
       [](Statement& statement) {
         if (auto* release = std::get_if<Release>(&statement.is)) *release = {release->ring, 0, -1};
         return false;
       },
       "released before its products are done",
       {"may still be reading"}},
      {"a stage is never released", drop<Release>(), "never released", {"a wait never ends"}},
      {"a stage expects other bytes than are filled",
       [](Statement& statement) {
         if (auto* expect = std::get_if<Expect>(&statement.is)) expect->bytes += 16;
         return false;
       },
       "expects other bytes",
       {"a wait never ends"}},
      {"products start before the accumulators are settled", drop<MmaFence>(), "before a fence", {"before a fence"}},
      {"accumulators are used while products run",
       drop<MmaWait>([](const MmaWait& wait) { return wait.groups == 0; }),
       "products are done",
       {"before its products are done", "may still be reading"}},
      {"a tile is stored without a proxy fence",
       drop<ProxyFence>(),
       "without a proxy fence",
       {"without having waited for a load or store"}},
      {"a tile is stored before all threads have written it",
       drop_every_other<GroupSync>(),
       "without a proxy fence and then a barrier",
       {"without having waited for a load or store", "that nobody wrote"}},
      {"a tile is written while its last store still reads it", drop<StoreWait>(), nullptr, {"may still be reading"}},
  };
}

}  // namespace

TEST_CASE("the program that is changed below is right as it is") {
  CHECK(verify(program()) == "");
  for (uint64_t seed = 1; seed <= 5; ++seed) CHECK(run(program(), seed) == "");
}

TEST_CASE("verify and the interpreter each refuse what is wrong, whatever the order of events") {
  for (const Wrong& wrong : wrongs()) {
    INFO(wrong.what);
    Program changed = program();
    edit(changed.body, wrong.change);
    if (wrong.verify_says) CHECK_THAT(verify(changed), Catch::Contains(wrong.verify_says));
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const std::string said = run(changed, seed);
      INFO("the interpreter says: " << said);
      CHECK(std::ranges::any_of(wrong.interpret_says,
                                [&](const char* expected) { return said.find(expected) != said.npos; }));
    }
  }
}

TEST_CASE("verify refuses programs that a device could not run") {
  const auto says = [](auto change, const char* expected) {
    Program changed = program();
    change(changed);
    INFO(expected);
    CHECK_THAT(verify(changed), Catch::Contains(expected));
  };
  says([](Program& p) { p.memories[0].slots = p.memories[1].slots = p.rings[0].stages = 16; }, "more than a block has");
  says([](Program& p) { p.memories[0].columns = 32; }, "as wide as its swizzle");
  says([](Program& p) { p.memories[0].slots = 1; }, "one slot for each stage");
  says([](Program& p) { p.maps[0].strides[1] = 511; }, "multiple of 16 bytes");
  says([](Program& p) { p.maps[0].offset = 4; }, "does not start at a multiple of 16 bytes");
  says([](Program& p) { p.maps[0].strides[0] = 2; }, "not contiguous");
  says([](Program& p) { p.maps[0].box[1] = 512; }, "more than 256");
  says([](Program& p) { p.maps[0].box[0] = 32; }, "as wide as its swizzle");
  says([](Program& p) { p.maps[0].extents = {64}; }, "2 to 5 axes");
  says([](Program& p) { p.fragments[0].columns = 12; }, "multiple of 8");
  says([](Program& p) { p.warps = 12; }, "a warp has no role");
  says([](Program& p) { std::get<Role>(p.body[1].is).registers = 248; }, "setmaxnreg does not take");
  says([](Program& p) { std::get<Role>(p.body[1].is).registers = 64; }, "do not fit its registers");
  says([](Program& p) { std::get<Role>(p.body[0].is).first_warp = 2; }, "not whole warpgroups");
  says([](Program& p) { p.rings[0].consumer_warps = 8; }, "another number of warps");
  says([](Program& p) { p.body.push_back({Zero{0}}); }, "outside of all roles");
  says(
      [](Program& p) {
        edit(p.body, [&](Statement& statement) {
          if (auto* fill = std::get_if<Fill>(&statement.is)) fill->coordinates[0] = p.range(p.new_range(7));
          return false;
        });
      },
      "where nothing binds it");
  says(
      [](Program& p) {
        edit(p.body, [&](Statement& statement) {
          if (auto* fill = std::get_if<Fill>(&statement.is)) fill->row = 8;
          return false;
        });
      },
      "the box does not fit");
}

TEST_CASE("a stage that threads read is free for the TMA engine only behind a proxy fence") {
  const Actors actors(8, 2);
  const Access fill{actors.fills(0), 1}, refill{actors.fills(0), 2};
  for (bool fenced : {false, true}) {
    SharedMemory shared(actors, 1024);
    Clock producer(static_cast<size_t>(actors.count())), consumer = producer;
    REQUIRE(shared.write(fill, producer, 0, 1024) == "");
    CHECK_THAT(shared.read({actors.warp(4), 1}, consumer, 0, 16), Catch::Contains("without having waited for a fill"));
    consumer[static_cast<size_t>(actors.fills(0))] = 1;  // a Wait
    consumer[static_cast<size_t>(actors.warp(4))] = 1;
    REQUIRE(shared.read({actors.warp(4), 1}, consumer, 0, 16) == "");
    if (fenced) consumer[static_cast<size_t>(actors.fenced(4))] = 1;
    join(producer, consumer);  // a Release and the producer's Wait
    CHECK((shared.write(refill, producer, 0, 1024) == "") == fenced);
  }
}

TEST_CASE("shared memory that nobody wrote is poison") {
  const Actors actors(4, 1);
  SharedMemory shared(actors, 256);
  const Clock clock(static_cast<size_t>(actors.count()));
  CHECK_THAT(shared.read({actors.matrix(0), 1}, clock, 0, 16), Catch::Contains("that nobody wrote"));
}

TEST_CASE("an index that leaves its argument is found") {
  Program changed = program();
  changed.arguments[0].elements = 100;
  edit(changed.body, [&](Statement& statement) {
    auto* elements = std::get_if<Elements>(&statement.is);
    if (!elements) return std::holds_alternative<StoreTile>(statement.is);
    elements->memory = -1;
    elements->argument = 0;
    elements->index = changed.range(elements->row_range);
    elements->index = changed.arena.multiply(elements->index, 128);
    elements->condition = changed.arena.always();
    return false;
  });
  CHECK(verify(changed) == "");
  CHECK_THAT(run(changed), Catch::Contains("outside of result"));
}

TEST_CASE("tiles are walked once each, down bands of rows") {
  for (int64_t m : {1, 3, 16, 17, 40}) {
    for (int64_t parts : {1, 3}) {
      const Tiles tiles{0, 1, 2, 3, 2, m, 5, parts, 16, {}};
      std::set<std::tuple<int64_t, int64_t, int64_t, int64_t>> seen;
      for (int64_t tile = 0; tile < 2 * m * 5 * parts; ++tile) {
        const TileAt at = tile_at(tiles, tile);
        CHECK((at.batch < 2 && at.m < m && at.n < 5 && at.part < parts));
        CHECK(seen.emplace(at.batch, at.m, at.n, at.part).second);
      }
    }
  }
}

}  // namespace quarry::tile
