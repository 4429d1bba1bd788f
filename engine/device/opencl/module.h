// OpenCL C text or a driver's binary -> program -> kernels.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "engine/device/driver.h"
#include "engine/device/opencl/handle.h"

namespace quarry::device::opencl {

/// PoCL compiles a program anew to give its binary away, for group sizes that are never launched: a first run of 100
/// kernels took 1.7 times as long. It has a cache of its own, which makes a source that it has seen cost 25 ms.
enum class KeepBinaries { Yes, No };

class OpenClEntry final : public Entry {
 public:
  explicit OpenClEntry(KernelHandle kernel) : kernel_(std::move(kernel)) {}
  cl_kernel kernel() const { return kernel_.get(); }

 private:
  KernelHandle kernel_;
};

class Compiler {
 public:
  Compiler(cl_context context, cl_device_id device, KeepBinaries keep);

  const std::string& flags() const { return flags_; }
  Result<std::shared_ptr<Module>> build(const std::string& text);
  Result<std::shared_ptr<Module>> load(std::span<const char> binary);

 private:
  void try_to_declare();  ///< whether this PoCL takes kernels that declare what they call (declarations.h)
  Result<ProgramHandle> program_of(const std::string& text);

  cl_context context_;
  cl_device_id device_;
  std::string flags_;
  KeepBinaries keep_;
  bool declares_ = false;
};

}  // namespace quarry::device::opencl
