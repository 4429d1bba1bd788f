#include "engine/tile/pipeline.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace quarry::tile {

Pipeline::Pipeline(Program& program, std::string name, int stages, int consumer_warps, int producer_warps)
    : program_(program), ring_(static_cast<int>(program.rings.size())), stages_(stages) {
  assert(stages >= 2);
  program.rings.push_back({std::move(name), stages, consumer_warps, producer_warps});
}

int Pipeline::memory(std::string name, graph::DType dtype, int64_t rows, int64_t columns, Swizzle swizzle) {
  program_.memories.push_back({std::move(name), dtype, rows, columns, swizzle, stages_, ring_});
  return static_cast<int>(program_.memories.size()) - 1;
}

void Pipeline::fill(Body& into, std::vector<Fill> boxes) const {
  int64_t bytes = 0;
  for (const Fill& box : boxes) bytes += program_.maps[static_cast<size_t>(box.map)].box_bytes();
  into.push_back({Wait{ring_, Side::Empty}});
  into.push_back({Expect{ring_, bytes}});
  for (Fill& box : boxes) into.push_back({std::move(box)});
  into.push_back({Advance{ring_}});
}

void Pipeline::consume(Body& into, int loop_range, std::vector<Mma> products) const {
  into.push_back({Wait{ring_, Side::Full}});
  into.push_back({MmaFence{}});
  for (Mma& product : products) into.push_back({std::move(product)});
  into.push_back({MmaCommit{}});
  into.push_back({MmaWait{1}});
  into.push_back({Release{ring_, 1, loop_range}});
  into.push_back({Advance{ring_}});
}

void Pipeline::produce(Body& into, Body work) const {
  into.push_back({Wait{ring_, Side::Empty}});
  std::ranges::move(work, std::back_inserter(into));
  into.push_back({ProxyFence{}});
  into.push_back({Arrive{ring_}});
  into.push_back({Advance{ring_}});
}

void Pipeline::use(Body& into, Body work) const {
  into.push_back({Wait{ring_, Side::Full}});
  std::ranges::move(work, std::back_inserter(into));
  into.push_back({ProxyFence{}});
  into.push_back({Release{ring_, 0, -1}});
  into.push_back({Advance{ring_}});
}

void Pipeline::drain(Body& into) const {
  into.push_back({MmaWait{0}});
  into.push_back({Release{ring_, 1, -1}});
}

}  // namespace quarry::tile
