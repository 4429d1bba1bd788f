// clang as a compiler for both vendors. It needs no CUDA and no ROCm: the texts include nothing.
#include <sys/wait.h>

#include <algorithm>

#include "engine/device/gpu/compilers.h"

namespace quarry::device::gpu {

namespace {

constexpr int kMostSeconds = 120;   // a kernel takes 0.1 s; a busy machine is given a thousand times that
constexpr size_t kMostLog = 2'000;  // of a log: the first errors say it
// clang 15 stops at 128 registers for gfx1100 and spills; 20 and later are not tried. An older one may lack a chip, as
// 16 and 17 lack sm_90a, or be installed without what links for AMD: each must compile something before it is taken.
constexpr const char* kNames[] = {"clang-19", "clang-18", "clang-17", "clang-16"};

class Clang final : public TextCompiler {
 public:
  Clang(std::vector<std::string> command, const std::string& version) : command_(std::move(command)) {
    identity_ = version;
    for (const std::string& word : command_) identity_ += " " + word;
  }
  const std::string& identity() const override { return identity_; }

  Result<std::vector<char>> compile(const std::string& text) const override {
    auto finished = run_child(command_, text, kMostSeconds);
    if (!finished.ok()) return Problem{"compile_failed", finished.problem().detail, "", ""};
    const int status = finished->status;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !finished->output.empty())
      return std::vector<char>(finished->output.begin(), finished->output.end());
    const std::string end = WIFSIGNALED(status) ? "ended by signal " + std::to_string(WTERMSIG(status))
                                                : "ended with " + std::to_string(WEXITSTATUS(status));
    return Problem{"compile_failed", command_[0] + " " + end + ": " + finished->errors.substr(0, kMostLog), "",
                   "Report the graph; the kernel's source is a defect of the engine or of the compiler."};
  }

 private:
  std::vector<std::string> command_;
  std::string identity_;
};

Result<std::unique_ptr<TextCompiler>> clang(const std::vector<std::string>& flags) {
  std::string reason;
  for (const char* name : kNames) {
    const auto version = run_child({name, "--version"}, "", kMostSeconds);
    if (!version.ok() || !WIFEXITED(version->status) || WEXITSTATUS(version->status) != 0) continue;
    std::vector<std::string> command{name};
    command.insert(command.end(), flags.begin(), flags.end());
    auto found = std::make_unique<Clang>(std::move(command), version->output.substr(0, version->output.find('\n')));
    const auto tried = found->compile("extern \"C\" __attribute__((global)) void probe(int* x) { *x = 1; }\n");
    if (tried.ok()) return std::unique_ptr<TextCompiler>(std::move(found));
    reason += "; " + tried.problem().detail;
  }
  return Problem{"compiler_missing", "no clang in PATH compiles for this card" + reason, "",
                 "Install the package clang-19."};
}

}  // namespace

Result<std::unique_ptr<TextCompiler>> clang_for_cuda(const std::string& architecture) {
  return clang({"-x", "cuda", "--cuda-device-only", "-nocudainc", "-nocudalib", "--cuda-gpu-arch=" + architecture,
                "--cuda-feature=+ptx83", "-O3", "-S", "-std=c++17", "-ffp-contract=off", "-Wno-unknown-cuda-version",
                "-Wno-pass-failed", "-o", "-", "-"});
}

Result<std::unique_ptr<TextCompiler>> hip_compiler(const std::string& architecture) {
  return clang({"-x", "hip", "--cuda-device-only", "-nogpuinc", "-nogpulib", "-mcumode", "--no-gpu-bundle-output",
                "--offload-arch=" + architecture, "-O3", "-std=c++17", "-ffp-contract=off", "-Wno-pass-failed", "-o",
                "-", "-"});
}

Result<std::unique_ptr<TextCompiler>> cuda_compiler(int major, int minor) {
  const std::string number = std::to_string(major) + std::to_string(minor);
  const std::string exact = "sm_" + number + (number == "90" ? "a" : "");
  // clang 19 knows no later chip than sm_90, but the driver assembles its PTX for each.
  if (auto found = clang_for_cuda(major > 9 ? "sm_90" : exact); found.ok()) return found;
  if (auto found = nvrtc(exact); found.ok()) return found;
  return Problem{"compiler_missing", "there is neither clang-19 nor NVRTC of CUDA 12 or later", "",
                 "Install the package clang-19."};
}

}  // namespace quarry::device::gpu
