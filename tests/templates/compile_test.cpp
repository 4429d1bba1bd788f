// Every golden kernel compiled for sm_90a: by clang, which needs no GPU and no CUDA SDK, and by ptxas where it is
// installed, which must not spill and must not serialise the matrix units.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "engine/tile/print_cuda.h"
#include "tests/support/scratch.h"
#include "tests/templates/goldens.h"

namespace quarry::test {
namespace {

const std::string kClang =
    "clang-19 -x cuda --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=sm_90a --cuda-feature=+ptx83 -O3 -S "
    "-std=c++17 -ffp-contract=off -Wall -Werror -Wno-unused-function -Wno-unused-but-set-variable -Wno-unused-variable "
    "-Wno-unknown-cuda-version ";

int run(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("golden kernels compile for sm_90a, with whole stages of matrix instructions, and spill nothing") {
  const char* const ptxas = "/usr/local/cuda/bin/ptxas";
  const bool assembles = run(std::string("test -x ") + ptxas) == 0;
  if (!assembles) WARN("no ptxas here: registers are not looked at");
  for (const Golden& golden : goldens()) {
    const Scratch scratch;
    const auto program = templates::contraction(problem_of(golden.form), golden.schedule);
    const std::string source = scratch.write("kernel.cu", tile::print_cuda(*program).text),
                      ptx = scratch.path / "kernel.ptx";
    const int compiled = run(kClang + source + " -o " + ptx + " 2> " + std::string(scratch.path / "log"));
    INFO(golden.name << "\n" << scratch.read("log"));
    REQUIRE(compiled == 0);
    const std::string text = scratch.read("kernel.ptx");
    CHECK(count(text, "wgmma.mma_async") > 0);
    const size_t stage = golden.form.operand == graph::DType::F32 ? 12 : 4;
    CHECK(count(text, "wgmma.mma_async") % stage == 0);  // a compiler may peel a turn of the loop
    CHECK(count(text, ".local") == 0);
    if (!assembles) continue;
    const int assembled = run(std::string(ptxas) + " -arch=sm_90a -v " + ptx + " -o " +
                              std::string(scratch.path / "kernel.cubin") + " 2> " + std::string(scratch.path / "log"));
    const std::string log = scratch.read("log");
    INFO(log);
    CHECK(assembled == 0);
    CHECK(count(log, "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") == 1);
    CHECK(count(log, "warning") == 0);  // C75xx: serialised wgmma, an ignored setmaxnreg
  }
}

}  // namespace quarry::test
