#include "engine/tile/machine.h"

#include <cstring>
#include <type_traits>

namespace quarry::tile {

void lay_out(const Body& body, int warp, std::vector<Step>& steps) {
  for (const Statement& statement : body) {
    std::visit(
        [&](const auto& is) {
          if constexpr (std::is_same_v<std::decay_t<decltype(is)>, Thread>) {
            if (is.warp == warp) lay_out(is.body, warp, steps);
          } else if constexpr (requires { is.body; }) {
            if constexpr (std::is_same_v<std::decay_t<decltype(is)>, JoinParts>) {
              steps.push_back({Step::What::Arrive, &statement});
            }
            const size_t open = steps.size();
            steps.push_back({Step::What::Open, &statement});
            lay_out(is.body, warp, steps);
            steps.push_back({Step::What::Close, &statement, open});
            steps[open].jump = steps.size();
          } else {
            steps.push_back({Step::What::Do, &statement});
          }
        },
        statement.is);
  }
}

void copy_box(const TensorMap& map, const Pending& copy, std::byte* array, uint8_t* shared) {
  const int64_t size = graph::byte_size(map.dtype);
  std::vector<int64_t> at(map.box.size(), 0);
  for (int64_t number = 0;; ++number) {
    int64_t element = map.offset;
    bool inside = true;
    for (size_t i = 0; i < at.size(); ++i) {
      const int64_t coordinate = copy.at[i] + at[i];
      inside &= coordinate >= 0 && coordinate < map.extents[i];
      element += coordinate * map.strides[i];
    }
    uint8_t* const place = shared + swizzled(map.swizzle, static_cast<uint32_t>(copy.address + number * size));
    if (copy.store) {
      if (inside) std::memcpy(array + element * size, place, static_cast<size_t>(size));
    } else if (inside) {
      std::memcpy(place, array + element * size, static_cast<size_t>(size));
    } else {
      std::memset(place, 0, static_cast<size_t>(size));
    }
    size_t axis = 0;
    while (axis < at.size() && ++at[axis] == map.box[axis]) at[axis++] = 0;
    if (axis == at.size()) return;
  }
}

}  // namespace quarry::tile
