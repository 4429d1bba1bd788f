#include "tests/scheduler/simulation.h"

#include <catch2/catch.hpp>

using namespace quarry::scheduler::test;

TEST_CASE("a seed is replayed exactly") {
  for (uint64_t seed : {3, 14, 159}) {
    const auto first = simulate({.seed = seed}), second = simulate({.seed = seed});
    CHECK(first.counts.leases == second.counts.leases);
    CHECK(first.counts.stale == second.counts.stale);
    CHECK(first.broken_links == second.broken_links);
    CHECK(first.counts.accepted == second.counts.accepted);
  }
}

TEST_CASE("the simulation notices a journal that does not check fences") {
  size_t noticed = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed)
    if (!simulate({.seed = seed, .check_fences = false}).violations.empty()) ++noticed;
  CHECK(noticed > 10);
}

TEST_CASE("the simulation brings about every fault that it knows") {
  SimulationResult sum;
  for (uint64_t seed = 1; seed <= 50; ++seed) add(sum, simulate({.seed = seed}));
  CHECK(sum.counts.stale > 0);
  CHECK(sum.counts.repeated > 0);
  CHECK(sum.counts.deposed > 0);
  CHECK(sum.counts.expired > 0);
  CHECK(sum.counts.cancelled > 0);
  CHECK(sum.reloads > 0);
  CHECK(sum.scheduler_crashes > 0);
  CHECK(sum.server_crashes > 0);
  CHECK(sum.silences > 0);
  CHECK(sum.restarts > 0);
  CHECK(sum.broken_links > 0);
}
