// The device languages. A kernel's text is written once, in the words of the preludes here: OpenCL C's scalar functions
// (convert_int, as_float, select, mul_hi), and KERNEL, HELPER, GLOBAL, SHARED, RESTRICT, GRID_ITEM, GROUP_ITEM,
// SYNCHRONISE, LOAD_WORDS4 and STORE_WORDS4 (16 bytes), SHUFFLE_XOR (not in OpenCL C 1.2), LOOP (a loop that a
// compiler, left alone, unrolls until registers run out). Each language has one file: its prelude, and those helpers
// for which its hardware has instructions.
#pragma once

#include <span>
#include <string_view>

#include "engine/codegen/codegen.h"

namespace quarry::codegen {

/// A helper in one language's own words instead of helpers.cpp's. `where` is a condition of the preprocessor under
/// which it holds; otherwise the general text does.
struct NativeHelper {
  std::string_view base;
  std::string_view where;
  std::string_view text;  ///< as instantiate() reads it
};

struct DialectText {
  std::string_view prelude;
  std::span<const NativeHelper> natives;
  /// Driver launches have no offset there: a last argument says with which group the launch begins.
  bool has_first_group = false;
};

const DialectText& text_of(Dialect dialect);

// One file each.
DialectText opencl_text();
DialectText cuda_text();
DialectText hip_text();

/// What CUDA C++ and HIP C++ share: OpenCL C's scalar types and functions on them, in a macro each where a compiler may
/// know the name. `HELPER` must be defined before.
extern const std::string_view kScalarFunctions;
/// SHUFFLE_XOR's functions, over `q_exchange(uint, int mask)`.
extern const std::string_view kExchanges;

}  // namespace quarry::codegen
