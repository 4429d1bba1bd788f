// Source -> program, through an on-disk cache of binaries. The source lies beside its binary, for debugging.
#pragma once

#include <string>

#include "engine/device/opencl/handle.h"

namespace quarry::device::opencl {

class Compiler {
 public:
  /// `identity` names driver and device: with source and flags it is a binary's key. Empty directory: nothing is kept
  /// on disk.
  Compiler(cl_context context, cl_device_id device, std::string identity, std::string directory);

  /// "compile_failed" carries the driver's log.
  Result<ProgramHandle> compile(const std::string& source);
  uint64_t cache_hits() const { return cache_hits_; }

 private:
  Result<ProgramHandle> from_source(const std::string& source);
  ProgramHandle from_binary(const std::string& path);  ///< null if there is none, or the driver refuses it
  void keep(cl_program program, const std::string& source, const std::string& stem);

  cl_context context_;
  cl_device_id device_;
  std::string identity_, directory_, flags_;
  uint64_t cache_hits_ = 0;
};

}  // namespace quarry::device::opencl
