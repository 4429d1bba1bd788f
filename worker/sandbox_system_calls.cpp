// The executor's system calls: a list of what drivers, compilers and the C library need. Everything else answers EPERM.
#include <asm/termbits.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
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
                                      "prctl",
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
  Filter() : context_(::seccomp_init(SCMP_ACT_ERRNO(EPERM)), &::seccomp_release) {}
  bool ok() const { return ok_ && context_ != nullptr; }

  template <size_t N>
  void allow_all(const char* const (&names)[N]) {
    for (const char* name : names) allow(name, {});
  }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    rule(SCMP_ACT_ALLOW, name, conditions);
  }
  void answer(int error, const char* name) { rule(SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), name, {}); }
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

scmp_arg_cmp argument(unsigned index, scmp_compare compare, uint64_t value, uint64_t second = 0) {
  return {index, compare, value, second};
}

/// Everything but TIOCSTI and TIOCLINUX, which type into the terminal that stderr may be.
void allow_ioctl(Filter& filter) {
  filter.allow("ioctl", {argument(1, SCMP_CMP_LT, TIOCSTI)});
  filter.allow("ioctl", {argument(1, SCMP_CMP_GT, TIOCLINUX)});
  filter.allow("ioctl", {argument(1, SCMP_CMP_EQ, TIOCGWINSZ)});
  filter.allow("ioctl", {argument(1, SCMP_CMP_EQ, FIONREAD)});
}

/// Threads and child processes, but no new namespaces. clone3's flags lie in memory where a filter cannot see them, so
/// it "does not exist": the C library then uses clone.
void allow_clone(Filter& filter) {
  constexpr uint64_t kNewNamespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  filter.allow("clone", {argument(0, SCMP_CMP_MASKED_EQ, kNewNamespaces, 0)});
  filter.answer(ENOSYS, "clone3");
}

}  // namespace

SandboxLayer filter_system_calls() {
  Filter filter;
  filter.allow_all(kFiles);
  filter.allow_all(kMemory);
  filter.allow_all(kProcesses);
  filter.allow_all(kTime);
  filter.allow_all(kInheritedSocket);
  filter.allow("socket", {argument(0, SCMP_CMP_EQ, AF_UNIX)});
  filter.allow("socketpair", {argument(0, SCMP_CMP_EQ, AF_UNIX)});
  allow_ioctl(filter);
  allow_clone(filter);
  const bool loaded = filter.load();
  return {"system call filter", loaded, loaded ? "" : "libseccomp or the kernel refused it"};
}

}  // namespace quarry::worker
