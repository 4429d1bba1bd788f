// From CUDA C++ or HIP C++ to what the driver loads: PTX, a cubin or a code object. clang runs as a child process, with
// limits on its time and memory; NVRTC is the way where there is no clang.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/result.h"

namespace quarry::device::gpu {

class TextCompiler {
 public:
  virtual ~TextCompiler() = default;
  /// Names compiler and flags: part of a binary's cache key.
  virtual const std::string& identity() const = 0;
  /// "compile_failed" carries the compiler's log.
  virtual Result<std::vector<char>> compile(const std::string& text) const = 0;
};

/// For a card of this compute capability: clang, else NVRTC. "compiler_missing" when there is neither.
Result<std::unique_ptr<TextCompiler>> cuda_compiler(int major, int minor);
/// clang for "gfx1100" and the like.
Result<std::unique_ptr<TextCompiler>> hip_compiler(const std::string& architecture);

/// Each alone. `architecture` is "sm_90a" or the like; clang writes PTX, NVRTC a cubin.
Result<std::unique_ptr<TextCompiler>> clang_for_cuda(const std::string& architecture);
Result<std::unique_ptr<TextCompiler>> nvrtc(const std::string& architecture);

/// A program run to its end with `input` as its standard input. "compiler_timeout" when it takes longer than `seconds`.
struct Finished {
  int status = 0;  ///< as of waitpid
  std::string output, errors;
};
Result<Finished> run_child(const std::vector<std::string>& command, const std::string& input, int seconds);

}  // namespace quarry::device::gpu
