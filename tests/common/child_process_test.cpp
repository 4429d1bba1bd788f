#include "common/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

using namespace quarry;

namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    for (const int end : ends) ::close(end);
  }
  std::array<int, 2> ends{};
};

std::string read_all(int from) {
  std::string text;
  char chunk[512];
  for (ssize_t got = 0; (got = ::read(from, chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<size_t>(got));
  return text;
}

struct Ran {
  std::string output;
  int status = 0;
};

/// Runs a shell's script; its output is what it writes to `there`.
Ran run_script(const std::string& script, ChildOptions options = {}, int there = STDOUT_FILENO) {
  Pipe pipe;
  options.arguments = {"/bin/sh", "-c", script};
  options.descriptors.emplace_back(pipe.ends[1], there);
  const auto child = start_child(options);
  REQUIRE(child.ok());
  ::close(std::exchange(pipe.ends[1], ::open("/dev/null", O_RDWR | O_CLOEXEC)));
  Ran ran{read_all(pipe.ends[0]), 0};
  ran.status = wait_for_child(*child);
  return ran;
}

}  // namespace

TEST_CASE("a child has the environment that it is given and nothing else of ours") {
  ::setenv("QUARRY_SECRET", "ours", 1);
  CHECK(run_script("echo $QUARRY_SECRET").output == "ours\n");
  ChildOptions options;
  options.environment = {"COLOUR=red"};
  CHECK(run_script("echo $COLOUR $QUARRY_SECRET", options).output == "red\n");
  ::unsetenv("QUARRY_SECRET");
}

TEST_CASE("a child has the descriptors that it is given and no other, not even one that would survive exec") {
  const int leaks = ::open("/dev/zero", O_RDONLY);  // without O_CLOEXEC
  REQUIRE(leaks >= 0);
  // The shell's own glob needs a descriptor for the directory: the highest one.
  const Ran ran = run_script("cd /proc/self/fd && for f in *; do readlink $f; done >&7", {}, 7);
  ::close(leaks);
  CHECK(ran.output.find("/dev/zero") == std::string::npos);
  CHECK(ran.output.find("/dev/null") != std::string::npos);
}

TEST_CASE("a child's descriptor may have a number that another one of ours has") {
  Pipe first, second;
  // Each end's target is the other's source.
  const int a = first.ends[1], b = second.ends[1];
  ChildOptions options{
      .arguments = {"/bin/sh", "-c", "echo from-b >&" + std::to_string(b) + "; echo from-a >&" + std::to_string(a)},
      .descriptors = {{a, b}, {b, a}}};
  if (a > 9 || b > 9) return;  // a shell knows digits only
  const auto child = start_child(options);
  REQUIRE(child.ok());
  CHECK(wait_for_child(*child) == 0);
  char text[16];
  CHECK(std::string(text, static_cast<size_t>(::read(first.ends[0], text, sizeof text))) == "from-b\n");
  CHECK(std::string(text, static_cast<size_t>(::read(second.ends[0], text, sizeof text))) == "from-a\n");
}

TEST_CASE("a program that is not there is told at once, by name and reason") {
  const auto child = start_child({.arguments = {"/no/such/program"}});
  REQUIRE_FALSE(child.ok());
  CHECK(child.problem().code == "cannot_start");
  CHECK(child.problem().detail == "cannot start /no/such/program: No such file or directory");
}

TEST_CASE("a child's end is told, and whether it was a crash's") {
  CHECK(describe_end(run_script("exit 3").status) == "exited with status 3");
  CHECK_FALSE(ended_by_fault(run_script("exit 3").status));
  CHECK(describe_end(run_script("kill -SEGV $$").status) == "was killed by Segmentation fault");
  CHECK(ended_by_fault(run_script("kill -SEGV $$").status));
  CHECK(ended_by_fault(run_script("exit 139").status));  // said by a shell of its own child
  CHECK_FALSE(ended_by_fault(run_script("kill -KILL $$").status));
  CHECK_FALSE(ended_by_fault(run_script("exit 137").status));
}

TEST_CASE("a signal that its parent blocks or ignores is neither in a child") {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const auto ignored = ::signal(SIGINT, SIG_IGN);
  CHECK(describe_end(run_script("kill -TERM $$; exit 0").status) == "was killed by Terminated");
  CHECK(describe_end(run_script("kill -INT $$; exit 0").status) == "was killed by Interrupt");
  ::signal(SIGINT, ignored);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a child does not outlive a parent that is killed") {
  Pipe alive;  // its writing end stays open as long as the child lives
  const pid_t parent = ::fork();
  if (parent == 0) {
    (void)start_child({.arguments = {"/bin/sleep", "1000000"}, .descriptors = {{alive.ends[1], STDOUT_FILENO}}});
    ::close(alive.ends[1]);
    ::raise(SIGKILL);
  }
  ::close(std::exchange(alive.ends[1], ::open("/dev/null", O_RDWR | O_CLOEXEC)));
  wait_for_child(parent);
  CHECK(read_all(alive.ends[0]).empty());  // its end comes when the child has ended
}
