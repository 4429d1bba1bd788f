// Every kernel of the set in CUDA C++ and HIP C++, compiled by clang for four chips: no GPU is needed for that. It must
// need no memory beside its registers, for a spill is a defect of the schedule.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "engine/codegen/codegen.h"
#include "engine/codegen/dialects/dialect.h"
#include "tests/codegen/kernel_set.h"
#include "tests/support/scratch.h"

namespace quarry::test {

using codegen::Dialect;

namespace {

constexpr size_t kKernelsAFile = 60;

std::string renamed(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// Several kernels as one file, since starting a compiler costs more than a kernel: each in a namespace of its own, for
// they bring the same helpers, and under a name of its own.
std::vector<std::string> files_of(const std::vector<NamedNest>& set, const codegen::Target& target) {
  const std::string prelude(codegen::text_of(target.dialect).prelude);
  std::vector<std::string> files;
  for (size_t i = 0; i < set.size(); ++i) {
    const codegen::Program program = codegen::generate(set[i].nest, target);

    REQUIRE(program.source.starts_with(prelude));
    if (i % kKernelsAFile == 0) files.push_back(prelude);
    const std::string number = std::to_string(i);
    files.back() += "namespace set" + number + " {  // " + set[i].name + "\n" +
                    renamed(program.source.substr(prelude.size()), " kernel", " set" + number + "_") + "}\n";
  }
  return files;
}

std::string compiled(const std::string& text, const std::string& flags) {
  const Scratch scratch;
  const std::string source = scratch.write("kernels.cu", text), log = scratch.path / "log",
                    output = scratch.path / "out.s";
  const std::string command =
      "clang-19 " + flags +
      " -O3 -S -std=c++17 -ffp-contract=off -Wall -Werror -Wno-unused-function -Wno-unused-variable -Wno-pass-failed " +
      "-Wno-unknown-cuda-version " + source + " -o " + output + " 2> " + log;
  const int status = std::system(command.c_str());
  INFO(command << "\n" << scratch.read("log").substr(0, 3000));
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return scratch.read("out.s");
}

// The kernel whose assembly lies at `at`: its name and its text.
std::string kernel_around(const std::string& assembly, size_t at, const std::string& file) {
  const size_t label = assembly.rfind("set", assembly.rfind("_0", at));
  const std::string space = "namespace " + assembly.substr(label, assembly.find('_', label) - label) + " {";
  const size_t begin = file.find(space);
  return file.substr(begin, file.find("namespace ", begin + 1) - begin);
}

// Where NVIDIA's assembler is installed, its word counts. The largest tiles of registers spill a little and are the
// fastest for all that (docs/performance.md).
void check_assembles(const std::string& ptx, const std::string& arch) {
  constexpr int kMostSpilledBytes = 128;
  std::string ptxas;
  for (const char* const candidate : {"ptxas", "/usr/local/cuda/bin/ptxas"}) {
    if (ptxas.empty() && std::system(("command -v " + std::string(candidate) + " > /dev/null").c_str()) == 0)
      ptxas = candidate;
  }
  if (ptxas.empty()) return;
  const Scratch scratch;
  const std::string source = scratch.write("kernels.ptx", ptx), log = scratch.path / "log";
  const int status = std::system((ptxas + " -v -O2 -arch " + arch + " " + source + " -o /dev/null 2> " + log).c_str());
  const std::string report = scratch.read("log");
  INFO(report.substr(0, 2000));
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  const std::string spilled = " bytes spill stores";
  for (size_t at = report.find(spilled); at != std::string::npos; at = report.find(spilled, at + 1)) {
    const size_t begin = report.rfind(' ', at - 1) + 1;
    if (std::stoi(report.substr(begin, at - begin)) > kMostSpilledBytes)
      FAIL(report.substr(report.rfind("Function properties", at), 200));
  }
}

void check_compiles(const codegen::Target& target, const std::string& flags, const std::string& forbidden,
                    const std::string& wanted, const std::string& assembled_for = "") {
  for (const std::string& file : files_of(kernel_set(), target)) {
    const std::string assembly = compiled(file, flags);
    if (!assembled_for.empty()) check_assembles(assembly, assembled_for);
    for (size_t at = assembly.find(forbidden); at != std::string::npos; at = assembly.find(forbidden, at + 1)) {
      const std::string rest = assembly.substr(at, assembly.find('\n', at) - at);
      if (rest != wanted) FAIL(rest << " in " << kernel_around(assembly, at, file));
    }
  }
}

codegen::Target gpu(Dialect dialect, uint32_t subgroup) {
  return {.dialect = dialect, .is_gpu = true, .compute_units = 132, .shared_bytes = 48 << 10, .subgroup = subgroup};
}

constexpr const char* kCuda = "-x cuda --cuda-device-only -nocudainc -nocudalib ";
constexpr const char* kHip = "-x hip --cuda-device-only -nogpuinc -nogpulib -mcumode --no-gpu-bundle-output ";

}  // namespace

TEST_CASE("every kernel compiles to PTX for sm_90a, and needs no local memory") {
  check_compiles(gpu(Dialect::Cuda, 32), std::string(kCuda) + "--cuda-gpu-arch=sm_90a --cuda-feature=+ptx83",
                 "__local_depot", "", "sm_90a");
}

TEST_CASE("every kernel compiles to PTX for sm_80, and needs no local memory") {
  check_compiles(gpu(Dialect::Cuda, 32), std::string(kCuda) + "--cuda-gpu-arch=sm_80", "__local_depot", "");
}

TEST_CASE("every kernel compiles for gfx1100, and needs no scratch memory") {
  check_compiles(gpu(Dialect::Hip, 32), std::string(kHip) + "--offload-arch=gfx1100",
                 "ScratchSize: ", "ScratchSize: 0");
}

TEST_CASE("every kernel compiles for gfx90a, and needs no scratch memory") {
  check_compiles(gpu(Dialect::Hip, 64), std::string(kHip) + "--offload-arch=gfx90a", "ScratchSize: ", "ScratchSize: 0");
}

}  // namespace quarry::test
