#include "worker/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace quarry::worker {
namespace {

SandboxLayer applied(const std::string& name) {
  return {name, true, ""};
}
SandboxLayer refused(const std::string& name) {
  return {name, false, std::strerror(errno)};
}

bool write_proc(const char* path, const std::string& text) {
  FileDescriptor fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd.valid() && write_exactly(fd.get(), std::as_bytes(std::span(text))).ok();
}

/// Lets an unprivileged user own the namespaces that follow. The user keeps its own number inside.
SandboxLayer enter_user_namespace() {
  const uid_t user = ::getuid();
  const gid_t group = ::getgid();
  if (::unshare(CLONE_NEWUSER) != 0) return refused("user namespace");
  const std::string user_map = std::to_string(user) + " " + std::to_string(user) + " 1";
  const std::string group_map = std::to_string(group) + " " + std::to_string(group) + " 1";
  if (!write_proc("/proc/self/setgroups", "deny") || !write_proc("/proc/self/uid_map", user_map) ||
      !write_proc("/proc/self/gid_map", group_map))
    return refused("user namespace");
  return applied("user namespace");
}

SandboxLayer enter_namespace(int flag, const std::string& name) {
  return ::unshare(flag) == 0 ? applied(name) : refused(name);
}

bool has(const std::vector<SandboxLayer>& layers, std::string_view name) {
  return std::any_of(layers.begin(), layers.end(), [&](const SandboxLayer& l) { return l.name == name && l.applied; });
}

/// The process outside the process namespace: holds nothing, waits for the one inside, ends as it ended.
[[noreturn]] void pass_on_the_end_of(pid_t child, uint32_t user_id) {
  ::close_range(3, ~0U, 0);  // above all the socket: the agent must see it close when the child dies
  drop_privileges(user_id);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  filter_system_calls();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/// A process namespace holds only processes forked after it was made.
SandboxLayer enter_process_namespace(uint32_t user_id) {
  const SandboxLayer layer = enter_namespace(CLONE_NEWPID, "process namespace");
  if (!layer.applied) return layer;
  const pid_t child = ::fork();
  if (child < 0) return refused("process namespace");
  if (child > 0) pass_on_the_end_of(child, user_id);
  return layer;
}

/// Graphics devices belong to these groups; every other supplementary group is dropped.
std::vector<gid_t> device_groups() {
  std::vector<gid_t> groups;
  for (const char* name : {"video", "render"})
    if (const group* entry = ::getgrnam(name)) groups.push_back(entry->gr_gid);
  return groups;
}

bool drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  return ::syscall(SYS_capset, &header, none.data()) == 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // the shadow memory counts as data and is larger than any limit
#else
constexpr bool kSanitized = false;
#endif

bool set_limit(__rlimit_resource resource, uint64_t value) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return false;
  limit.rlim_max = std::min<rlim_t>(limit.rlim_max, value);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(resource, &limit) == 0;
}

}  // namespace

uint64_t machine_memory_bytes() {
  uint64_t bytes = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  std::string line;
  for (std::ifstream groups("/proc/self/cgroup"); std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::filesystem::path group = line.substr(3);; group = group.parent_path()) {
      std::ifstream file("/sys/fs/cgroup" + group.string() + "/memory.max");
      if (uint64_t limit = 0; file >> limit) bytes = std::min(bytes, limit);  // "max" is no number
      if (group == group.parent_path()) break;
    }
  }
  return bytes;
}

SandboxLayer limit_resources(uint64_t memory_bytes) {
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  constexpr uint64_t kOpenFiles = 4096;
  // Address space itself stays free: graphics drivers reserve hundreds of GiB without using them. What a processor's
  // device holds is its arena and two copies on the way in and out; drivers and the compiler are given 8 GiB on top.
  const uint64_t data_bytes = std::min(3 * memory_bytes + 8 * kGiB, machine_memory_bytes());
  const bool ok = set_limit(RLIMIT_CORE, 0) &&  // a core file would hold a tenant's data
                  set_limit(RLIMIT_NOFILE, kOpenFiles) && (kSanitized || set_limit(RLIMIT_DATA, data_bytes)) &&
                  set_limit(RLIMIT_FSIZE, memory_bytes + kGiB);
  return ok ? applied("resource limits") : refused("resource limits");
}

SandboxLayer limit_processes(bool has_own_user) {
  // A processor's device has a thread for each core; drivers have about twenty, and a compiler is a process or two.
  constexpr uint64_t kProcesses = 512, kProcessesPerCore = 8;
  const auto cores = static_cast<uint64_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  if (!has_own_user) return {"process limit", false, "the user's other processes would count"};
  return set_limit(RLIMIT_NPROC, kProcesses + kProcessesPerCore * cores) ? applied("process limit")
                                                                         : refused("process limit");
}

SandboxLayer drop_privileges(uint32_t user_id) {
  if (::geteuid() == 0) {
    const std::vector<gid_t> groups = device_groups();
    if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(user_id, user_id, user_id) != 0 ||
        ::setresuid(user_id, user_id, user_id) != 0)
      return refused("unprivileged user");
  }
  if (!drop_capabilities() || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("unprivileged user");
  return applied("unprivileged user");
}

std::vector<SandboxLayer> enter_sandbox(const SandboxOptions& options) {
  std::vector<SandboxLayer> layers;
  layers.push_back(limit_resources(options.memory_bytes));
  const bool has_own_user = ::geteuid() == 0;
  if (!has_own_user) layers.push_back(enter_user_namespace());
  layers.push_back(limit_processes(has_own_user || has(layers, "user namespace")));
  layers.push_back(enter_namespace(CLONE_NEWNET, "network namespace"));
  layers.push_back(enter_namespace(CLONE_NEWIPC, "ipc namespace"));
  layers.push_back(enter_namespace(CLONE_NEWNS, "mount namespace"));
  layers.push_back(enter_process_namespace(options.user_id));
  if (has(layers, "mount namespace")) layers.push_back(enter_private_root(options.writable_directory));
  if (::chdir(options.writable_directory.c_str()) != 0) layers.push_back(refused("compiler cache"));
  layers.push_back(drop_privileges(options.user_id));
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of user, which clears it
  layers.push_back(filter_system_calls());
  return layers;
}

}  // namespace quarry::worker
