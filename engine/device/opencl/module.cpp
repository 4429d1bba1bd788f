#include "engine/device/opencl/module.h"

#include <vector>

#include "engine/device/opencl/declarations.h"

namespace quarry::device::opencl {

namespace {

constexpr size_t kMaxLog = 2'000;  // of a build log: the first errors say it

bool is_pocl(cl_device_id device) {
  return device_text(device, CL_DEVICE_VERSION).find("PoCL") != std::string::npos;
}

std::string build_log(cl_program program, cl_device_id device) {
  size_t bytes = 0;
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &bytes);
  std::string log(bytes, '\0');
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, bytes, log.data(), nullptr);
  return log.substr(0, kMaxLog);
}

class OpenClModule final : public Module {
 public:
  OpenClModule(ProgramHandle program, KeepBinaries keep) : program_(std::move(program)), keep_(keep) {}

  // The kernel keeps its program.
  Result<std::shared_ptr<Entry>> entry(const std::string& name) override {
    cl_int error = CL_SUCCESS;
    KernelHandle kernel(clCreateKernel(program_.get(), name.c_str(), &error));
    QUARRY_TRY(check("clCreateKernel", error));
    return std::shared_ptr<Entry>(std::make_shared<OpenClEntry>(std::move(kernel)));
  }

  std::vector<char> binary() const override {
    size_t length = 0;
    if (keep_ == KeepBinaries::No ||
        clGetProgramInfo(program_.get(), CL_PROGRAM_BINARY_SIZES, sizeof length, &length, nullptr) != CL_SUCCESS)
      return {};
    std::vector<char> bytes(length);
    char* data = bytes.data();
    if (length == 0 || clGetProgramInfo(program_.get(), CL_PROGRAM_BINARIES, sizeof data, &data, nullptr) != CL_SUCCESS)
      return {};
    return bytes;
  }

 private:
  ProgramHandle program_;
  KeepBinaries keep_;
};

}  // namespace

Compiler::Compiler(cl_context context, cl_device_id device, KeepBinaries keep)
    : context_(context), device_(device), flags_("-cl-std=CL1.2"), keep_(keep) {
  const auto precision = device_value<cl_device_fp_config>(device, CL_DEVICE_SINGLE_FP_CONFIG);
  if (precision & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) flags_ += " -cl-fp32-correctly-rounded-divide-sqrt";
  if (is_pocl(device)) try_to_declare();
}

void Compiler::try_to_declare() {
  const std::string plain = flags_;
  flags_ += kWithoutDeclarations;
  declares_ = true;
  if (program_of("__kernel void probe(__global float16* x) { x[get_global_id(0)] = convert_float16((int16)(1)); }\n"))
    return;
  flags_ = plain;
  declares_ = false;
}

Result<std::shared_ptr<Module>> Compiler::build(const std::string& text) {
  QUARRY_ASSIGN(ProgramHandle program, program_of(text));
  return std::shared_ptr<Module>(std::make_shared<OpenClModule>(std::move(program), keep_));
}

Result<ProgramHandle> Compiler::program_of(const std::string& text) {
  const std::string declared = (declares_ ? declarations_for(text) : "") + text;
  const char* source = declared.data();
  const size_t length = declared.size();
  cl_int error = CL_SUCCESS;
  ProgramHandle program(clCreateProgramWithSource(context_, 1, &source, &length, &error));
  QUARRY_TRY(check("clCreateProgramWithSource", error));
  error = clBuildProgram(program.get(), 1, &device_, flags_.c_str(), nullptr, nullptr);
  if (error == CL_SUCCESS) return program;
  return Problem{"compile_failed", "the driver's compiler refused a kernel: " + build_log(program.get(), device_), "",
                 "Report the graph; the kernel's source is a defect of the engine or of the driver."};
}

Result<std::shared_ptr<Module>> Compiler::load(std::span<const char> binary) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(binary.data());
  const size_t length = binary.size();
  cl_int status = CL_SUCCESS, error = CL_SUCCESS;
  ProgramHandle program(clCreateProgramWithBinary(context_, 1, &device_, &length, &bytes, &status, &error));
  QUARRY_TRY(check("clCreateProgramWithBinary", error));
  QUARRY_TRY(check("clCreateProgramWithBinary", status));
  QUARRY_TRY(check("clBuildProgram", clBuildProgram(program.get(), 1, &device_, flags_.c_str(), nullptr, nullptr)));
  return std::shared_ptr<Module>(std::make_shared<OpenClModule>(std::move(program), keep_));
}

}  // namespace quarry::device::opencl
