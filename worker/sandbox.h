// The executor's sandbox. The real defence is that renters send data, not code; this is the second one: whatever a
// driver's or a compiler's bug lets a graph do, it has no network, no credentials, no other tenant's file and no way to
// gain rights.
//
// Each layer stands alone: where the kernel refuses one (a container often refuses namespaces), the others are applied
// and the refusal is reported to the agent, which logs it at start.
#pragma once

#include <string>
#include <vector>

#include "worker/local_protocol.h"

namespace quarry::worker {

struct SandboxOptions {
  uint32_t user_id = 0;            ///< becomes this unprivileged user (and group) when started by root
  std::string writable_directory;  ///< the compiler cache: the one place on disk that stays visible and writable
  uint64_t memory_bytes = 0;       ///< the slice's quota, from which the process's limits follow
};

/// The memory of this machine, or of the control group that this process is in when that is less.
uint64_t machine_memory_bytes();

/// Enters every layer that the kernel allows, and makes `writable_directory` the working directory: by that way it can
/// also be reached where the kernel refuses a private root, although others may not pass through its parents. Must be
/// called while the process has one thread and before any device is opened. With a process namespace the caller goes on
/// in a child: the calling process stays behind to pass on its end, and never returns from here.
std::vector<SandboxLayer> enter_sandbox(const SandboxOptions& options);

// The layers, in the order of enter_sandbox().
SandboxLayer limit_resources(uint64_t memory_bytes);
/// Processes and threads of the user that the executor becomes. Needs a user of its own or a user namespace, because
/// the kernel counts all of a user's processes.
SandboxLayer limit_processes(bool has_own_user);
/// A root of its own: system directories read-only, device files, an empty /tmp, and `writable_directory`. Needs a
/// mount namespace.
SandboxLayer enter_private_root(const std::string& writable_directory);
SandboxLayer drop_privileges(uint32_t user_id);
/// An allow-list: files, memory, threads, child processes; no sockets but AF_UNIX pairs, no connect, no tracing, no
/// mounting.
SandboxLayer filter_system_calls();

}  // namespace quarry::worker
