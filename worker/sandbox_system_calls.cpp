// The executor's system calls: a list of what drivers, compilers and the C library need. Everything else answers EPERM.
#include <asm/termbits.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <memory>

#include "worker/sandbox.h"

namespace quarry::worker {
namespace {

constexpr const char* kFiles[] = {
    "read",         "write",         "readv",      "writev",      "pread64",     "pwrite64",
    "preadv",       "pwritev",       "preadv2",    "pwritev2",    "lseek",       "open",
    "openat",       "creat",         "close",      "close_range", "dup",         "dup2",
    "dup3",         "fcntl",         "flock",      "fsync",       "fdatasync",   "sync_file_range",
    "ftruncate",    "truncate",      "fallocate",  "stat",        "fstat",       "lstat",
    "newfstatat",   "statx",         "statfs",     "fstatfs",     "access",      "faccessat",
    "faccessat2",   "readlink",      "readlinkat", "getdents",    "getdents64",  "getcwd",
    "chdir",        "fchdir",        "mkdir",      "mkdirat",     "rmdir",       "unlink",
    "unlinkat",     "rename",        "renameat",   "renameat2",   "link",        "linkat",
    "symlink",      "symlinkat",     "chmod",      "fchmod",      "fchmodat",    "utime",
    "utimes",       "utimensat",     "futimesat",  "umask",       "sendfile",    "copy_file_range",
    "pipe",         "pipe2",         "poll",       "ppoll",       "select",      "pselect6",
    "epoll_create", "epoll_create1", "epoll_ctl",  "epoll_wait",  "epoll_pwait", "eventfd",
    "eventfd2",     "fadvise64"};
constexpr const char* kMemory[] = {"mmap",       "munmap",        "mremap",       "mprotect", "madvise",
                                   "brk",        "msync",         "mincore",      "mlock",    "mlock2",
                                   "munlock",    "mlockall",      "munlockall",   "mbind",    "memfd_create",
                                   "membarrier", "get_mempolicy", "set_mempolicy"};
constexpr const char* kProcesses[] = {"fork",
                                      "vfork",
                                      "execve",
                                      "wait4",
                                      "waitid",
                                      "exit",
                                      "exit_group",
                                      "kill",
                                      "tkill",
                                      "tgkill",
                                      "futex",
                                      "futex_waitv",
                                      "set_robust_list",
                                      "get_robust_list",
                                      "set_tid_address",
                                      "rseq",
                                      "arch_prctl",
                                      "gettid",
                                      "getpid",
                                      "getppid",
                                      "getpgrp",
                                      "getpgid",
                                      "getsid",
                                      "setsid",
                                      "setpgid",
                                      "getuid",
                                      "geteuid",
                                      "getgid",
                                      "getegid",
                                      "getresuid",
                                      "getresgid",
                                      "getgroups",
                                      "capget",
                                      "sched_yield",
                                      "sched_getaffinity",
                                      "sched_setaffinity",
                                      "sched_getparam",
                                      "sched_getscheduler",
                                      "sched_get_priority_max",
                                      "sched_get_priority_min",
                                      "getpriority",
                                      "setpriority",
                                      "getcpu",
                                      "rt_sigaction",
                                      "rt_sigprocmask",
                                      "rt_sigreturn",
                                      "rt_sigpending",
                                      "rt_sigtimedwait",
                                      "rt_sigsuspend",
                                      "rt_sigqueueinfo",
                                      "rt_tgsigqueueinfo",
                                      "sigaltstack",
                                      "pause",
                                      "alarm",
                                      "setitimer",
                                      "getitimer",
                                      "restart_syscall",
                                      "getrlimit",
                                      "setrlimit",
                                      "prlimit64",
                                      "getrusage",
                                      "times",
                                      "sysinfo",
                                      "uname",
                                      "getrandom"};
constexpr const char* kTime[] = {
    "clock_gettime", "clock_getres",   "clock_nanosleep", "nanosleep",       "gettimeofday",
    "time",          "timerfd_create", "timerfd_settime", "timerfd_gettime", "timer_create",
    "timer_settime", "timer_gettime",  "timer_delete",    "timer_getoverrun"};
/// On the inherited socket; no connect, bind, listen, accept or sendto anywhere.
constexpr const char* kInheritedSocket[] = {"sendmsg", "recvmsg", "shutdown", "getsockopt"};

class Filter {
 public:
  explicit Filter(uint32_t otherwise) : context_(::seccomp_init(otherwise), &::seccomp_release) {}
  bool ok() const { return ok_ && context_ != nullptr; }

  template <size_t N>
  void allow_all(const char* const (&names)[N]) {
    for (const char* name : names) allow(name, {});
  }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    rule(SCMP_ACT_ALLOW, name, conditions);
  }
  void answer(int error, const char* name, std::initializer_list<scmp_arg_cmp> conditions = {}) {
    rule(SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), name, conditions);
  }
  bool load() { return ok() && ::seccomp_load(context_.get()) == 0; }

 private:
  void rule(uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number < 0 || !ok()) return;  // not a system call of this architecture
    ok_ = ::seccomp_rule_add_array(context_.get(), action, number, static_cast<unsigned>(conditions.size()),
                                   conditions.begin()) == 0;
  }
  std::unique_ptr<void, decltype(&::seccomp_release)> context_;
  bool ok_ = true;
};

/// Compares the lower 32 bits of an argument. The kernel takes an ioctl's request, a socket's family and a prctl's
/// option as 32 bits and ignores the rest of the register, so a comparison of all 64 could be passed by setting a high
/// bit (CVE-2019-10063).
scmp_arg_cmp equals(unsigned index, uint32_t value) {
  return {index, SCMP_CMP_MASKED_EQ, UINT32_MAX, value};
}
/// None of these bits is set.
scmp_arg_cmp lacks(unsigned index, uint32_t bits) {
  return {index, SCMP_CMP_MASKED_EQ, bits, 0};
}

/// Requests that type into a terminal or take it over: stderr may be the terminal of the person who started the agent.
constexpr uint32_t kTerminalRequests[] = {TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCCONS, TIOCSETD};

/// What drivers, compilers and the C library ask of prctl. An executor may not give up its death signal, which ends it
/// with its agent, nor let others trace it.
void allow_prctl(Filter& filter) {
  constexpr uint32_t kOptions[] = {PR_SET_NAME,         PR_GET_NAME,       PR_GET_DUMPABLE,    PR_GET_NO_NEW_PRIVS,
                                   PR_SET_NO_NEW_PRIVS, PR_GET_SECCOMP,    PR_CAPBSET_READ,    PR_GET_PDEATHSIG,
                                   PR_SET_TIMERSLACK,   PR_GET_TIMERSLACK, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
                                   PR_SET_VMA};
  for (const uint32_t option : kOptions) filter.allow("prctl", {equals(0, option)});
  filter.allow("prctl", {equals(0, PR_SET_PDEATHSIG), equals(1, SIGKILL)});
}

/// Threads and child processes, but no new namespaces. clone3's flags lie in memory where a filter cannot see them, so
/// it "does not exist": the C library then uses clone.
void allow_clone(Filter& filter) {
  constexpr uint32_t kNewNamespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  filter.allow("clone", {lacks(0, kNewNamespaces)});
  filter.answer(ENOSYS, "clone3");
}

/// A filter of its own: one filter cannot both allow a system call and refuse some of its arguments. The kernel asks
/// all filters and obeys the strictest.
bool refuse_terminal_requests() {
  Filter filter(SCMP_ACT_ALLOW);
  for (const uint32_t request : kTerminalRequests) filter.answer(EPERM, "ioctl", {equals(1, request)});
  return filter.load();
}

bool allow_listed_calls() {
  Filter filter(SCMP_ACT_ERRNO(EPERM));
  filter.allow_all(kFiles);
  filter.allow_all(kMemory);
  filter.allow_all(kProcesses);
  filter.allow_all(kTime);
  filter.allow_all(kInheritedSocket);
  filter.allow("socket", {equals(0, AF_UNIX)});
  filter.allow("socketpair", {equals(0, AF_UNIX)});
  filter.allow("ioctl", {});
  allow_prctl(filter);
  allow_clone(filter);
  return filter.load();
}

}  // namespace

SandboxLayer filter_system_calls() {
  const bool loaded = refuse_terminal_requests() && allow_listed_calls();
  return {"system call filter", loaded, loaded ? "" : "libseccomp or the kernel refused it"};
}

}  // namespace quarry::worker
