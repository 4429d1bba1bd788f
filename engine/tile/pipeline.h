// Hands out the stages of a ring. Templates call it and never write a Wait or a Release themselves, so that no path
// forgets one.
#pragma once

#include <string>
#include <vector>

#include "engine/tile/tile.h"

namespace quarry::tile {

class Pipeline {
 public:
  /// At least two stages, because a stage is released while the products of the next one run. `producer_warps`: of
  /// threads that write the stages; 0: the TMA engine does.
  Pipeline(Program& program, std::string name, int stages, int consumer_warps, int producer_warps = 0);

  /// A tile in each stage of the ring: the memory's number.
  int memory(std::string name, graph::DType dtype, int64_t rows, int64_t columns, Swizzle swizzle);

  /// The producer's turn: waits for an empty stage and fills it.
  void fill(Body& into, std::vector<Fill> boxes) const;
  /// A consumer's turn within the loop of `loop_range`: waits for a full stage, multiplies, and releases the stage
  /// before it, whose products are done then.
  void consume(Body& into, int loop_range, std::vector<Mma> products) const;
  /// The turn of producer warps: waits for an empty stage, does `work`, which writes it, and hands it over.
  void produce(Body& into, Body work) const;
  /// A consumer's turn whose `work` has done all its reads when it ends: waits for a full stage and releases it.
  void use(Body& into, Body work) const;
  /// After the loop of consume(): waits for the last products and releases the last stage.
  void drain(Body& into) const;

 private:
  Program& program_;
  int ring_;
  int stages_;
};

}  // namespace quarry::tile
