// Runs the executor in a place where the kernel refuses new namespaces and mounts, as a container often does.
#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

int main(int, char** argv) {
  const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  for (const int call : {SCMP_SYS(unshare), SCMP_SYS(mount), SCMP_SYS(pivot_root)})
    if (::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0) != 0) return 1;
  if (::seccomp_load(filter) != 0) return 1;
  argv[0] = const_cast<char*>(QUARRY_EXECUTOR);
  ::execv(argv[0], argv);
  return 127;
}
