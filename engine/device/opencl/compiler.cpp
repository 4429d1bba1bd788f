#include "engine/device/opencl/compiler.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <vector>

#include "common/sha256.h"
#include "engine/device/opencl/declarations.h"
#include "engine/device/opencl/disk_cache.h"

namespace quarry::device::opencl {

namespace {

constexpr size_t kMaxLog = 2'000;       // of a build log: the first errors say it
constexpr size_t kMostPrograms = 4096;  // remembered before those that nobody holds are forgotten

std::vector<unsigned char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Another process may read it at any time: written aside, then renamed. A cache that cannot be written only costs time.
void write_file(const std::string& path, std::span<const char> bytes) {
  const std::string temporary = path + "." + std::to_string(getpid());
  {
    std::ofstream file(temporary, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
      std::remove(temporary.c_str());
      return;
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) std::remove(temporary.c_str());
}

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

}  // namespace

Compiler::Compiler(cl_context context, cl_device_id device, std::string identity, std::string directory,
                   KeepBinaries keep)
    : context_(context),
      device_(device),
      identity_(std::move(identity)),
      directory_(std::move(directory)),
      flags_("-cl-std=CL1.2"),
      keep_(keep) {
  const auto precision = device_value<cl_device_fp_config>(device, CL_DEVICE_SINGLE_FP_CONFIG);
  if (precision & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) flags_ += " -cl-fp32-correctly-rounded-divide-sqrt";
  if (is_pocl(device)) try_to_declare();
  if (directory_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(directory_, ignored);
}

void Compiler::try_to_declare() {
  const std::string plain = flags_;
  flags_ += kWithoutDeclarations;
  declares_ = true;
  if (from_source("__kernel void probe(__global float16* x) { x[get_global_id(0)] = convert_float16((int16)(1)); }\n"))
    return;
  flags_ = plain;
  declares_ = false;
}

Result<SharedProgram> Compiler::compile(const std::string& source) {
  const std::string key = identity_ + "\n" + flags_ + "\n" + source;
  const std::string hash = to_hex(sha256(std::as_bytes(std::span(key))));
  if (const auto found = programs_.find(hash); found != programs_.end()) {
    if (SharedProgram program = found->second.lock()) return program;
  }
  QUARRY_ASSIGN(ProgramHandle program,
                directory_.empty() ? from_source(source) : through_cache(source, directory_ + "/" + hash));
  if (programs_.size() >= kMostPrograms)
    std::erase_if(programs_, [](const auto& entry) { return entry.second.expired(); });
  SharedProgram shared = std::make_shared<const ProgramHandle>(std::move(program));
  programs_[hash] = shared;
  return shared;
}

Result<ProgramHandle> Compiler::through_cache(const std::string& source, const std::string& stem) {
  if (ProgramHandle cached = from_binary(stem + ".bin"); cached.get() != nullptr) return cached;
  trim_cache_now_and_then(directory_);
  QUARRY_ASSIGN(ProgramHandle program, from_source(source));
  write_file(stem + ".cl", source);
  if (keep_ == KeepBinaries::Yes) keep_binary(program.get(), stem + ".bin");
  return program;
}

Result<ProgramHandle> Compiler::from_source(const std::string& source) {
  const std::string declared = (declares_ ? declarations_for(source) : "") + source;
  const char* text = declared.data();
  const size_t length = declared.size();
  cl_int error = CL_SUCCESS;
  ProgramHandle program(clCreateProgramWithSource(context_, 1, &text, &length, &error));
  QUARRY_TRY(check("clCreateProgramWithSource", error));
  error = clBuildProgram(program.get(), 1, &device_, flags_.c_str(), nullptr, nullptr);
  if (error == CL_SUCCESS) return program;
  return Problem{"compile_failed", "the driver's compiler refused a kernel: " + build_log(program.get(), device_), "",
                 "Report the graph; the kernel's source is a defect of the engine or of the driver."};
}

ProgramHandle Compiler::from_binary(const std::string& path) {
  const std::vector<unsigned char> binary = read_file(path);
  if (binary.empty()) return {};
  const unsigned char* bytes = binary.data();
  const size_t length = binary.size();
  cl_int status = CL_SUCCESS, error = CL_SUCCESS;
  ProgramHandle program(clCreateProgramWithBinary(context_, 1, &device_, &length, &bytes, &status, &error));
  if (error != CL_SUCCESS || status != CL_SUCCESS) return {};
  if (clBuildProgram(program.get(), 1, &device_, flags_.c_str(), nullptr, nullptr) != CL_SUCCESS) return {};
  std::error_code ignored;
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now(), ignored);  // used: trim_cache
  return program;
}

void Compiler::keep_binary(cl_program program, const std::string& path) {
  size_t length = 0;
  if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof length, &length, nullptr) != CL_SUCCESS || length == 0)
    return;
  std::vector<char> binary(length);
  char* bytes = binary.data();
  if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, nullptr) != CL_SUCCESS) return;
  write_file(path, binary);
}

}  // namespace quarry::device::opencl
