#include "engine/graph/dtype.h"

#include <array>

namespace quarry::graph {

namespace {
constexpr std::array<std::string_view, kDTypes> kNames = {"bool", "i8",   "u8",  "i32", "i64",
                                                          "f16",  "bf16", "f32", "f64"};
}

std::string_view name(DType dtype) {
  return kNames[static_cast<size_t>(dtype)];
}

std::optional<DType> parse_dtype(std::string_view text) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == text) return static_cast<DType>(i);
  return std::nullopt;
}

}  // namespace quarry::graph
