// The element types of version 1, and their sizes in memory and in safetensors files.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace quarry::graph {

enum class DType : uint8_t { Bool, I8, U8, I32, I64, F16, BF16, F32, F64 };
inline constexpr int kDTypes = 9;

/// The wire name: "bool", "i8", "u8", "i32", "i64", "f16", "bf16", "f32", "f64".
std::string_view name(DType dtype);
/// nullopt for unknown names and for the reserved "f8e4m3" and "f8e5m2".
std::optional<DType> parse_dtype(std::string_view name);

constexpr int64_t byte_size(DType dtype) {
  switch (dtype) {
    case DType::Bool:
    case DType::I8:
    case DType::U8:
      return 1;
    case DType::F16:
    case DType::BF16:
      return 2;
    case DType::I32:
    case DType::F32:
      return 4;
    case DType::I64:
    case DType::F64:
      return 8;
  }
  return 0;
}
constexpr bool is_float(DType dtype) {
  return dtype >= DType::F16;
}
constexpr bool is_integer(DType dtype) {
  return dtype >= DType::I8 && dtype <= DType::I64;
}

}  // namespace quarry::graph
