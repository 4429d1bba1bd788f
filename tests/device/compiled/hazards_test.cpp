#include "engine/device/compiled/hazards.h"

#include <catch2/catch.hpp>
#include <random>

namespace quarry::test {

using device::Access;
using device::BufferRange;
using Order = std::vector<std::vector<size_t>>;

namespace {

class NoBytes final : public device::Buffer {
 public:
  uint64_t bytes() const override { return 0; }
};

bool overlap(const std::vector<BufferRange>& some, const std::vector<BufferRange>& others) {
  for (const BufferRange& a : some)
    for (const BufferRange& b : others)
      for (uint64_t byte = a.offset; byte < a.offset + a.bytes; ++byte)
        if (a.buffer == b.buffer && byte >= b.offset && byte < b.offset + b.bytes) return true;
  return false;
}

}  // namespace

TEST_CASE("a reader follows its writer, a writer its readers and the writer before it; others are free") {
  NoBytes buffer, other;
  const BufferRange low{&buffer, 0, 256}, high{&buffer, 256, 256}, all{&buffer, 0, 512}, elsewhere{&other, 0, 256};
  CHECK(device::hazards(std::vector<Access>{{{}, {low}}, {{low}, {high}}}) == Order{{}, {0}});
  CHECK(device::hazards(std::vector<Access>{{{low}, {elsewhere}}, {{}, {low}}}) == Order{{}, {0}});
  CHECK(device::hazards(std::vector<Access>{{{}, {low}}, {{}, {all}}}) == Order{{}, {0}});
  CHECK(device::hazards(std::vector<Access>{{{low}, {high}}, {{low}, {elsewhere}}}) == Order{{}, {}});
  CHECK(device::hazards(std::vector<Access>{{{}, {low}}, {{}, {elsewhere}}}) == Order{{}, {}});
  // What follows the last of a chain need not name those before it.
  CHECK(device::hazards(std::vector<Access>{{{}, {low}}, {{low}, {high}}, {{low, high}, {elsewhere}}}) ==
        Order{{}, {0}, {1}});
}

TEST_CASE("every pair that shares bytes is ordered, and no edge is there that others imply") {
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < 50; ++round) {
    NoBytes buffers[2];
    std::vector<Access> launches(1 + random() % 60);
    for (Access& launch : launches) {
      const auto range = [&] {
        return BufferRange{&buffers[random() % 2], 4 * (random() % 40), 4 * (1 + random() % 4)};
      };
      launch.writes = {range()};
      for (size_t i = random() % 4; i > 0; --i) launch.reads.push_back(range());
    }
    const Order after = device::hazards(launches);
    std::vector<std::vector<bool>> reaches(launches.size(), std::vector<bool>(launches.size()));
    for (size_t later = 0; later < launches.size(); ++later) {
      for (const size_t direct : after[later]) {
        for (const size_t other : after[later]) CHECK((other == direct || !reaches[other][direct]));
        reaches[later][direct] = true;
        for (size_t i = 0; i < direct; ++i) reaches[later][i] = reaches[later][i] || reaches[direct][i];
      }
      for (size_t earlier = 0; earlier < later; ++earlier) {
        const Access &a = launches[earlier], &b = launches[later];
        if (overlap(a.writes, b.reads) || overlap(a.writes, b.writes) || overlap(a.reads, b.writes))
          CHECK(reaches[later][earlier]);
      }
    }
  }
}

}  // namespace quarry::test
