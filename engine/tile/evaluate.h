// Expressions of the arena at one point: for the interpreter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/tile/tile.h"

namespace quarry::tile {

struct Point {
  std::span<const int64_t> ranges;
  uint64_t accumulator = 0;  ///< bits of the fragment's element
  std::span<const std::span<std::byte>> arguments;
  const std::vector<Argument>* declared = nullptr;
  std::string* failure = nullptr;  ///< set when an index leaves its argument or an op is not known
};

int64_t evaluate_index(const lower::Arena& arena, ExprId id, const Point& point);
bool evaluate_condition(const lower::Arena& arena, ExprId id, const Point& point);
/// The element's bits, in its dtype.
uint64_t evaluate_value(const lower::Arena& arena, ExprId id, const Point& point);

uint64_t load_bits(graph::DType dtype, const std::byte* array, int64_t index);
void store_bits(graph::DType dtype, std::byte* array, int64_t index, uint64_t bits);

}  // namespace quarry::tile
