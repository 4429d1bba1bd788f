// Evaluates indices, conditions and integer loads of a loop nest at one point: what the tests hold lowering against.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/lower/loop_nest.h"

namespace quarry::test {

using Point = std::vector<int64_t>;  ///< one value per range

int64_t evaluate_index(const lower::Arena& arena, lower::ExprId id, const Point& point);
bool evaluate_condition(const lower::Arena& arena, lower::ExprId id, const Point& point);
/// Loads, guards and literals of i32; fails the test at a load outside its buffer.
int64_t evaluate_value(const lower::Arena& arena, lower::ExprId id, const Point& point,
                       const std::vector<int64_t>& read);

/// Calls visit for each point of the extents.
template <class Visit>
void for_each_point(const std::vector<int64_t>& extents, Visit visit) {
  for (int64_t extent : extents) {
    if (extent == 0) return;
  }
  Point point(extents.size(), 0);
  for (;;) {
    visit(point);
    size_t axis = extents.size();
    while (axis > 0 && ++point[axis - 1] == extents[axis - 1]) point[--axis] = 0;
    if (axis == 0) return;
  }
}

}  // namespace quarry::test
