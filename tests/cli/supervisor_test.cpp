#include "cli/up/supervisor.h"

#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "tests/support/scratch.h"

using namespace quarry;
using namespace quarry::cli;

namespace {

struct ChildScratch : quarry::test::Scratch {
  ChildSpec shell(const std::string& script) const { return {"child", {"/bin/sh", "-c", script}, path / "child.log"}; }
};

}  // namespace

TEST_CASE("a long log is moved aside, and its writer goes on at the begin of an empty one") {
  const ChildScratch scratch;
  std::ofstream writer(scratch.path / "server.log", std::ios::app);
  writer << "first " << std::flush;
  bound_logs(scratch.path, 6);
  CHECK(scratch.read("server.log") == "first ");
  writer << "second " << std::flush;
  bound_logs(scratch.path, 6);
  CHECK(scratch.read("server.log.1") == "first second ");
  CHECK(scratch.read("server.log").empty());
  writer << "third " << std::flush;
  CHECK(scratch.read("server.log") == "third ");
  writer << "fourth " << std::flush;
  bound_logs(scratch.path, 6);
  CHECK(scratch.read("server.log.1") == "third fourth ");
}

TEST_CASE("a child is started once its ready line came, and what follows the word is returned") {
  const ChildScratch scratch;
  const SystemClock clock;
  Supervisor supervisor(clock);
  const auto ready = supervisor.start(scratch.shell("echo starting; echo ready port=7; exec sleep 60"));
  REQUIRE(ready.ok());
  CHECK(ready.value() == " port=7");
}

TEST_CASE("a child that ends before it is ready is a problem that quotes its log") {
  const ChildScratch scratch;
  const SystemClock clock;
  Supervisor supervisor(clock);
  const auto ready = supervisor.start(scratch.shell("echo no such port >&2; exit 3"));
  REQUIRE_FALSE(ready.ok());
  CHECK(ready.problem().detail.find("no such port") != std::string::npos);
}

TEST_CASE("a child that does not become ready is not waited for once the caller is told to stop") {
  const ChildScratch scratch;
  const SystemClock clock;
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  REQUIRE(sigprocmask(SIG_BLOCK, &stop, &before) == 0);
  REQUIRE(raise(SIGTERM) == 0);
  {
    Supervisor supervisor(clock);
    const auto ready = supervisor.start(scratch.shell("exec sleep 600"));
    REQUIRE_FALSE(ready.ok());
    CHECK(ready.problem().detail.find("told to stop") != std::string::npos);
  }
  const timespec at_once{};
  REQUIRE(sigtimedwait(&stop, nullptr, &at_once) == SIGTERM);
  REQUIRE(sigprocmask(SIG_SETMASK, &before, nullptr) == 0);
}

TEST_CASE("a child that is killed is started again, and stop ends it") {
  const ChildScratch scratch;
  const SystemClock clock;
  Supervisor supervisor(clock);
  const std::string pid_file = (scratch.path / "pids").string();
  REQUIRE(supervisor.start(scratch.shell("echo $$ >> " + pid_file + "; echo ready; exec sleep 60")).ok());
  const pid_t first = static_cast<pid_t>(std::stol(scratch.read("pids")));
  kill(first, SIGKILL);
  std::string how;
  const auto starts = [&] {
    const std::string pids = scratch.read("pids");
    return std::count(pids.begin(), pids.end(), '\n');
  };
  for (int i = 0; i < 3'000 && starts() < 2; ++i) {
    supervisor.tend([&](const std::string& name, const std::string& reason) { how = name + " " + reason; });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(how == "child was killed by Killed");
  REQUIRE(starts() == 2);
  const std::string text = scratch.read("pids");
  const pid_t second = static_cast<pid_t>(std::stol(text.substr(text.find('\n') + 1)));
  CHECK(kill(second, 0) == 0);
  supervisor.stop();
  CHECK(kill(second, 0) != 0);
}
