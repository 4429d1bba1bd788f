#include "engine/meter/packing.h"

#include <catch2/catch.hpp>
#include <random>

using namespace quarry::meter;

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
  CHECK(pack(chain).bytes == 2048);
}

namespace {

enum class Shape { Steps, Stacks, Combs, Anything };

// Sizes that differ by powers of two, lives of one launch to all of them, stacks that die in the order of their birth
// or the other way round, and combs that leave gaps of one size for values of the next: what fragments an arena.
std::vector<Lifetime> hard_values(std::mt19937_64& random, Shape shape) {
  const size_t launches = 2 + random() % 120;
  std::vector<Lifetime> values;
  for (size_t launch = 0; launch < launches; ++launch) {
    const size_t rest = launches - launch;
    const uint64_t bytes = 256 * (1 + (random() % 5 == 0 ? random() % 4096 : random() % 16));
    switch (shape) {
      case Shape::Steps:
        values.push_back({bytes, launch, std::min(launches, launch + random() % 8)});
        break;
      case Shape::Stacks:
        values.push_back({bytes, launch, random() % 3 == 0 ? launches : launch + rest * (random() % 2)});
        break;
      case Shape::Combs:
        values.push_back({256 * (1 + launch * launch / 16), launch, launch + (launch % 2 == 0 ? 1 : rest / 2)});
        break;
      case Shape::Anything:
        values.push_back({uint64_t{256} << random() % 14, launch, launch + random() % (rest + 1)});
        break;
    }
  }
  return values;
}

}  // namespace

TEST_CASE("values that live together never overlap, and fragments cost less than an eighth on average") {
  const uint64_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (const Shape shape : {Shape::Steps, Shape::Stacks, Shape::Combs, Shape::Anything}) {
    double peaks = 0, packed = 0;
    for (int round = 0; round < 1'000; ++round) {
      const std::vector<Lifetime> values = hard_values(random, shape);
      const Packing packing = pack(values);
      check_disjoint(values, packing);
      CHECK(packing.bytes >= peak_bytes(values));
      peaks += static_cast<double>(peak_bytes(values));
      packed += static_cast<double>(packing.bytes);
    }
    CHECK(packed <= 1.125 * peaks);
  }
}

TEST_CASE("a packing does not depend on who asks") {
  std::mt19937_64 random(1);
  const std::vector<Lifetime> values = hard_values(random, Shape::Anything);
  CHECK(pack(values).offsets == pack(values).offsets);
}

TEST_CASE("a million values are packed, however they live, within half as much again as lives at once") {
  std::mt19937_64 random(7);
  for (const size_t most_life : {size_t{4}, size_t{1'000'000}}) {
    std::vector<Lifetime> values;
    for (size_t i = 0; i < 1'000'000; ++i)
      values.push_back({256 * (1 + random() % 4096), i, std::min<size_t>(1'000'000, i + random() % most_life)});
    const Packing packing = pack(values);
    CHECK(packing.bytes >= peak_bytes(values));
    CHECK(packing.bytes <= peak_bytes(values) + peak_bytes(values) / 2);
  }
}

TEST_CASE("no values need no memory") {
  CHECK(pack({}).bytes == 0);
  CHECK(pack(std::vector<Lifetime>{{0, 0, 5}, {0, 1, 2}}).bytes == 0);
}

TEST_CASE("in pieces no value crosses a border, and living values share no byte") {
  std::mt19937_64 random(std::random_device{}());
  for (int round = 0; round < 300; ++round) {
    const std::vector<Lifetime> values = hard_values(random, static_cast<Shape>(random() % 4));
    uint64_t largest = 256, sum = 0;
    for (const Lifetime& value : values) largest = std::max(largest, value.bytes), sum += value.bytes;
    const uint64_t piece = largest + 256 * (random() % 64), base = 256 * (random() % 1000);
    const Packing packing = pack_in_pieces(values, base, piece);
    check_disjoint(values, packing);
    CHECK(packing.bytes <= 2 * sum + piece);
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].bytes == 0) continue;
      const uint64_t first = base + packing.offsets[i], last = first + values[i].bytes - 1;
      CHECK(first / piece == last / piece);
    }
  }
}
