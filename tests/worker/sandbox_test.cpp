// What the kernel answers inside the executor's sandbox.
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tests/worker/support.h"
#include "worker/sandbox.h"

namespace quarry::worker::test {
namespace {

/// Each call's name and errno, as sandbox_probe printed them.
std::map<std::string, int> probe_the_sandbox() {
  const TemporaryDirectory directory;
  const std::string cache = directory.path() + "/compiler";
  std::filesystem::create_directory(cache);
  const std::string command = std::string(QUARRY_SANDBOX_PROBE) + " " + cache;
  const std::unique_ptr<FILE, int (*)(FILE*)> output(::popen(command.c_str(), "r"), &::pclose);
  REQUIRE(output != nullptr);
  std::map<std::string, int> answers;
  char line[256];
  while (std::fgets(line, sizeof line, output.get()) != nullptr) {
    const std::string text = line;
    INFO(text);
    REQUIRE_FALSE(text.starts_with("layer "));
    const size_t space = text.find(' ');
    REQUIRE(space != std::string::npos);
    answers[text.substr(0, space)] = std::stoi(text.substr(space));
  }
  return answers;
}

TEST_CASE("the system call filter refuses a forbidden argument also with a high bit that the kernel ignores") {
  const std::map<std::string, int> answers = probe_the_sandbox();
  const auto answer = [&](const std::string& name) {
    INFO(name);
    REQUIRE(answers.count(name) == 1);
    return answers.at(name);
  };
  for (const std::string high : {"", "|high"}) {
    for (const std::string request : {"TIOCSTI", "TIOCLINUX", "TIOCSCTTY", "TIOCSETD"}) {
      CAPTURE(request, high);
      CHECK(answer(request + high) == EPERM);
    }
    CHECK(answer("TIOCGWINSZ" + high) == ENOTTY);  // other requests reach the kernel
    CHECK(answer("PR_SET_NAME" + high) == 0);
    CHECK(answer("PR_SET_PDEATHSIG,0" + high) == EPERM);
    CHECK(answer("AF_INET" + high) == EPERM);
    CHECK(answer("AF_INET6" + high) == EPERM);
    CHECK(answer("AF_NETLINK" + high) == EPERM);
    CHECK(answer("AF_UNIX" + high) == 0);
    CHECK(answer("clone" + high) == 0);
    CHECK(answer("CLONE_NEWUSER" + high) == EPERM);
  }
  CHECK(answer("PR_SET_PDEATHSIG,SIGKILL") == 0);
  CHECK(answer("PR_SET_PDEATHSIG,high") == EPERM);
  CHECK(answer("PR_SET_DUMPABLE|high") == EPERM);
  CHECK(answer("clone3") == ENOSYS);
  for (const char* name : {"connect", "unshare", "ptrace", "mount"}) CHECK(answer(name) == EPERM);
}

TEST_CASE("an executor's data stay below the machine's memory, and its processes below a limit") {
  const std::map<std::string, int> answers = probe_the_sandbox();
  CHECK(answers.at("RLIMIT_DATA_MiB") <= static_cast<int>(machine_memory_bytes() >> 20));
  CHECK(answers.at("RLIMIT_NPROC") < 20'000);
  CHECK(answers.at("fork_until_refused") == EAGAIN);
}

}  // namespace
}  // namespace quarry::worker::test
