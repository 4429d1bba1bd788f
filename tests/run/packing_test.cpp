#include "engine/run/packing.h"

#include <catch2/catch.hpp>
#include <random>

using namespace quarry::run;

namespace {

void check_disjoint(const std::vector<Lifetime>& values, const Packing& packing) {
  for (size_t a = 0; a < values.size(); ++a) {
    CHECK(packing.offsets[a] + values[a].bytes <= packing.bytes);
    for (size_t b = 0; b < a; ++b) {
      const bool together = values[a].first <= values[b].last && values[b].first <= values[a].last;
      const bool overlap = packing.offsets[a] < packing.offsets[b] + values[b].bytes &&
                           packing.offsets[b] < packing.offsets[a] + values[a].bytes;
      if (together && overlap) FAIL("values " << a << " and " << b << " overlap");
    }
  }
}

}  // namespace

TEST_CASE("a chain of values needs the memory of two") {
  std::vector<Lifetime> chain;
  for (size_t i = 0; i < 100; ++i) chain.push_back({1024, i, i + 1});
  CHECK(pack(chain, 0).bytes == 2048);
}

TEST_CASE("values that live together never overlap, and fragments cost at most an eighth") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::vector<Lifetime> values;
    const size_t launches = 1 + random() % 60;
    for (size_t launch = 0; launch < launches; ++launch) {
      const uint64_t bytes = 256 * (random() % 4 == 0 ? random() % 4096 : random() % 16);
      values.push_back({bytes, launch, std::min(launches, launch + random() % 8)});
    }
    const uint64_t peak = peak_bytes(values);
    const Packing packing = pack(values, peak + peak / 8);
    check_disjoint(values, packing);
    CHECK(packing.bytes >= peak);
    CHECK(packing.bytes <= peak + peak / 8);
  }
}

TEST_CASE("no values need no memory") {
  CHECK(pack({}, 0).bytes == 0);
  CHECK(pack(std::vector<Lifetime>{{0, 0, 5}, {0, 1, 2}}, 0).bytes == 0);
}
