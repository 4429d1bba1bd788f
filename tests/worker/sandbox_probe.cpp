// Enters the executor's sandbox with the directory that it is given, tries system calls, and prints what each one
// answered: "name errno", 0 for a call that succeeded. What a caller sees is the sandbox's answer, because each call is
// made so that the kernel alone would answer otherwise.
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "worker/sandbox.h"

namespace {

using namespace quarry;
using namespace quarry::worker;

constexpr uint64_t kHighBit = uint64_t{1} << 32;
constexpr uint32_t kUser = 1'999'000'000;

/// Arguments go to the kernel as they are: the C library would cut them to the width that the kernel reads.
void try_call(const std::string& name, long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0) {
  errno = 0;
  const long answer = ::syscall(number, a, b, c, 0, 0, 0);
  std::printf("%s %d\n", name.c_str(), answer < 0 ? errno : 0);
}

/// Of a file that is no terminal, of which the kernel says ENOTTY.
void try_terminal_requests() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const std::pair<const char*, uint64_t> requests[] = {{"TIOCSTI", TIOCSTI},
                                                       {"TIOCLINUX", TIOCLINUX},
                                                       {"TIOCSCTTY", TIOCSCTTY},
                                                       {"TIOCSETD", TIOCSETD},
                                                       {"TIOCGWINSZ", TIOCGWINSZ}};
  for (const auto& [name, request] : requests) {
    try_call(name, SYS_ioctl, static_cast<uint64_t>(null), request);
    try_call(std::string(name) + "|high", SYS_ioctl, static_cast<uint64_t>(null), request | kHighBit);
  }
}

void try_prctl() {
  const std::string name = "probe";
  const auto text = reinterpret_cast<uint64_t>(name.c_str());
  try_call("PR_SET_NAME", SYS_prctl, PR_SET_NAME, text);
  try_call("PR_SET_NAME|high", SYS_prctl, PR_SET_NAME | kHighBit, text);
  try_call("PR_SET_PDEATHSIG,SIGKILL", SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  try_call("PR_SET_PDEATHSIG,0", SYS_prctl, PR_SET_PDEATHSIG, 0);
  try_call("PR_SET_PDEATHSIG,0|high", SYS_prctl, PR_SET_PDEATHSIG | kHighBit, 0);
  try_call("PR_SET_PDEATHSIG,high", SYS_prctl, PR_SET_PDEATHSIG, SIGKILL << 8 | kHighBit);
  try_call("PR_SET_DUMPABLE|high", SYS_prctl, PR_SET_DUMPABLE | kHighBit, 1);
}

void try_sockets() {
  for (const uint64_t type : {uint64_t{SOCK_STREAM}, SOCK_STREAM | kHighBit}) {
    const std::string suffix = type > UINT32_MAX ? "|high" : "";
    try_call("AF_INET" + suffix, SYS_socket, AF_INET | (type & kHighBit), type);
    try_call("AF_INET6" + suffix, SYS_socket, AF_INET6 | (type & kHighBit), type);
    try_call("AF_NETLINK" + suffix, SYS_socket, AF_NETLINK | (type & kHighBit), SOCK_RAW);
    try_call("AF_UNIX" + suffix, SYS_socket, AF_UNIX | (type & kHighBit), type);
  }
  try_call("connect", SYS_connect, 0);
}

/// A child that the call makes ends at once.
void try_clone(const std::string& name, uint64_t flags) {
  std::fflush(stdout);
  const long child = ::syscall(SYS_clone, flags, 0, 0, 0, 0);
  if (child == 0) ::_exit(0);
  const int error = child < 0 ? errno : 0;
  if (child > 0) ::waitpid(static_cast<pid_t>(child), nullptr, 0);
  std::printf("%s %d\n", name.c_str(), error);
}

void try_processes() {
  try_clone("clone", SIGCHLD);
  try_clone("clone|high", SIGCHLD | kHighBit);
  try_clone("CLONE_NEWUSER", CLONE_NEWUSER | SIGCHLD);
  try_clone("CLONE_NEWUSER|high", CLONE_NEWUSER | SIGCHLD | kHighBit);
  try_call("unshare", SYS_unshare, CLONE_NEWUSER);
  try_call("clone3", SYS_clone3, 0, 0);
  try_call("ptrace", SYS_ptrace, 0);
  try_call("mount", SYS_mount);
}

/// Children that wait, until no more are given or far too many are.
void try_many_processes() {
  rlimit processes{}, data{};
  ::getrlimit(RLIMIT_NPROC, &processes);
  ::getrlimit(RLIMIT_DATA, &data);
  std::printf("RLIMIT_DATA_MiB %lu\n", data.rlim_max >> 20);
  std::printf("RLIMIT_NPROC %lu\n", processes.rlim_max);
  std::fflush(stdout);
  std::vector<pid_t> children;
  int error = 0;
  while (children.size() < 20'000) {
    const pid_t child = ::fork();
    if (child == 0) ::pause();
    if (child < 0) {
      error = errno;
      break;
    }
    children.push_back(child);
  }
  for (const pid_t child : children) ::kill(child, SIGKILL);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  std::printf("fork_until_refused %d\n", error);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (const SandboxLayer& layer : enter_sandbox({kUser, argv[1], uint64_t{1} << 30}))
    if (!layer.applied) std::printf("layer %s: %s\n", layer.name.c_str(), layer.detail.c_str());
  try_terminal_requests();
  try_prctl();
  try_sockets();
  try_processes();
  try_many_processes();
  return 0;
}
