// The functions of OpenCL C that kernels call, declared ahead of them. It knows what engine/codegen writes.
//
// PoCL parses Clang's opencl-c.h, 18,000 lines of declarations, with every program: 70 of the 180 ms that a kernel
// took. With that header's guard defined it is skipped, and a kernel brings the few declarations that it needs.
#pragma once

#include <string>
#include <string_view>

namespace quarry::device::opencl {

/// The build flag that makes PoCL skip its header.
inline constexpr std::string_view kWithoutDeclarations = " -D_OPENCL_H_";

/// Declares every function of OpenCL C that `source` calls, at the vector widths that it names. Lines of `source` keep
/// their numbers in messages.
std::string declarations_for(std::string_view source);

}  // namespace quarry::device::opencl
