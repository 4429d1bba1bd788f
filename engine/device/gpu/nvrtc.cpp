// NVIDIA's own compiler, a library that comes with CUDA and not with the driver.
#include <dlfcn.h>

#include "engine/device/gpu/compilers.h"

namespace quarry::device::gpu {

namespace {

struct ProgramObject;
using Program = ProgramObject*;
constexpr size_t kMostLog = 2'000;
constexpr const char* kLibraries[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

struct Calls {
  int (*version)(int*, int*) = nullptr;
  int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*) = nullptr;
  int (*destroy)(Program*) = nullptr;
  int (*compile)(Program, int, const char* const*) = nullptr;
  int (*log_size)(Program, size_t*) = nullptr;
  int (*log)(Program, char*) = nullptr;
  int (*code_size)(Program, size_t*) = nullptr;
  int (*code)(Program, char*) = nullptr;
  const char* (*error_text)(int) = nullptr;
};

bool find_all(void* library, Calls& calls) {
  bool complete = true;
  const auto find = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
    complete &= function != nullptr;
  };
  find(calls.version, "nvrtcVersion");
  find(calls.create, "nvrtcCreateProgram");
  find(calls.destroy, "nvrtcDestroyProgram");
  find(calls.compile, "nvrtcCompileProgram");
  find(calls.log_size, "nvrtcGetProgramLogSize");
  find(calls.log, "nvrtcGetProgramLog");
  find(calls.code_size, "nvrtcGetCUBINSize");
  find(calls.code, "nvrtcGetCUBIN");
  find(calls.error_text, "nvrtcGetErrorString");
  return complete;
}

class Nvrtc final : public TextCompiler {
 public:
  Nvrtc(const Calls& calls, const std::string& architecture, const std::string& version)
      : calls_(calls),
        options_{"--gpu-architecture=" + architecture, "--fmad=false", "--std=c++17",
                 "--device-as-default-execution-space"},
        identity_("NVRTC " + version) {
    for (const std::string& option : options_) identity_ += " " + option;
  }
  const std::string& identity() const override { return identity_; }

  Result<std::vector<char>> compile(const std::string& text) const override {
    Program program = nullptr;
    if (const int error = calls_.create(&program, text.c_str(), "kernel.cu", 0, nullptr, nullptr); error != 0)
      return refused(calls_.error_text(error));
    std::vector<const char*> options;
    for (const std::string& option : options_) options.push_back(option.c_str());
    const int error = calls_.compile(program, static_cast<int>(options.size()), options.data());
    auto result = error == 0 ? code_of(program) : refused(log_of(program));
    calls_.destroy(&program);
    return result;
  }

 private:
  static Result<std::vector<char>> refused(const std::string& log) {
    return Problem{"compile_failed", "NVRTC refused a kernel: " + log, "",
                   "Report the graph; the kernel's source is a defect of the engine or of the compiler."};
  }
  std::string log_of(Program program) const {
    size_t bytes = 0;
    if (calls_.log_size(program, &bytes) != 0 || bytes == 0) return "";
    std::string log(bytes, '\0');
    if (calls_.log(program, log.data()) != 0) return "";
    return log.substr(0, std::min(kMostLog, log.find('\0')));
  }
  Result<std::vector<char>> code_of(Program program) const {
    size_t bytes = 0;
    if (calls_.code_size(program, &bytes) != 0 || bytes == 0) return refused("it gave no code");
    std::vector<char> code(bytes);
    if (calls_.code(program, code.data()) != 0) return refused("it gave no code");
    return code;
  }

  Calls calls_;
  std::vector<std::string> options_;
  std::string identity_;
};

}  // namespace

Result<std::unique_ptr<TextCompiler>> nvrtc(const std::string& architecture) {
  for (const char* name : kLibraries) {
    void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    Calls calls;
    int major = 0, minor = 0;
    if (library == nullptr || !find_all(library, calls) || calls.version(&major, &minor) != 0) continue;
    return std::unique_ptr<TextCompiler>(
        std::make_unique<Nvrtc>(calls, architecture, std::to_string(major) + "." + std::to_string(minor)));
  }
  return Problem{"compiler_missing", "there is no NVRTC of CUDA 12 or later", "", ""};
}

}  // namespace quarry::device::gpu
