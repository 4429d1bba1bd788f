// Source -> program, through an on-disk cache of binaries. The source lies beside its binary, for debugging.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/device/opencl/handle.h"

namespace quarry::device::opencl {

using SharedProgram = std::shared_ptr<const ProgramHandle>;

/// PoCL compiles a program anew to give its binary away, for group sizes that are never launched: a first run of 100
/// kernels took 1.7 times as long. It has a cache of its own, which makes a source that it has seen cost 25 ms.
enum class KeepBinaries { Yes, No };

class Compiler {
 public:
  /// `identity` names driver and device: with source and flags it is a binary's key. Empty directory: nothing is kept
  /// on disk.
  Compiler(cl_context context, cl_device_id device, std::string identity, std::string directory, KeepBinaries keep);

  /// The same source gives the same program for as long as somebody holds it. "compile_failed" carries the driver's
  /// log.
  Result<SharedProgram> compile(const std::string& source);

 private:
  void try_to_declare();  ///< whether this PoCL takes kernels that declare what they call (declarations.h)
  Result<ProgramHandle> from_source(const std::string& source);
  ProgramHandle from_binary(const std::string& path);  ///< null if there is none, or the driver refuses it
  Result<ProgramHandle> through_cache(const std::string& source, const std::string& stem);
  void keep_binary(cl_program program, const std::string& path);

  cl_context context_;
  cl_device_id device_;
  std::string identity_, directory_, flags_;
  KeepBinaries keep_;
  bool declares_ = false;
  std::map<std::string, std::weak_ptr<const ProgramHandle>> programs_;  // by the source's hash
};

}  // namespace quarry::device::opencl
